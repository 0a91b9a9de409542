"""Sources of apt: those of this machine, changed to another release, and those that the user gave. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror.repository_file import AptRepository
from neuraltalk_provision.rules import machines

ARCHITECTURE = machines.SAME[1]
"""What apt calls the machine type that everything is built for."""
_SCHEMES = ("https", "http", "file", "copy")
_NOT_USED = re.compile(r"-(backports|proposed)\b")
_OTHER_PLACES = re.compile(r"cdrom:|https?://esm\.")
"""Disks, and Ubuntu Pro (its server is called esm): each machine has logins of its own, which apt alone knows."""
_OTHER_WORDS = frozenset({"no", "false", "without", "off", "disable", "0"})


@dataclass(frozen=True)
class Source:
    """Repositories of apt. `signed_by` is what apt accepts: files, fingerprints, or the lines of a key itself."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    signed_by: str = ""
    check_valid_until: bool = True


def parse_list(text: str) -> list[Source]:
    """The sources in the format with one line each (sources.list)."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)\s*(#.*)?", line)
        if match:
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            fields = {
                "uris": match[2],
                "suites": match[3],
                "components": match[4],
                "signed-by": options.get("signed-by", "").replace(",", " "),
                "architectures": options.get("arch", "").replace(",", " "),
                "check-valid-until": options.get("check-valid-until", ""),
            }
            found += _source(fields)
    return found


def parse_deb822(text: str) -> list[Source]:
    """The sources in the format with fields (*.sources)."""
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            name.lower(): value for name, value in re.findall(r"^([^\s:]+):((?:.*\n?)(?:[ \t].*\n?)*)", stanza, re.M)
        }
        on = fields.get("enabled", "yes").strip().lower() not in _OTHER_WORDS
        if on and "deb" in fields.get("types", "").split():
            found += _source(fields)
    return found


def _source(fields: Mapping[str, str]) -> list[Source]:
    architectures = fields.get("architectures", "").split()
    if architectures and ARCHITECTURE not in architectures:
        return []
    one = Source(
        uris=tuple(fields.get("uris", "").split()),
        suites=tuple(fields.get("suites", "").split()),
        components=tuple(fields.get("components", "").split()),
        signed_by=fields.get("signed-by", "").strip(),
        check_valid_until=fields.get("check-valid-until", "").strip().lower() not in _OTHER_WORDS,
    )
    return [one] if one.uris and one.suites else []


def of_release(sources: Iterable[Source], codenames: Sequence[str]) -> tuple[Source, ...]:
    """Those of a release, which their suites name; without backports, suites for tests, disks, and Ubuntu Pro."""
    found = []
    for one in sources:
        if any(_OTHER_PLACES.match(uri) for uri in one.uris):
            continue
        suites = tuple(suite for suite in one.suites if _codename(suite, codenames) and not _NOT_USED.search(suite))
        if suites:
            found.append(replace(one, suites=suites))
    return tuple(found)


def for_release(sources: Iterable[Source], codenames: Sequence[str], target: Target) -> tuple[Source, ...]:
    """The sources of a release, changed to those of another release of the same system."""
    changed = []
    for one in sources:
        suites = (_changed(suite, _codename(suite, codenames), target) for suite in one.suites)
        changed.append(replace(one, suites=tuple(dict.fromkeys(suites))))
    return tuple(changed)


def of_user(repositories: Iterable[AptRepository]) -> tuple[Source, ...]:
    """The sources that the user gave in a file."""
    return tuple(
        Source(one.uris, one.suites, one.components, str(one.signed_by), one.check_valid_until) for one in repositories
    )


def deb822(sources: Iterable[Source]) -> str:
    """The sources as a file for apt. Nothing in it makes apt accept an index without a signature."""
    stanzas = []
    for one in sources:
        fields = [("Types", "deb"), ("URIs", " ".join(one.uris)), ("Suites", " ".join(one.suites))]
        fields += [("Components", " ".join(one.components))] if one.components else []
        fields += [("Signed-By", one.signed_by)] if one.signed_by else []
        fields += [] if one.check_valid_until else [("Check-Valid-Until", "no")]
        stanzas.append("".join(f"{name}: {value}\n" for name, value in fields))
    return "\n".join(stanzas)


def words(sources: Iterable[Source]) -> str:
    """The sources as words for the lock."""
    return "; ".join(" ".join((*one.uris, *one.suites, *one.components)) for one in sources)


def refuse_unsafe(sources: Iterable[Source]) -> None:
    """UsageError for an address with a login, which would be written into the lock, or that curl cannot use."""
    for uri in (uri for one in sources for uri in one.uris):
        scheme, _, rest = uri.partition(":")
        host = re.split(r"[/?#]", rest.removeprefix("//"))[0]
        if "@" in host:
            raise UsageError(
                f"the source {scheme}://...@{host.rpartition('@')[2]} of apt contains a user name or password, which "
                "would be written into the lock",
                advice="Write the address without it, and put the login into /etc/apt/auth.conf, which apt reads, "
                "and into ~/.netrc.",
            )
        if scheme not in _SCHEMES:
            raise UsageError(
                f"the source {uri[:200]} of apt begins with {scheme}:, which is not used here",
                advice="Write the repositories of the platform, with https://, http:// or file:///, into a file, and "
                "give it with --repositories FILE.",
            )


def _codename(suite: str, codenames: Sequence[str]) -> str:
    """The codename with which a suite begins; empty if it is that of another release."""
    return next((name for name in codenames if re.match(rf"{re.escape(name)}($|[-/])", suite)), "")


def _changed(suite: str, codename: str, target: Target) -> str:
    rest = suite.removeprefix(codename)
    if target.id == "debian" and rest in ("-security", "/updates"):
        rest = "-security" if target.major >= 11 else "/updates"
    return target.codename + rest
