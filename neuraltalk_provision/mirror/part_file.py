"""Reads the parts of a bundle, which anybody can have made. Every byte is read once, and hashed while it is copied."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import lock, parts
from neuraltalk_provision.mirror.digests import Advance, Digests, Write, exactly
from neuraltalk_provision.mirror.parts import Description, Layout, Piece

if TYPE_CHECKING:
    from hashlib import _Hash


class DamagedError(MirrorError):
    """A part is not as it was written."""

    def __init__(self, part: Path, why: str) -> None:
        super().__init__(f"{part} is damaged, or was edited: {why}", advice=COPY_AGAIN)


COPY_AGAIN = (
    "Copy the parts that are named again from where the bundle was made (`sha256sum -c` with the bundle's .sha256 file "
    "finds damaged copies there and here), then run the same command again. What was good is kept."
)


@dataclass(frozen=True)
class Part:
    """A part that was opened: its head and description are as they must be, its artifacts were not read yet."""

    path: Path
    bundle: str
    number: int
    description: Description
    lock: bytes
    signatures: Mapping[str, bytes]

    @cached_property
    def layout(self) -> Layout:
        """Its layout."""
        return parts.layouts(self.description, self.lock, self.signatures)[self.number - 1]


class _Reader:
    """Reads a part from its first byte to its last one."""

    def __init__(self, path: Path, whole: _Hash | None = None) -> None:
        self._path, self._whole = path, whole
        with reading(path):
            self._file = path.open("rb", buffering=0)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def exact(self, size: int) -> bytes:
        with reading(self._path):
            content = exactly(self._file.read, size)
        if len(content) < size:
            raise DamagedError(self._path, "it ends too early")
        return content

    def small(self, size: int) -> bytes:
        content = self.exact(size)
        if self._whole:
            self._whole.update(content)
        return content

    def expect(self, wanted: bytes, what: str) -> None:
        if self.small(len(wanted)) != wanted:
            raise DamagedError(self._path, f"{what} is not as expected")

    def member(self, folder: str, path: str, size: int) -> bytes:
        self.expect(parts.header(folder, path, size), f"the header of {path}")
        content = self.small(size)
        self.padding(path, size)
        return content

    def padding(self, path: str, size: int) -> None:
        self.expect(bytes(parts.padded(size) - size), f"the end of {path}")

    def skip(self, size: int) -> None:
        with reading(self._path):
            self._file.seek(size, os.SEEK_CUR)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert an OSError while a part is read to the error that names the part."""
    try:
        yield
    except OSError as error:
        raise MirrorError(
            f"{path} cannot be read: {error.strerror or error}",
            advice="Connect the medium again, or copy this part from another one, then run the same command again. "
            "What was taken from other parts is kept.",
        ) from error


def opened(path: Path) -> Part:
    """A part, with its size and all of its small members checked. Raises DamagedError."""
    with _Reader(path) as reader:
        first = reader.exact(parts.BLOCK)
        digits = first[124:135]
        size = int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else 0
        if not 0 < size <= parts.LARGEST_HEAD:
            raise DamagedError(path, "it does not begin like a part")
        text = reader.exact(size)
        try:
            head = parts.load(parts.Head, text)
        except ValueError as error:
            raise DamagedError(path, f"part.json: {error}") from None
        folder = parts.part_name(head.bundle, head.part, head.parts).removesuffix(".tar")
        if first != parts.header(folder, "part.json", size):
            raise DamagedError(path, "the header of part.json is not as expected")
        reader.padding("part.json", size)
        document = reader.member(folder, "bundle.json", head.bundle_size)
        description = _description(path, head, document)
        content = _digested(path, lock.FILE_NAME, reader, folder, description.lock, parts.LARGEST_LOCK)
        signatures = {
            one.file: _digested(path, one.file, reader, folder, one, parts.LARGEST_SIGNATURE)
            for one in description.signatures
        }
    part = Part(path, head.bundle, head.part, description, content, signatures)
    if part.layout.first["part.json"] != text:
        raise DamagedError(path, "part.json is not as expected")
    with reading(path):
        there = path.stat().st_size
    if there != part.layout.size:
        raise DamagedError(path, f"it has {there:,} bytes, but must have {part.layout.size:,}")
    return part


def _description(path: Path, head: parts.Head, document: bytes) -> Description:
    if hashlib.sha256(document).hexdigest() != head.bundle:
        raise DamagedError(path, "bundle.json does not have the digest in part.json")
    try:
        description = parts.load(Description, document)
    except ValueError as error:
        raise DamagedError(path, f"bundle.json: {error}") from None
    if (description.parts, description.lock.sha256) != (head.parts, head.lock) or head.part > head.parts:
        raise DamagedError(path, "part.json and bundle.json contradict each other")
    return description


def _digested(path: Path, name: str, reader: _Reader, folder: str, wanted: parts.Digested, limit: int) -> bytes:
    if wanted.size > limit:
        raise DamagedError(path, f"{name} is larger than {limit:,} bytes")
    content = reader.member(folder, name, wanted.size)
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise DamagedError(path, f"{name} does not have the digest in bundle.json")
    return content


def lock_of(part: Part) -> lock.Lock:
    """The lock that a part contains. Raises DamagedError if it does not parse or is not what the bundle contains."""
    try:
        known = lock.parse(part.lock, part.path)
        parts.check(part.description, known)
    except MirrorError as error:
        raise DamagedError(part.path, error.message.replace(f"{part.path}/", "")) from None
    except ValueError as error:
        raise DamagedError(part.path, str(error)) from None
    return known


def read(
    part: Part, target: Callable[[Piece], Write | None], digests: Digests, advance: Advance, whole: _Hash | None = None
) -> Iterator[tuple[Piece, str]]:
    """Read the pieces for which `target` returns a function, which gets their bytes; yield each with its sha256.

    After the last one the rest of the part is checked: pieces are confirmed only when the iterator has ended without
    a DamagedError. `whole` gets all bytes of the part; then no piece can be left out.
    """
    layout = part.layout
    found = {path: hashlib.sha256(content).hexdigest() for path, content in layout.first.items()}
    with _Reader(part.path, whole) as reader:
        for path, content in layout.first.items():
            if reader.member(layout.folder, path, len(content)) != content:
                raise DamagedError(part.path, f"{path} was changed while the part was read")
        for member in layout.pieces:
            reader.expect(parts.header(layout.folder, member.name, member.size), f"the header of {member.name}")
            write = target(member.piece)
            if write is None:
                reader.skip(member.size)
            else:
                digest = hashlib.sha256()
                hashes = [
                    digest,
                    *(digests.continued(member.piece) if member.split else []),
                    *([whole] if whole else []),
                ]
                digests.copy(reader.exact, member.size, hashes, write, advance)
                found[member.name] = digest.hexdigest()
                yield member.piece, found[member.name]
            reader.padding(member.name, member.size)
        sums = reader.member(layout.folder, "SHA256SUMS", layout.sums_size).splitlines(keepends=True)
        paths = [*layout.first, *(member.name for member in layout.pieces)]
        if len(sums) != len(paths):
            raise DamagedError(part.path, "SHA256SUMS is not as expected")
        for path, line in zip(paths, sums, strict=True):
            if line[64:] != parts.sums_line("", path) or found.get(path, "").encode() not in (b"", line[:64]):
                raise DamagedError(part.path, f"{path} does not have the digest in SHA256SUMS")
        reader.expect(parts.END, "its end")
