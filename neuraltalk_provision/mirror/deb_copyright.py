"""The licences of a Debian package: its file usr/share/doc/PACKAGE/copyright, which is read without unpacking the rest.

A .deb is an ar archive (deb(5)); its data.tar is a tar, mostly compressed with xz. Everything is limited before it is
read: the size of what is unpacked, the memory of xz, the headers of the tar, and the size of the text.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from neuraltalk_provision.mirror.contained import Statement, shown, stated
from neuraltalk_provision.rules import archive_headers
from neuraltalk_provision.rules.archive_formats import ArchiveError

LARGEST_DEB = 64 << 20
"""The most bytes of a package that is read; the whole of it is held in memory."""
MOST_RATIO, FREE = 64, 1 << 20
"""How much larger than its file the content of a package may be, and from which size on."""
MOST_UNPACKED = 256 << 20
MOST_MEMORY = 192 << 20
"""The most memory that xz may use; its level -9 needs 65 MiB."""
LARGEST_TEXT = 1 << 20
DOCS = "usr/share/doc/"
_BLOCK = 1 << 16
_FORMAT = re.compile(r"^Format(-Specification)?:.*(copyright-format|dep5|DEP-?5)", re.IGNORECASE | re.MULTILINE)
_LICENCE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """The statement of a package; `package` is another one, if its documentation is that of the other one."""

    statement: Statement
    package: str = ""


def read(content: bytes, package: str) -> Found:
    """What the package says of its licence; never raises for what is in the package."""
    try:
        return _search(_data(content), package)
    except (ArchiveError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError, OverflowError) as error:
        return Found(Statement(why=f"the package cannot be read: {str(error) or type(error).__name__}"))


def _data(content: bytes) -> _Unpacked:
    """The open data.tar of a package."""
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("it is not an ar archive")
    place = 8
    while place + 60 <= len(content):
        header = content[place : place + 60]
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not re.fullmatch(rb"[0-9]{1,10}", digits):
            break
        name, size, start = header[:16].strip().rstrip(b"/").decode("ascii", "replace"), int(digits), place + 60
        if name.startswith("data.tar"):
            if start + size > len(content):
                break
            return _Unpacked(memoryview(content)[start : start + size], name.removeprefix("data.tar"))
        place = start + size + size % 2
    raise ValueError("it has no complete data.tar")


class _Unpacked:
    """The data.tar without its compression, read in blocks, with a limit."""

    def __init__(self, packed: memoryview, suffix: str) -> None:
        self._packed, self._place, self._left = packed, 0, min(MOST_UNPACKED, MOST_RATIO * len(packed) + FREE)
        self._step = self._stepper(suffix)

    def _stepper(self, suffix: str) -> Callable[[int], bytes]:
        match suffix:
            case ".xz" | ".lzma":
                return self._xz(lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MOST_MEMORY))
            case ".gz":
                return self._gzip(zlib.decompressobj(31))
            case "":
                return self._take
        raise ValueError(f"data.tar{suffix} is compressed in a way that is not read here")

    def _take(self, size: int) -> bytes:
        block = bytes(self._packed[self._place : self._place + size])
        self._place += len(block)
        return block

    def _xz(self, opened: lzma.LZMADecompressor) -> Callable[[int], bytes]:
        def step(size: int) -> bytes:
            while not opened.eof:
                given = self._take(_BLOCK) if opened.needs_input else b""
                if not given and opened.needs_input:
                    raise EOFError("its data.tar is incomplete")
                if block := opened.decompress(given, size):
                    return block
            return b""

        return step

    def _gzip(self, opened: Any) -> Callable[[int], bytes]:
        def step(size: int) -> bytes:
            while not opened.eof:
                given = opened.unconsumed_tail or self._take(_BLOCK)
                if not given:
                    raise EOFError("its data.tar is incomplete")
                if block := opened.decompress(given, size):
                    return cast(bytes, block)
            return b""

        return step

    def read(self, size: int) -> bytes:
        """The next bytes: as many as there are, at most `size`."""
        blocks, wanted = list[bytes](), size
        while wanted and (block := self._step(wanted)):
            blocks.append(block)
            wanted -= len(block)
        self._left -= size - wanted
        if self._left < 0:
            raise ValueError("it is much larger when it is unpacked than such packages are")
        return b"".join(blocks)


def _search(data: _Unpacked, package: str) -> Found:
    folder, file = f"{DOCS}{package}", f"{DOCS}{package}/copyright"
    with tarfile.open(fileobj=cast(Any, data), mode="r|", bufsize=_BLOCK, tarinfo=archive_headers.Member) as opened:
        while (member := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined]  # otherwise it keeps every member in memory
            name = posixpath.normpath(member.name).lstrip("/")
            if name == file and member.isreg():
                taken = opened.extractfile(member)
                return Found(statement(taken.read(LARGEST_TEXT + 1) if taken else b"", file))
            if name in (folder, file) and (member.issym() or member.islnk()):
                return _link(name, shown(member.linkname))
    return Found(Statement(why=f"it has no {file}"))


def _link(name: str, target: str) -> Found:
    """For a package whose documentation is a link: usr/share/doc/g++ to `cpp`, or its copyright to ../cpp/copyright."""
    whole = posixpath.normpath(posixpath.join("/", posixpath.dirname(name), target)).lstrip("/")
    other = whole.removeprefix(DOCS).split("/")[0] if whole.startswith(DOCS) else ""
    return Found(Statement(why=f"its documentation is that of {other or target}, which is not in this tar"), other)


def statement(content: bytes, file: str) -> Statement:
    """The licences that a copyright file names, if it is machine-readable (Debian's copyright-format 1.0)."""
    if len(content) > LARGEST_TEXT:
        return Statement((), file, "its copyright file is too large")
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    if not _FORMAT.search(text[:4096]):
        return Statement((), file, "its copyright file is not in the machine-readable format: read the file")
    return stated(_LICENCE.findall(text), file, "its copyright file names no licence: read the file")
