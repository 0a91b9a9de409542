"""Downloads one file with curl: to a temporary name, resumed where it stopped, and used only if its digest is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import IO

from neuraltalk_provision.catalogue.model import UrlSource
from neuraltalk_provision.mirror import addresses, programs, pull_errors

CURL = (
    *("curl", "--fail", "--location", "--max-redirs", "10", "--silent", "--show-error", "--globoff"),
    *("--netrc-optional", "--proto-redir", "=https,http", "--connect-timeout", "30"),
    *("--no-compressed", "--no-include", "--write-out", "", "--output", "-"),
)
"""curl as it is always called. It reads the user's ~/.curlrc, which can name a proxy or a certificate.

The last line takes back what such a file may say about the content, as far as options can.
"""
LARGEST = 16 << 30
"""The maximum size of a file whose size is not known, in bytes."""
ATTEMPTS = 5
PAUSE = 2.0
_BLOCK, _HEAD = 1 << 20, 4_000
_NO_RANGES = 33


def fetch(
    cache: Path,
    source: UrlSource,
    *,
    address: str = "",
    advance: Callable[[int], None] = lambda size: None,
    stop: Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """The complete and checked file in `cache`; `address` replaces the source's own, `advance` gets the size so far.

    `environment` are variables for curl, in addition to those of this process.

    A file that is not complete stays as `SHA256.incomplete` and is continued by the next call. One with another digest
    is removed. Raises MirrorError with the reason in words.
    """
    final, part = cache / source.sha256, cache / f"{source.sha256}.incomplete"
    with pull_errors.of_disk(cache):
        cache.mkdir(parents=True, exist_ok=True)
        if final.is_file() and _digest(final)[0] == source.sha256:
            return final
        address = address or source.address
        addresses.refuse_unsafe_file(address)
        _download(part, source, address, advance, stop or Event(), {**os.environ, **(environment or {})})
        found, head = _digest(part)
        if found != source.sha256:
            part.unlink()
            raise pull_errors.wrong_content(address, head, found, source.sha256)
        part.replace(final)
    return final


def _download(
    part: Path,
    source: UrlSource,
    address: str,
    advance: Callable[[int], None],
    stop: Event,
    environment: Mapping[str, str],
) -> None:
    """Fetch what the partial file lacks. The bytes go through this process, so that curl ends with it."""
    limit = source.size or LARGEST
    if _size(part) > limit:
        part.unlink()
    if not source.size and _size(part) and _digest(part)[0] == source.sha256:
        return
    for attempt in range(1, ATTEMPTS + 1):
        with part.open("ab") as file:
            begin = file.tell()
            if begin == source.size and begin:
                return

            def write(data: bytes, file: IO[bytes] = file) -> None:
                if file.tell() + len(data) > limit:
                    part.unlink()
                    raise pull_errors.of_curl(address, pull_errors.TOO_LARGE, f"more than {limit:,} bytes arrived")
                file.write(data)
                advance(file.tell())

            ended = programs.run(_command(address, begin, limit), environment, sink=write, stop=stop)
        beyond = begin and not source.size and _size(part) == begin  # curl takes the answer 416 for success
        cut = not ended.code and _is_cut(part, begin, source.size)
        if not ended.code and not beyond and not cut:
            return
        if beyond or (begin and ended.code in (_NO_RANGES, pull_errors.TOO_LARGE)):
            part.unlink()  # the server sends the file only from its beginning, or another file was begun
        elif stop.is_set() or not (cut or pull_errors.worth_another(ended.code, ended.errors)):
            break
        stop.wait(PAUSE * attempt)
    if cut:
        raise pull_errors.of_curl(address, pull_errors.CUT, f"{_size(part):,} of {source.size:,} bytes arrived")
    raise pull_errors.of_curl(address, ended.code, ended.errors)


def _is_cut(part: Path, begin: int, size: int) -> bool:
    """Whether curl took the end of the connection for that of the file: the server had not told the length."""
    with part.open("rb") as content:
        return begin < _size(part) < size and not pull_errors.is_page(content.read(_HEAD))


def _command(address: str, begin: int, limit: int) -> list[str]:
    """The call of curl for the bytes from `begin` on, of a file of at most `limit` bytes."""
    return [
        *(*CURL, "--proto", "=https,http,file", "--speed-limit", "100", "--speed-time", "120"),
        *("--max-filesize", str(limit - begin)),
        *(("--continue-at", str(begin)) if begin else ()),
        *("--url", address),
    ]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _digest(file: Path) -> tuple[str, bytes]:
    """(SHA-256 of a file, its first bytes); the file is on the disk afterwards, not only in memory."""
    digest, head = hashlib.sha256(), b""
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            head = head or block[:_HEAD]
            digest.update(block)
        os.fsync(content.fileno())
    return digest.hexdigest(), head
