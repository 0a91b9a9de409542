"""The servers of Debian or Ubuntu that this machine uses, read from its apt sources and never named in this project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.catalogue import target

APT = Path("/etc/apt")
COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
"""{system: the components that have what the lab installs}."""
ALIASES = {"debian": ("stable", "oldstable")}
"""{system: names of suites that stand for a code name}."""


@dataclass(frozen=True)
class Source:
    """One entry of apt's sources: the URL, the suite, the components and the key ring."""

    uri: str
    suite: str
    components: str = "main"
    keyring: str = ""

    def line(self) -> str:
        """The source as a one-line entry."""
        trust = f"[signed-by={self.keyring}] " if self.keyring else ""
        return f"deb {trust}{self.uri} {self.suite} {self.components}"


def parse_stanzas(text: str) -> list[Source]:
    """The sources of a file in the deb822 format."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        pairs = [line.partition(":") for line in lines]
        fields = {key.strip().lower(): value.split() for key, _, value in pairs if value}
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        keyring = (fields.get("signed-by") or [""])[0]
        found += [
            Source(uri, suite, " ".join(fields.get("components", [])), keyring)
            for uri in fields.get("uris", [])
            for suite in fields.get("suites", [])
        ]
    return found


def parse_lines(text: str) -> list[Source]:
    """The sources of a file of one-line entries."""
    found = []
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.partition("#")[0].strip())
        if match:
            options, uri, suite, components = match.groups()
            keyring = re.search(r"signed-by=(\S+)", options or "")
            found.append(Source(uri, suite, components.strip(), keyring.group(1) if keyring else ""))
    return found


def for_release(found: list[Source], code_name: str) -> list[Source]:
    """The sources of the system itself that has a release with that code name, for this release.

    They are those whose suite is a code name of the system, alone or with -security or -updates. Sources of other
    vendors have other suites, so they are not included.
    """
    system = target.CODENAMES[code_name][0]
    names = [name for name, release in target.CODENAMES.items() if release[0] == system]
    own = re.compile(rf"({'|'.join([*names, *ALIASES.get(system, ())])})(-security|-updates)?")
    matches = [(source, own.fullmatch(source.suite)) for source in found]
    taken = [
        (source, match.group(2) or "", [part for part in source.components.split() if part in COMPONENTS[system]])
        for source, match in matches
        if match
    ]
    return list(
        dict.fromkeys(
            Source(source.uri, code_name + suffix, " ".join(components), source.keyring)
            for source, suffix, components in taken
            if components
        )
    )


def of_this_machine(code_name: str, apt: Path = APT) -> list[Source]:
    """The sources of this machine for a release of its system; empty if it has none for that system."""
    folder = apt / "sources.list.d"
    found: list[Source] = []
    for file in [apt / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]:
        if file.is_file():
            read = parse_stanzas if file.suffix == ".sources" else parse_lines
            found += read(file.read_text(encoding="utf-8"))
    return for_release(found, code_name)
