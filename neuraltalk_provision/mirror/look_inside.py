"""Reads what a tar of OS packages or wheels contains: each file with its SHA-256, its version and its licence."""

from __future__ import annotations

import hashlib
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from neuraltalk_provision.mirror import deb_licences, rpm_index, wheel_metadata
from neuraltalk_provision.mirror.contained import Inside, Kind, Package, Statement
from neuraltalk_provision.mirror.repositories import PACKAGES
from neuraltalk_provision.rules import archive_formats as formats
from neuraltalk_provision.rules import archive_tree, archives

LARGEST_INDEX = 8 << 20
MOST_WHEELS = 5_000
_BLOCK = 1 << 20
_KINDS: Mapping[str, Kind] = {".deb": "deb", ".rpm": "rpm", ".whl": "wheel"}
_INDEX = Statement(why="it is the index of the packages")
_OTHER = Statement(why="it is no package that is known here")
_UNREAD = Statement(why="its index, or the package itself, was not read")


def read(file: Path, advance: Callable[[int], None] = lambda count: None) -> Inside:
    """What a tar of the mirror contains. A file that cannot be read to its end gives the reason instead."""
    try:
        with file.open("rb") as opened:
            seen = _look(archives.entries(opened, 0, deb_licences.LIMITS), advance)
        named = deb_licences.index(seen.indexes.get(PACKAGES, b""))
        debs = {package.file: package.size for package in seen.packages if package.kind == "deb"}
        statements = deb_licences.read(file, debs, named)
    except (formats.ArchiveError, OSError) as error:
        return Inside(problem=f"its content cannot be read: {error}")
    rpms, problem = _rpms(seen.indexes)
    rows = [_deb(package, named, statements) for package in seen.packages]
    rows = [_rpm(package, rpms, problem) for package in rows]
    return Inside(tuple(sorted(rows, key=lambda package: package.file)))


@dataclass
class _Seen:
    packages: list[Package] = field(default_factory=list)
    indexes: dict[str, bytes] = field(default_factory=dict)


def _look(entries: Iterable[archives.Member], advance: Callable[[int], None]) -> _Seen:
    """Every file of a tar, hashed, and the content of its indexes."""
    seen = _Seen()
    for entry in entries:
        if entry.kind == archive_tree.FILE and not entry.target:
            is_index = entry.name == PACKAGES or rpm_index.is_index(entry.name)
            kind = _KINDS.get(posixpath.splitext(entry.name)[1], "file")
            kept = LARGEST_INDEX if is_index else wheel_metadata.TAIL if kind == "wheel" else 0
            content, digest = _taken(entry, kept)
            if is_index and entry.size <= LARGEST_INDEX:
                seen.indexes[entry.name] = content
            statement = _UNREAD if kind != "file" else _INDEX if is_index or "repodata/" in entry.name else _OTHER
            package = Package(kind, entry.name, entry.size, digest, statement=statement)
            if kind == "wheel" and len(seen.packages) < MOST_WHEELS:
                said = wheel_metadata.read(content, entry.size, entry.name)
                package = replace(package, name=said.name, version=said.version, statement=said.statement)
            seen.packages.append(package)
            advance(entry.size)
    return seen


def _taken(entry: archives.Member, kept: int) -> tuple[bytes, str]:
    """The last `kept` bytes of a file of the tar, and the SHA-256 of all of it."""
    digest, blocks, held = hashlib.sha256(), deque[bytes](), 0
    while block := entry.content.read(_BLOCK):
        digest.update(block)
        blocks.append(block)
        held += len(block)
        while blocks and held - len(blocks[0]) >= kept:
            held -= len(blocks.popleft())
    content = b"".join(blocks)
    return content[max(0, len(content) - kept) :], digest.hexdigest()


def _deb(package: Package, named: Mapping[str, deb_licences.Named], statements: Mapping[str, Statement]) -> Package:
    if package.kind != "deb":
        return package
    row = named.get(package.file)
    if row is None:
        return replace(package, statement=statements[package.file])
    said = statements[package.file]
    return replace(package, name=row.name, version=row.version, architecture=row.architecture, statement=said)


def _rpm(package: Package, rpms: Mapping[str, rpm_index.Row], problem: str) -> Package:
    if package.kind != "rpm":
        return package
    row = rpms.get(package.file)
    if row is None:
        return replace(package, statement=Statement(why=problem or "it is not in the index of the repository"))
    return replace(package, name=row.name, version=row.version, architecture=row.architecture, statement=row.statement)


def _rpms(indexes: Mapping[str, bytes]) -> tuple[dict[str, rpm_index.Row], str]:
    """{file name: row} of the indexes in repodata, and why one of them cannot be read."""
    rows, problem = dict[str, rpm_index.Row](), ""
    for name, content in sorted(indexes.items()):
        if rpm_index.is_index(name):
            try:
                rows.update(rpm_index.read(content, name))
            except ValueError as error:
                problem = f"the index {name} cannot be read: {error}"
    return rows, problem
