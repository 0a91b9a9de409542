"""What a bundle of a mirror contains, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import cache_carry, lock, packing, parts
from neuraltalk_provision.mirror.parts import Description, Layout
from neuraltalk_provision.mirror.state import read_small

BESIDE = (f"{lock.FILE_NAME}.*sig*", f"{lock.FILE_NAME}.*proof*")
"""Patterns for what belongs to a lock: its signatures, and the records of its proofs."""


@dataclass(frozen=True)
class Prepared:
    """A bundle that was planned: the mirror, its lock as bytes and read, the lock's signatures, and what goes where."""

    mirror: Path
    content: bytes
    known: lock.Lock
    signatures: Mapping[str, bytes]
    description: Description

    @property
    def name(self) -> str:
        """The name of the bundle."""
        return next(iter(self.layouts)).partition("-part-")[0]

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """{file name of a part: its layout}."""
        layouts = parts.layouts(self.description, self.content, self.signatures)
        return {f"{layout.folder}.tar": layout for layout in layouts}

    @property
    def carried(self) -> tuple[lock.Entry, ...]:
        """The entries of the files that the bundle contains."""
        carried = tuple(entry for entry in self.known.artifacts if entry.file not in self.description.left_out)
        return carried + self.cached

    @property
    def cached(self) -> tuple[lock.Entry, ...]:
        """The files of packed generations that the bundle contains, like entries of a lock."""
        return cache_carry.entries(self.description.cache)


def prepare(
    mirror: Path, part_size: int, other: parts.State | None = None, cached: tuple[parts.CachedFile, ...] = ()
) -> Prepared:
    """Plan the bundle of a mirror, with the files `cached` of its cache.

    `other` is the state of the mirror on the other side: what it has is left out.
    """
    known = lock.read(mirror)
    content = read_small(mirror / lock.FILE_NAME, parts.LARGEST_LOCK)
    there = {(file.file, file.size, file.sha256) for file in other.files} if other else set()
    left_out = {entry.file for entry in known.artifacts if (entry.file, entry.size, entry.sha256) in there}
    carried = [entry for entry in known.artifacts if entry.file not in left_out]
    _refuse_names(known)
    with naming(mirror, "read", MirrorError):
        wrong = [entry.file for entry in carried if not _has_size(mirror / entry.file, entry.size)]
        signatures = _signatures(mirror)
    if wrong:
        raise MirrorError(
            f"{mirror}: missing, or not of the size that its lock says: {', '.join(wrong)}",
            advice="`provision mirror verify` names every problem. Repair the mirror, then make the bundle.",
        )
    cached = cache_carry.without(cached, there)
    sizes = {entry.file: entry.size for entry in carried} | {one.file: one.size for one in cached}
    description = packing.pack(sizes, part_size, content, signatures, tuple(left_out), cached)
    return Prepared(mirror, content, known, signatures, description)


def _refuse_names(known: lock.Lock) -> None:
    if len(known.artifacts) > parts.MOST_FILES:
        raise MirrorError(f"the lock names more than {parts.MOST_FILES:,} files, which is too many for a bundle")
    for entry in known.artifacts:
        if parts.is_reserved(entry.file):
            raise MirrorError(
                f"{entry.file[:200]} cannot be the file of an artifact in a bundle",
                advice="Give it another name, of at most 200 letters, and add it again.",
            )


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _signatures(mirror: Path) -> dict[str, bytes]:
    """{path beside the lock: content} of the lock's signatures and proofs. Only names and sizes are checked."""
    files = signature_files(mirror)
    names = [str(file.relative_to(mirror)) for file in files]
    wrong = [name for name in names if len(name) > 200 or not re.fullmatch(parts.SIGNATURE_NAME, name)]
    if wrong or len(files) > parts.MOST_SIGNATURES:
        what = f"{wrong[0][:200]} is not a name for one" if wrong else f"there are more than {parts.MOST_SIGNATURES}"
        raise MirrorError(
            f"{mirror}: the signatures of the lock, or its proofs, cannot be packed: {what}",
            advice="Move what is no signature or proof of the present lock to another place, then run the same command "
            "again.",
        )
    return {name: read_small(file, parts.LARGEST_SIGNATURE) for name, file in zip(names, files, strict=True)}


def signature_files(mirror: Path) -> list[Path]:
    """The files beside a lock that are called like its signatures or proofs, also those in a directory called so."""
    found = list[Path]()
    for path in sorted({path for pattern in BESIDE for path in mirror.glob(pattern)}):
        found += sorted(file for file in path.iterdir() if not file.name.startswith(".")) if path.is_dir() else [path]
    return found
