"""Finds files of packages in the indexes that pip uses on this machine (PEP 503 and PEP 691).

Only pages of the index are read; pip itself is asked for nothing but its settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from neuraltalk_provision.catalogue import Wheel
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import download, index_page, pip_settings, programs, pull_errors
from neuraltalk_provision.mirror.index_page import Link

_LARGEST = 64 << 20
_AT_ONCE = 8
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class Listing:
    """What the indexes have of a package: its links, and the problems of indexes that could not be read."""

    links: tuple[Link, ...]
    problems: tuple[ProvisionError, ...] = ()


def find(wheels: Sequence[Wheel], settings: pip_settings.Settings, stop: Event) -> dict[str, Link]:
    """{file: where it is} for all of these wheels. Raises MirrorError if one is missing or has another digest."""
    listings = listed({wheel.name for wheel in wheels}, settings, stop)
    return {wheel.file: _chosen(wheel, listings[wheel.name], settings) for wheel in wheels}


def listed(names: set[str], settings: pip_settings.Settings, stop: Event) -> Mapping[str, Listing]:
    """{package: what all indexes have of it}."""

    def one(name: str) -> Listing:
        links, problems = list[Link](), list[ProvisionError]()
        for place in settings.places(name):
            try:
                links += _read(place, settings.environment, stop)
            except ProvisionError as error:
                problems.append(error)
            if stop.is_set():
                raise MirrorError("stopped")
        return Listing(tuple(links), tuple(problems))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ordered = sorted(names)
        return dict(zip(ordered, pool.map(one, ordered), strict=True))


def _chosen(wheel: Wheel, listing: Listing, settings: pip_settings.Settings) -> Link:
    same = [link for link in listing.links if link.file == wheel.file]
    fitting = [link for link in same if link.sha256 in ("", wheel.sha256)]
    if fitting:
        return fitting[0]
    if same:
        raise MirrorError(
            f"{wheel.file}: its sha256 in the package index is {same[0].sha256} ({same[0].address}), but the "
            f"catalogue says {wheel.sha256}",
            advice="It was not fetched. The file in the index was replaced: ask those who maintain the index, or name "
            "another one for this command, for example with PIP_INDEX_URL=https://index.example.org/simple.",
        )
    for problem in listing.problems:
        raise MirrorError(f"{wheel.file} was not found: {problem.message}", advice=problem.advice)
    versions = [link.file for link in listing.links if link.file.split("-")[1:2] == [wheel.version]]
    others = (
        f"it has other files of {wheel.name} {wheel.version}" if versions else f"it has no {wheel.name} {wheel.version}"
    )
    raise MirrorError(
        f"no package index has the file {wheel.file}, which the catalogue names; {others}. These were read: "
        f"{', '.join(settings.indexes + settings.links) or 'none'}",
        advice="If your index is a copy of another one, let it fetch this version. Otherwise name another index for "
        "this command, for example with PIP_INDEX_URL=https://index.example.org/simple, or bring the wheels by hand "
        "(docs/mirror-by-hand.md).",
    )


def _read(place: str, environment: Mapping[str, str], stop: Event) -> list[Link]:
    """The links of a page or of a directory; none if it does not exist."""
    if place.startswith("file:"):
        return index_page.of_directory(place)
    content, address = _fetched(place, environment, stop)
    return index_page.links(content, address) if content else []


def _fetched(address: str, environment: Mapping[str, str], stop: Event) -> tuple[bytes, str]:
    """(a page, the address at which it was found after redirections); an empty page if there is none."""
    command = [
        *(*download.CURL, "--compressed", "--proto", "=https,http"),
        *("--speed-limit", "100", "--speed-time", "60", "--retry", "3", "--max-filesize", str(_LARGEST)),
        *("--header", f"Accept: {_ACCEPT}", "--write-out", "\\n%{url_effective}", "--url", address),
    ]
    words = f"{address}: its page has more than {_LARGEST:,} bytes"
    too_much = UsageError(words, advice="Check that it is a package index.")
    variables = {**os.environ, **environment}
    ended, content = programs.captured(command, variables, _LARGEST, too_much=too_much, stop=stop)
    if ended.code == 22 and re.search(r"error: (404|410)\b", ended.errors):
        return b"", address
    if ended.code:
        raise pull_errors.of_curl(address, ended.code, ended.errors)
    page, _, effective = content.rpartition(b"\n")
    return page, effective.decode("utf-8", "replace")
