"""Which package indexes pip uses on this machine: its configuration files and PIP_* variables, read by pip itself."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neuraltalk_provision.catalogue.pythons import project_name
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import programs

_ASK = """
import sys
sys.path[:] = [place for place in sys.path if place]  # not the working directory: anybody can have put a pip there
import json
from pip._internal.commands import create_command
options = create_command("download").parse_args([])[0]
names = "index_url extra_index_urls find_links no_index cert proxy".split()
print(json.dumps({name: getattr(options, name) for name in names}))
"""
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Settings:
    """The addresses of indexes, and of pages or directories that contain files of any package.

    `environment` are variables with which curl uses the same proxy and certificates.
    """

    indexes: tuple[str, ...]
    links: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def places(self, name: str) -> list[str]:
        """Where a package can be, the first place first."""
        return [*(f"{index.rstrip('/')}/{project_name(name)}/" for index in self.indexes), *self.links]


def read() -> Settings:
    """The settings. Raises UsageError if there is no pip, or if an address contains a login."""
    errors = ""
    for command, environment in _pips():
        ended, output = programs.captured([*command, "-c", _ASK], {**os.environ, **environment}, _LONGEST)
        if not ended.code:
            return _settings(json.loads(output.splitlines()[-1]))
        errors = ended.errors.splitlines()[-1] if ended.errors else ""
    if errors:
        raise UsageError(
            f"pip cannot tell which package index this machine uses: {errors}",
            advice="Look at `python3 -m pip config debug`, and correct pip's configuration.",
        )
    raise UsageError(
        "there is no pip on this machine, which knows the address of the package index",
        advice="Install it, for example by `apt-get install python3-pip` or `dnf install python3-pip`.",
    )


def _pips() -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """(Python, environment) of each pip that can be asked: our own, the one that Python brings, the machine's."""
    if importlib.util.find_spec("pip"):
        yield [sys.executable], {}
    bundled = importlib.util.find_spec("ensurepip")
    if bundled and bundled.origin:
        for wheel in sorted((Path(bundled.origin).parent / "_bundled").glob("pip-*.whl")):
            yield [sys.executable], {"PYTHONPATH": str(wheel)}
    python = shutil.which("python3")
    if python:
        yield [python], {}


def _settings(found: Mapping[str, Any]) -> Settings:
    none = bool(found["no_index"])
    indexes = [] if none else [found["index_url"], *found["extra_index_urls"]]
    settings = Settings(
        tuple(_address(str(index)) for index in indexes if index),
        tuple(_address(str(place)) for place in found["find_links"]),
        _environment(found["cert"], found["proxy"]),
    )
    if not settings.indexes and not settings.links:
        raise UsageError(
            "pip is configured to use no package index", advice="Look at `python3 -m pip config list`: no-index is set."
        )
    return settings


def _environment(certificates: Any, proxy: Any) -> dict[str, str]:
    found = {"CURL_CA_BUNDLE": str(certificates)} if certificates else {}
    return found | ({"https_proxy": str(proxy), "http_proxy": str(proxy)} if proxy else {})


def _address(text: str) -> str:
    """An address of pip's configuration, in which a directory can be a plain path."""
    address = text if re.match(r"(https?|file):", text) else Path(text).expanduser().absolute().as_uri()
    if "@" in urlsplit(address).netloc:
        raise UsageError(
            "the address of the package index in pip's configuration contains a user name or password, which other "
            "users could see in the list of processes",
            advice="Write the address without it, and put the login into ~/.netrc, which pip and curl read.",
        )
    return address
