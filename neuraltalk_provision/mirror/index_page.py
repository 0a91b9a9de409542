"""Reads one page of a package index: HTML (PEP 503), JSON (PEP 691), or a directory with files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from neuraltalk_provision.errors import MirrorError, naming
from neuraltalk_provision.mirror import bounded

_LARGEST = 64 << 20
_MOST = 200_000


@dataclass(frozen=True)
class Link:
    """A file in an index; `sha256` is empty and `size` in bytes is 0 if the index does not tell them."""

    file: str
    address: str
    sha256: str = ""
    size: int = 0


def links(content: bytes, address: str) -> list[Link]:
    """The files that a page names; `address` is where it was found. Raises MirrorError if it is no such page."""
    found = _of_json(content, address) if content.lstrip()[:1] == b"{" else _of_html(content, address)
    local = address.startswith("file:")
    schemes = ("http", "https", "file") if local else ("http", "https")
    # What a page says goes into command lines and messages.
    return [
        link
        for link in found[:_MOST]
        if urlsplit(link.address).scheme in schemes and not re.search(r"[\s\x00-\x1f\x7f]", link.address)
    ]


def of_directory(address: str) -> list[Link]:
    """The files of a directory or page on this machine; none if it does not exist."""
    place = Path(unquote(urlsplit(address).path))
    with naming(place, "read", MirrorError):
        if place.is_dir() and (place / "index.html").is_file():
            place, address = place / "index.html", f"{address.rstrip('/')}/index.html"
        if place.is_file():
            return [_measured(link) for link in links(bounded.read(place, _LARGEST).content, address)]
        if not place.is_dir():
            return []
        files = sorted(file for file in place.iterdir() if file.suffix == ".whl")
        return [_measured(Link(file.name, file.as_uri())) for file in files]


def _measured(link: Link) -> Link:
    """The link with the size of its file, if that is on this machine."""
    file = Path(unquote(urlsplit(link.address).path))
    local = link.address.startswith("file:") and not link.size and file.is_file()
    return replace(link, size=file.stat().st_size) if local else link


def _of_json(content: bytes, address: str) -> list[Link]:
    try:
        files: Any = json.loads(content)["files"]
        return [
            Link(
                str(file["filename"]),
                urldefrag(urljoin(address, str(file["url"])))[0],
                _sha256(str(file.get("hashes", {}).get("sha256", ""))),
                file["size"] if isinstance(file.get("size"), int) else 0,
            )
            for file in files
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MirrorError(f"{address}: its answer is not that of a package index", advice=_ADVICE) from None


def _of_html(content: bytes, address: str) -> list[Link]:
    parser = _Anchors()
    parser.feed(content.decode("utf-8", "replace"))
    base = urljoin(address, parser.base)
    found = []
    for text in parser.found:
        try:
            place, fragment = urldefrag(urljoin(base, text))
            file = unquote(urlsplit(place).path).rpartition("/")[2]
        except ValueError:
            continue  # not an address
        digest = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)", fragment)
        found.append(Link(file, place, _sha256(digest[1]) if digest else ""))
    return found


_ADVICE = (
    "Open the address in a browser on this machine: it can be the page of a proxy. `pip config list` shows which "
    "index is used."
)


def _sha256(text: str) -> str:
    return text.lower() if re.fullmatch(r"[0-9a-fA-F]{64}", text) else ""


class _Anchors(HTMLParser):
    """The links of a page, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href") or ""
        if tag == "base" and not self.base:
            self.base = address
        elif tag == "a" and address and len(self.found) < _MOST:
            self.found.append(address)
