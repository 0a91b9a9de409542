"""The configuration of apt on this machine: its sources, and how it reaches them. Nothing is changed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.mirror import apt_sources, bounded, programs
from neuraltalk_provision.mirror.apt_sources import Source
from neuraltalk_provision.rules.packages import base_codename

OS_RELEASE = Path("/etc/os-release")
_LARGEST = 1 << 20
_REACHES = re.compile(r'Acquire::(https?(::[^"]*)?|Retries|ForceIPv[46]) "[^"]*";', re.I)
"""The settings that are used also with a private root: proxies, certificates, time limits."""


@dataclass(frozen=True)
class Machine:
    """This machine. `settings` are lines of its configuration, `places` its files with logins and keys."""

    id: str
    major: int
    codenames: tuple[str, ...]
    sources: tuple[Source, ...]
    settings: tuple[str, ...]
    places: Mapping[str, str]

    @property
    def proxies(self) -> dict[str, str]:
        """Variables with which curl uses the same proxies and certificates as apt."""
        values = {name.lower(): value for line in self.settings for name, value in re.findall(r'(\S+) "(.*)";', line)}
        plain = values.get("acquire::http::proxy", "")
        found = {
            "http_proxy": plain,
            "https_proxy": values.get("acquire::https::proxy", plain),
            "CURL_CA_BUNDLE": values.get("acquire::https::cainfo", ""),
        }
        direct = re.compile(r"acquire::https?::proxy::(.+)")
        hosts = sorted(
            {match[1] for name, value in values.items() if value == "DIRECT" and (match := direct.fullmatch(name))}
        )
        found["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy", ""), *hosts))) if hosts else ""
        return {name: value for name, value in found.items() if value and value != "DIRECT"}


def read() -> Machine:
    """The configuration of this machine. Raises UsageError if it has no apt."""
    if not shutil.which("apt-get"):
        raise UsageError(
            "this machine does not have the program apt-get, which finds the OS packages of this platform",
            advice="Run this command on a machine with Debian or Ubuntu, or in a container of one. Or install apt: "
            "some other systems have a package of that name.",
        )
    release = _release()
    name, version = release.get("ID", ""), release.get("VERSION_ID", "")
    base = base_codename(release)
    made_of = target.made_of(name, version, base)
    name, major = made_of or (name, int(target.major_of(version)[:4] or 0))
    own = () if made_of else (release.get("VERSION_CODENAME", ""), base)
    codenames = tuple(dict.fromkeys(word for word in (*own, Target(name, major, "").codename) if word))
    places = _places()
    settings = programs.output(["apt-config", "dump"], _environment(), _LARGEST)[1].decode("utf-8", "replace")
    lines = tuple(line for line in settings.splitlines() if _REACHES.fullmatch(line))
    return Machine(name, major, codenames, tuple(_sources(places)), lines, places)


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _release() -> dict[str, str]:
    text = _text(OS_RELEASE)
    return dict(re.findall(r"^([A-Z_]+)=[\"']?([^\"'\n]*)[\"']?$", text, re.M))


def _places() -> dict[str, str]:
    """The paths that apt uses: {name: path}."""
    wanted = {
        "sourcelist": "Dir::Etc::sourcelist/f",
        "sourceparts": "Dir::Etc::sourceparts/d",
        "netrc": "Dir::Etc::netrc/f",
        "netrcparts": "Dir::Etc::netrcparts/d",
        "trusted": "Dir::Etc::trusted/f",
        "trustedparts": "Dir::Etc::trustedparts/d",
    }
    words = [word for pair in wanted.items() for word in pair]
    text = programs.output(["apt-config", "shell", *words], _environment(), _LARGEST)[1].decode("utf-8", "replace")
    return dict(re.findall(r"^(\w+)='([^'\"]*)'$", text, re.M))


def _sources(places: Mapping[str, str]) -> list[Source]:
    found = apt_sources.parse_list(_text(Path(places["sourcelist"]))) if "sourcelist" in places else []
    folder = Path(places.get("sourceparts", "/nonexistent"))
    with naming(folder, "read"):
        files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if file.suffix == ".list":
            found += apt_sources.parse_list(_text(file))
        elif file.suffix == ".sources":
            found += apt_sources.parse_deb822(_text(file))
    return found


def _text(file: Path) -> str:
    try:
        return bounded.read(file, _LARGEST).content.decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
