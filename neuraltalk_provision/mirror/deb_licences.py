"""The licences of the Debian packages in a tar.

Packages that were built from the same source package have the same copyright file, so only the smallest of them is
unpacked; if its documentation is a link to that of another package, that one is unpacked too.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.mirror import archive, deb_copyright
from neuraltalk_provision.mirror.contained import Statement, shown
from neuraltalk_provision.rules import archives

MOST_FILES = 20_000
"""The most files of a tar that are listed. One platform needs about 300."""
LIMITS = archives.Limits(archive.MOST_UNPACKED[True], MOST_FILES, archive.MOST_RATIO)
MOST_TRIES = 3
"""How many packages of a source package are unpacked."""
MOST_SOURCES = 3_000
"""How many source packages are looked into. One platform needs about 200."""
AT_ONCE = 4
_FIELD = re.compile(r"^(Package|Version|Architecture|Filename|Source):[ \t]*(\S*)", re.MULTILINE)
_UNREAD = Statement(why="it is too large to be unpacked for this list, or there are too many packages")


@dataclass(frozen=True)
class Named:
    """A package by the index; `source` is its source package."""

    name: str
    version: str
    architecture: str
    source: str


def index(content: bytes) -> dict[str, Named]:
    """{file name: package} of an index Packages."""
    found = dict[str, Named]()
    for stanza in re.split(r"\n[ \t]*\n", content.decode("utf-8", "replace")):
        fields = {key: shown(value) for key, value in _FIELD.findall(stanza)}
        if fields.get("Filename") and fields.get("Package"):
            name = fields["Package"]
            named = Named(name, fields.get("Version", ""), fields.get("Architecture", ""), fields.get("Source") or name)
            found[fields["Filename"].removeprefix("./")] = named
    return found


def read(file: Path, sizes: Mapping[str, int], named: Mapping[str, Named]) -> dict[str, Statement]:
    """{file name: statement} of the packages with these sizes in a tar. Raises ArchiveError and OSError."""
    sources = dict[str, list[str]]()
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        if sizes[name] <= deb_copyright.LARGEST_DEB:
            sources.setdefault(_source(name, named), []).append(name)
    waiting = dict(sorted(sources.items())[:MOST_SOURCES])
    found = dict[str, Statement]()
    for _ in range(MOST_TRIES):
        chosen = {files.pop(0): source for source, files in waiting.items() if files}
        for name, said in _read(file, {name: _package(name, named) for name in chosen}).items():
            found[chosen[name]] = said.statement
            if said.statement.file:
                del waiting[chosen[name]]
            else:  # the package with the documentation is the next one
                waiting[chosen[name]].sort(key=lambda other: _package(other, named) != said.package)
    return {name: found.get(_source(name, named), _UNREAD) for name in sizes}


def _read(file: Path, chosen: Mapping[str, str]) -> dict[str, deb_copyright.Found]:
    """{file name: what it says} for the files in a tar that are chosen, with the names of their packages."""
    if not chosen:
        return {}
    with file.open("rb") as opened, ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        futures, waiting = dict[str, Future[deb_copyright.Found]](), deque[Future[deb_copyright.Found]]()
        for name, content in _contents(archives.entries(opened, 0, LIMITS), chosen):
            if len(waiting) > AT_ONCE:
                waiting.popleft().result()  # so that only a few packages are in memory
            futures[name] = pool.submit(deb_copyright.read, content, chosen[name])
            waiting.append(futures[name])
        return {name: future.result() for name, future in futures.items()}


def _contents(entries: Iterator[archives.Member], chosen: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for entry in entries:
        if entry.name in chosen and entry.content and entry.size <= deb_copyright.LARGEST_DEB:
            yield entry.name, entry.content.read(entry.size)


def _package(file: str, named: Mapping[str, Named]) -> str:
    return named[file].name if file in named else file.rpartition("/")[2].split("_")[0]


def _source(file: str, named: Mapping[str, Named]) -> str:
    return named[file].source if file in named else _package(file, named)
