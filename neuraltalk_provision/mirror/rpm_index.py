"""The packages in the index of an RPM repository, repodata/*primary.xml. Pure."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from xml.etree import ElementTree

from neuraltalk_provision.mirror.contained import Statement, shown, stated

LARGEST = 8 << 20
"""The most bytes of an index when it is unpacked."""
DEEPEST = 20
_BLOCK = 1 << 16
_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"


@dataclass(frozen=True)
class Row:
    """A package of the index."""

    name: str
    version: str
    architecture: str
    statement: Statement


def is_index(name: str) -> bool:
    """Whether a file of the tar is the list of packages."""
    return name.startswith("repodata/") and "primary.xml" in name


def read(content: bytes, file: str) -> Mapping[str, Row]:
    """{file name of a package: its row}. Raises ValueError for an index that cannot be read."""
    text = _unpacked(content, file)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\0" in text:
        raise ValueError("it defines entities, or is not UTF-8, as no index does")
    try:
        return dict(_row(package, file) for package in _packages(text.decode("utf-8")))
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not XML: {error}") from None


def _packages(text: str) -> Iterator[ElementTree.Element]:
    """The packages of an index, one after the other, so that only one is in memory."""
    parser: ElementTree.XMLPullParser[Any] = ElementTree.XMLPullParser(("start", "end"))
    above = list[ElementTree.Element]()
    for place in range(0, len(text) + 1, _BLOCK):
        parser.feed(text[place : place + _BLOCK])
        for event, element in cast(Iterator[tuple[str, ElementTree.Element]], parser.read_events()):
            if len(above) > DEEPEST:
                raise ValueError("it is nested deeper than an index is")
            if event == "start":
                above.append(element)
                continue
            above.pop()
            if len(above) == 1:
                if element.tag == f"{_COMMON}package":
                    yield element
                above[0].clear()
    parser.close()


def _unpacked(content: bytes, file: str) -> bytes:
    try:
        if file.endswith(".gz"):
            opened = zlib.decompressobj(31)
            text, left = opened.decompress(content, LARGEST), opened.unconsumed_tail
        elif file.endswith(".xz"):
            unpacker = lzma.LZMADecompressor(memlimit=128 << 20)
            text = unpacker.decompress(content, LARGEST)
            left = b"" if unpacker.eof else b"more"
        elif file.endswith(".xml"):
            text, left = content[:LARGEST], content[LARGEST:]
        else:
            raise ValueError("it is compressed in a way that is not read here")
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"it is damaged: {error}") from None
    if left:
        raise ValueError(f"it is incomplete, or larger than {LARGEST:,} bytes when it is unpacked")
    return text


def _row(package: ElementTree.Element, file: str) -> tuple[str, Row]:
    version = package.find(f"{_COMMON}version")
    parts = version.attrib if version is not None else {}
    epoch = parts.get("epoch", "0")
    location = package.find(f"{_COMMON}location")
    licence = package.findtext(f"{_COMMON}format/{_RPM}license") or ""
    return (location.attrib.get("href", "") if location is not None else "").removeprefix("./"), Row(
        shown(package.findtext(f"{_COMMON}name") or ""),
        shown(f"{epoch + ':' if epoch != '0' else ''}{parts.get('ver', '')}-{parts.get('rel', '')}"),
        shown(package.findtext(f"{_COMMON}arch") or ""),
        stated([licence], file, "the index names no licence"),
    )
