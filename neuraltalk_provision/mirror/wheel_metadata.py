"""The licence of a wheel: the file METADATA in its dist-info, read from the end of the wheel as it passes by."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from neuraltalk_provision.mirror.contained import Statement, shown, stated

TAIL = 8 << 20
"""How many bytes of the end of a wheel are kept. They have the list of its files and, as a rule, its METADATA."""
LARGEST_TEXT = 1 << 20
MOST_FILES = 100_000
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True)
class Metadata:
    """What a wheel says of itself; empty where it says nothing."""

    name: str
    version: str
    statement: Statement


class Tail(io.RawIOBase):
    """A file of which only the last bytes are there; what comes before them cannot be read."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__()
        self._content, self._size, self._place = content, size, 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the whole file."""
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    def tell(self) -> int:
        """The place in the whole file."""
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The bytes at this place. Raises ValueError for a place before the end that is there."""
        start = self._place - (self._size - len(self._content))
        if start < 0:
            raise ValueError(f"it is not in the last {TAIL >> 20} MiB of the wheel")
        block = self._content[start : None if size is None or size < 0 else start + size]
        self._place += len(block)
        return block


def read(tail: bytes, size: int, file: str) -> Metadata:
    """What a wheel of `size` bytes says of itself, by its last bytes; never raises for what is in the wheel."""
    words = file.removesuffix(".whl").split("-")
    name, version = words[0], words[1] if len(words) > 1 else ""
    try:
        with zipfile.ZipFile(Tail(tail, size)) as opened:
            found = [info for info in opened.infolist()[:MOST_FILES] if _METADATA.fullmatch(info.filename)]
            if len(found) != 1 or found[0].file_size > LARGEST_TEXT:
                return Metadata(name, version, Statement(why="it has no METADATA of the usual size"))
            with opened.open(found[0]) as metadata:
                text = metadata.read(LARGEST_TEXT)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        return Metadata(name, version, Statement(why=f"its METADATA cannot be read: {error}"))
    head = HeaderParser().parsestr(text.decode("utf-8", "replace"))
    return Metadata(
        _field(head, "Name") or name, _field(head, "Version") or version, statement(head, found[0].filename)
    )


def statement(head: Message, file: str) -> Statement:
    """The licence in METADATA: License-Expression, otherwise the classifiers, otherwise License if it is a name."""
    expression = _field(head, "License-Expression")
    if expression:
        return stated([expression], file, "")
    classifiers = [text.split(" :: ")[-1] for text in head.get_all("Classifier", []) if text.startswith("License :: ")]
    names = [text for text in classifiers if text != "OSI Approved"]
    text = str(head.get("License", "")).strip()
    if not names and text.upper() != "UNKNOWN":
        if "\n" in text or len(text) > 100:
            return Statement((), file, "METADATA contains the text of a licence, not its name")
        names = [text]
    return stated(names, file, "METADATA names no licence")


def _field(head: Message, name: str) -> str:
    return shown(str(head.get(name, "")))
