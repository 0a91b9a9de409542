"""Packages of rpm without a signature, in an archive of OS packages: some hosts refuse them (%_pkgverify_level)."""

from __future__ import annotations

import struct
from pathlib import Path

from neuraltalk_provision.rules import archives
from neuraltalk_provision.rules.archive_formats import ArchiveError

_LEAD = 96
_HEADER = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">Iiii")
_MAGIC = b"\x8e\xad\xe8\x01"
_MOST_ENTRIES = 1 << 10
_SIGNATURES = {267, 268, 278, 1002, 1005}
"""The tags of signatures: DSA, RSA, OPENPGP, and those of the header and its content together, PGP and GPG."""


def unsigned(path: Path) -> tuple[str, ...]:
    """The names of the packages in an archive that have no signature.

    A file that is no package is left out: what is wrong with an archive is reported when it is checked.
    """
    found = []
    try:
        with path.open("rb") as file:
            for entry in archives.entries(file, 0):
                if entry.content is not None and entry.name.endswith(".rpm"):
                    tags = _tags(entry.content.read(_LEAD + _HEADER.size + _MOST_ENTRIES * _ENTRY.size))
                    if tags and not tags & _SIGNATURES:
                        found.append(Path(entry.name).name.rsplit("-", 2)[0])
    except (OSError, ArchiveError):
        return ()
    return tuple(sorted(set(found)))


def _tags(content: bytes) -> set[int]:
    """The tags of the first header of a package, which has its signatures; empty for what is no package."""
    try:
        magic, count, _size = _HEADER.unpack_from(content, _LEAD)
        if magic != _MAGIC or count > _MOST_ENTRIES:
            return set()
        start = _LEAD + _HEADER.size
        return {_ENTRY.unpack_from(content, start + place * _ENTRY.size)[0] for place in range(count)}
    except struct.error:
        return set()
