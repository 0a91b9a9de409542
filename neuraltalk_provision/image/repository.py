"""The OS packages of an image, taken from the archive of the mirror: apt decides which, nothing else is unpacked."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.image import packages
from neuraltalk_provision.mirror import apt_errors, apt_index, apt_machine, bounded, digests, repositories
from neuraltalk_provision.mirror.apt_index import Available
from neuraltalk_provision.mirror.apt_root import AptRoot
from neuraltalk_provision.rules import archives
from neuraltalk_provision.rules.archive_formats import ArchiveError

LARGEST_INDEX = 64 << 20
_FILE_NAME = re.compile(r"^Filename:[ \t]*(?:\./)?(\S+)[ \t]*$", re.M)
_ESSENTIAL = re.compile(rb"^Essential:[ \t]*yes[ \t]*$", re.M)
_PACKAGE = re.compile(r"^Package:[ \t]*(\S+)[ \t]*$", re.M)
_INSTALLED = re.compile(r"^Installed-Size:[ \t]*([0-9]{1,9})[ \t]*$", re.M)
_VERIFY = "`provision mirror verify` checks the archive."


@dataclass(frozen=True)
class Closure:
    """The packages of an image with everything that they depend on.

    `names` were asked for, `files` are {name in the archive: SHA-256}; `size` and `installed` in bytes.
    """

    names: tuple[str, ...]
    files: dict[str, str]
    size: int
    installed: int


def available(archive: Path) -> tuple[bytes, Available]:
    """(index of an archive of packages for apt, what it offers). Raises MirrorError if it has none."""
    with naming(archive, "read", MirrorError), archive.open("rb") as opened:
        try:
            for member in archives.entries(opened, 0):
                if member.name == repositories.PACKAGES and member.content and member.size <= LARGEST_INDEX:
                    index = b"".join(iter(partial(member.content.read, digests.BLOCK), b""))
                    return index, Available(index)
        except ArchiveError as error:
            raise MirrorError(f"{archive} cannot be read: it {error}", advice=_VERIFY) from None
    raise MirrorError(f"{archive} has no index {repositories.PACKAGES}", advice=_VERIFY)


def close(index: bytes, offered: Available, names: Iterable[str], key: str, folder: Path) -> Closure:
    """Everything that has to be installed on an empty system, as apt decides by the index alone. Raises MirrorError.

    `folder` is empty; apt's own files are left there.
    """
    essential = _essential(index, offered)
    if not essential:
        raise MirrorError(
            f"packages-{key} has no package that is essential, so nothing can be installed into an empty image",
            advice=packages.REPLACE.format(platform=key),
        )
    wanted = tuple(dict.fromkeys((*essential, *names)))
    place = folder.absolute() / "index"
    with naming(folder, "written"):
        place.mkdir()
        (place / repositories.PACKAGES).write_bytes(index)
    root = AptRoot(folder.absolute() / "apt", key, Event())
    root.prepare(
        f"Types: deb\nURIs: copy://{urllib.parse.quote(str(place))}\nSuites: ./\nTrusted: yes\n",
        apt_machine.read(),
        own_keys=False,
    )
    root.update()
    if problem := root.problem(wanted):
        raise MirrorError(
            f"packages-{key} cannot be installed into an empty image: {apt_errors.reason(problem)}",
            advice=packages.REPLACE.format(platform=key),
        )
    found = apt_index.addresses(root.addresses(wanted))
    records = [(offered.record(address).text, address) for address in found]
    files = {}
    for text, address in records:
        match = _FILE_NAME.search(text)
        if not match:
            raise MirrorError(f"packages-{key}: its index does not name the file of every package", advice=_VERIFY)
        files[match[1]] = address.sha256
    installed = sum(int(match[1]) << 10 for text, _address in records if (match := _INSTALLED.search(text)))
    return Closure(tuple(names), files, sum(address.size for address in found), installed)


def _essential(index: bytes, offered: Available) -> list[str]:
    """The names of the packages that mmdebstrap installs first."""
    blocks = (block.decode("utf-8", "replace") for block in index.split(b"\n\n") if _ESSENTIAL.search(block))
    names = {match[1] for block in blocks if (match := _PACKAGE.search(block))}
    return sorted(names & set(offered.base))


def unpack(archive: Path, index: bytes, closure: Closure, folder: Path, advance: Callable[[int], None]) -> None:
    """Write the packages of a closure and the index into a new folder. Raises MirrorError if one is not as listed."""
    missing = dict(closure.files)
    with bounded.opened(archive) as opened, naming(folder, "written"):
        folder.mkdir()
        (folder / repositories.PACKAGES).write_bytes(index)
        try:
            for member in archives.entries(opened, 0):
                digest = missing.pop(member.name, "")
                if digest and member.content:
                    _write(folder / member.name, member, digest, archive, advance)
        except ArchiveError as error:
            raise MirrorError(f"{archive} cannot be read: it {error}", advice=_VERIFY) from None
    if missing:
        raise MirrorError(f"{archive} lacks {min(missing)[:200]}, which its index lists", advice=_VERIFY)


def _write(file: Path, member: archives.Member, digest: str, archive: Path, advance: Callable[[int], None]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as target:
        hashed = hashlib.sha256()
        for block in iter(lambda: member.content.read(digests.BLOCK), b""):
            hashed.update(block)
            target.write(block)
            advance(len(block))
    if hashed.hexdigest() != digest:
        raise MirrorError(f"{archive}: {member.name} is not the package that its index lists", advice=_VERIFY)
