"""The format of a bundle: the names, descriptions and layout of its parts, and the state of a mirror. Pure.

A part is a tar archive without compression, which every tar can list and unpack. Below one directory it contains, in
this order: part.json (which part of which bundle it is), bundle.json (what the whole bundle contains), mirror.lock and
its signatures, the artifacts and pieces of artifacts of this part, and SHA256SUMS, for `sha256sum -c`. Every byte of a
part follows from these files. So a reader does not interpret the archive: it compares it with what it must contain.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from neuraltalk_provision import field_words
from neuraltalk_provision.catalogue.model import Sha256
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import cache_files, lock

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
MOST_PARTS, MOST_FILES, MOST_SIGNATURES = 999, 5_000, 90
LARGEST_LOCK, LARGEST_SIGNATURE, LARGEST_DOCUMENT = lock.LARGEST, 1 << 18, 4 << 20
LARGEST_HEAD = 4_096
"""The maximum size of part.json in bytes."""
LARGEST = 10**15
SMALLEST_PART = 10**6

PREFIX = "neuraltalk-mirror"
SIGNATURE_NAME = r"mirror\.lock\.[A-Za-z0-9._+-]*(sig|proof)[A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)?"
PART_NAME = re.compile(PREFIX + r"-([0-9a-f]{12})-part-(\d{1,3})-of-(\d{1,3})\.tar")

FileName = Annotated[str, StringConstraints(pattern=f"^{lock.PLAIN_NAME}$", max_length=200)]
Size = Annotated[int, Field(ge=0, le=LARGEST)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Head(_Document):
    """part.json: which part of which bundle this is. `bundle` and `lock` are the sha256 of bundle.json and the lock."""

    format: Literal["part of a neuraltalk-provision mirror bundle"] = "part of a neuraltalk-provision mirror bundle"
    schema_version: Literal[1] = 1
    bundle: Sha256
    bundle_size: Annotated[int, Field(ge=1, le=LARGEST_DOCUMENT)]
    part: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    parts: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    lock: Sha256


class Digested(_Document):
    """A file by its size in bytes and its sha256."""

    size: Size
    sha256: Sha256


class SignatureFile(Digested):
    """A signature or a proof of the lock; `file` is its path beside the lock."""

    file: Annotated[str, StringConstraints(pattern=f"^{SIGNATURE_NAME}$", max_length=200)]


class CachedFile(Digested):
    """A file of a packed generation; mirror/cache_files.py says where it belongs."""

    file: Annotated[str, StringConstraints(pattern=f"^{cache_files.PATTERN}$", max_length=200)]


class Piece(_Document):
    """`size` bytes of an artifact from `offset` on, in part number `part`."""

    part: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    file: FileName
    offset: Size
    size: Size


class Description(_Document):
    """bundle.json, the same in all parts. `left_out` are the files that the mirror on the other side already has."""

    schema_version: Literal[1] = 1
    lock: Digested
    signatures: Annotated[tuple[SignatureFile, ...], Field(max_length=MOST_SIGNATURES)] = ()
    left_out: Annotated[tuple[FileName, ...], Field(max_length=MOST_FILES)] = ()
    cache: Annotated[tuple[CachedFile, ...], Field(max_length=MOST_FILES)] = ()
    pieces: Annotated[tuple[Piece, ...], Field(max_length=MOST_FILES + MOST_PARTS)] = ()

    @property
    def parts(self) -> int:
        """The number of parts."""
        return max((piece.part for piece in self.pieces), default=1)

    @property
    def split(self) -> frozenset[str]:
        """The files that are split over several parts."""
        counts = Counter(piece.file for piece in self.pieces)
        return frozenset(file for file, times in counts.items() if times > 1)


class StateFile(Digested):
    """A file that a mirror has, hashed."""

    file: FileName


class State(_Document):
    """What `provision mirror state` writes: the files of a mirror that are as its lock says."""

    format: Literal["state of a neuraltalk-provision mirror"] = "state of a neuraltalk-provision mirror"
    schema_version: Literal[1] = 1
    lock: Sha256
    files: Annotated[tuple[StateFile, ...], Field(max_length=MOST_FILES)] = ()


Document = TypeVar("Document", bound=_Document)


@dataclass(frozen=True)
class Member:
    """An artifact in a part, or a piece of one that is split over several parts."""

    name: str
    size: int
    piece: Piece
    split: bool


@dataclass(frozen=True)
class Layout:
    """A part: the contents of its first members, {path: content}, and its pieces."""

    folder: str
    first: Mapping[str, bytes]
    pieces: tuple[Member, ...]

    @property
    def sums_size(self) -> int:
        """The size of SHA256SUMS."""
        return sum(len(sums_line("0" * 64, path)) for path in (*self.first, *(piece.name for piece in self.pieces)))

    @property
    def size(self) -> int:
        """The size of the part in bytes."""
        sizes = {path: len(content) for path, content in self.first.items()}
        sizes |= {member.name: member.size for member in self.pieces} | {"SHA256SUMS": self.sums_size}
        return sum(len(header(self.folder, path, size)) + padded(size) for path, size in sizes.items()) + len(END)


def dump(document: _Document) -> bytes:
    """The only form in which a document is written and accepted."""
    return (json.dumps(document.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode("ascii")


def load(kind: type[Document], content: bytes) -> Document:
    """A document from a file that anybody can have written. Raises ValueError with the place and the problem."""
    try:
        document = kind.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(field_words.first_problem(error)) from None
    if dump(document) != content:
        raise ValueError("it was edited: it is not written as this program writes it")
    return document


def bundle_name(bundle: str) -> str:
    """The name of a bundle, with which the names of all its files begin; `bundle` is the sha256 of bundle.json."""
    return f"{PREFIX}-{bundle[:12]}"


def part_name(bundle: str, number: int, total: int) -> str:
    """The file name of a part."""
    width = len(str(total))
    return f"{bundle_name(bundle)}-part-{number:0{width}}-of-{total}.tar"


def layouts(description: Description, content: bytes, signatures: Mapping[str, bytes]) -> tuple[Layout, ...]:
    """The layouts of all parts; `content` is the lock."""
    document = dump(description)
    bundle = hashlib.sha256(document).hexdigest()
    total, split = description.parts, description.split
    members: dict[int, list[Member]] = {}
    for piece in description.pieces:
        name = _member_name(piece, piece.file in split)
        members.setdefault(piece.part, []).append(Member(name, piece.size, piece, piece.file in split))
    found = list[Layout]()
    for number in range(1, total + 1):
        head = Head(bundle=bundle, bundle_size=len(document), part=number, parts=total, lock=description.lock.sha256)
        first = {"part.json": dump(head), "bundle.json": document, lock.FILE_NAME: content, **signatures}
        folder = part_name(bundle, number, total).removesuffix(".tar")
        found.append(Layout(folder, first, tuple(members.get(number, ()))))
    return tuple(found)


def _member_name(piece: Piece, split: bool) -> str:
    return f"pieces/{piece.file}.from-byte-{piece.offset:015}" if split else f"artifacts/{piece.file}"


def header(folder: str, path: str, size: int) -> bytes:
    """The header of a member of the archive."""
    info = tarfile.TarInfo(f"{folder}/{path}")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def padded(size: int) -> int:
    """The size of a member's content in the archive."""
    return -(-size // BLOCK) * BLOCK


def sums_line(sha256: str, path: str) -> bytes:
    """A line of SHA256SUMS."""
    return f"{sha256}  {path}\n".encode("ascii")


def check(description: Description, known: lock.Lock) -> None:
    """Raises ValueError if the bundle does not contain, or leave out, exactly the files of the lock, and its cache."""
    sizes = {entry.file: entry.size for entry in known.artifacts}
    reserved = [file for file in sizes if is_reserved(file)]
    if reserved:
        raise ValueError(f"its lock names a file {reserved[0][:200]}, which cannot be an artifact")
    cached = [one.file for one in description.cache]
    if cache_files.incomplete(cached) or set(description.left_out) & set(cached):
        raise ValueError("it does not contain all files of a packed generation")
    sizes |= {one.file: one.size for one in description.cache}
    ends = dict.fromkeys(sizes, 0)
    counts = Counter(piece.file for piece in description.pieces)
    last = 0
    for piece in description.pieces:
        if piece.offset != ends.get(piece.file) or piece.file in description.left_out:
            raise ValueError(f"its pieces of {piece.file} do not fit its lock")
        if (piece.size == 0 and counts[piece.file] > 1) or not last <= piece.part <= last + 1:
            raise ValueError(f"its pieces of {piece.file} are not in order")
        ends[piece.file] += piece.size
        last = piece.part
    for file, size in sizes.items():
        if file not in counts and file not in description.left_out:
            raise ValueError(f"it does not contain {file}")
        if file in counts and ends[file] != size:
            raise ValueError(f"its pieces of {file} have {ends[file]:,} bytes, its lock says {size:,}")
    names = [*description.left_out, *cached, *(signature.file for signature in description.signatures)]
    if len(set(names)) < len(names) or set(description.left_out) - set(sizes):
        raise ValueError("it names a file twice, or one that is not in its lock")


def is_reserved(file: str) -> bool:
    """Whether a name cannot be that of an artifact in a bundle."""
    return len(file) > 200 or file.startswith(lock.FILE_NAME) or cache_files.is_one(file)


def bytes_of(text: str) -> int:
    """The number of bytes in a text such as 200M, 4.7G or 1T (powers of 1,000). Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([MGT])B?", text.strip(), re.IGNORECASE | re.ASCII)
    advice = "Write for example 200M, 4.7G or 25G: M, G and T are powers of 1,000, as on media. The least is 1M."
    if not match:
        raise UsageError(f"--size {text}: this is not a size", advice=advice)
    whole, _, fraction = match[1].partition(".")
    size = int(whole + fraction.ljust(3, "0")) * {"M": 10**3, "G": 10**6, "T": 10**9}[match[2].upper()]
    if not SMALLEST_PART <= size <= LARGEST:
        raise UsageError(f"--size {text}: a part has at least 1M and at most 1000T", advice=advice)
    return size
