"""Platforms by their keys, such as `debian-12-x86_64`: which a host can have, and what follows from a key. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.rules import machines

FAMILIES = {
    "apt": ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "kali", "devuan"),
    "rpm": (
        *("rhel", "centos", "rocky", "almalinux", "fedora", "ol", "amzn", "scientific", "alinux", "tencentos"),
        *("cloudlinux", "eurolinux", "miraclelinux", "anolis", "openeuler"),
    ),
}
"""{package manager: the IDs of the systems that are known to use it}."""
_OTHER_IDS = {
    "redhat": "rhel",
    "red-hat": "rhel",
    "el": "rhel",
    "alma": "almalinux",
    "oracle": "ol",
    "oraclelinux": "ol",
    "rockylinux": "rocky",
    "centos-stream": "centos",
    "amazon": "amzn",
    "mint": "linuxmint",
    "popos": "pop",
    "pop-os": "pop",
}
CODENAMES = {
    "buster": ("debian", 10),
    "bullseye": ("debian", 11),
    "bookworm": ("debian", 12),
    "trixie": ("debian", 13),
    "forky": ("debian", 14),
    "xenial": ("ubuntu", 16),
    "bionic": ("ubuntu", 18),
    "focal": ("ubuntu", 20),
    "jammy": ("ubuntu", 22),
    "noble": ("ubuntu", 24),
    "resolute": ("ubuntu", 26),
}
"""{codename of a release, as in the names of apt's suites: (ID of the system, major version)}."""
_MADE_OF = {
    "linuxmint": {
        **{"18": "xenial", "19": "bionic", "20": "focal", "21": "jammy", "22": "noble"},
        **{"4": "buster", "5": "bullseye", "6": "bookworm", "7": "trixie"},
    },
    "pop": {"18": "bionic", "20": "focal", "22": "jammy", "24": "noble"},
    "elementary": {"5": "bionic", "6": "focal", "7": "jammy", "8": "noble"},
    "zorin": {"15": "bionic", "16": "focal", "17": "jammy", "18": "noble"},
}
"""{ID of a system that is made of Ubuntu or Debian: {its major version: the codename of that release}}."""
_HIGHEST = {**dict.fromkeys((*pythons.EL, "debian"), 40), "kali": 9999, "amzn": 9999}
"""{ID of a system: a number above the major versions of all its releases}; 99 for the others that are known."""
_FORM = "<ID>-<major version>-<machine>, for example debian-12-x86_64 or centos-7-x86_64"
_MAJOR = re.compile(r"[vV]?(\d+)")
_COLLECTED = re.compile(r"([a-z][a-z0-9_]{0,30})-([0-9]{1,4})(\.[0-9.]*)?-([a-z0-9_]{1,20})")
_KEY = re.compile(
    rf"(?P<id>[a-z][a-z0-9._]*(-[a-z][a-z0-9._]*)*)(-(?P<major>\d+))?-(?P<machine>{'|'.join(machines.MACHINES)})"
)


@dataclass(frozen=True)
class Target:
    """A platform that files are collected for, before any of its hosts is known."""

    id: str
    major: int
    machine: str

    @property
    def key(self) -> str:
        """As in the names of the mirror's files for this platform."""
        return f"{self.id}-{self.major}-{self.machine}"

    @property
    def python(self) -> str:
        """The major version of the Python that its hosts have."""
        known = pythons.release(self.id, self.major)
        return known.python.partition(".")[0] if known else "2" if self.id in pythons.EL and self.major <= 7 else "3"

    @property
    def manager(self) -> str:
        """`apt` or `rpm` for the systems that are known; empty for others."""
        return manager_of(self.key)

    @property
    def codename(self) -> str:
        """The codename of its release, as in the names of apt's suites; empty if it is not known."""
        return next((name for name, release in CODENAMES.items() if release == (self.id, self.major)), "")

    @property
    def lookups(self) -> tuple[str, ...]:
        """Keys for tables by release, as those of `catalogue/platform.py`."""
        own = f"{self.id}-{self.major}"
        return (own, f"el-{self.major}") if self.manager == "rpm" else (own,)


def major_of(version: str) -> str:
    """The major version in a VERSION_ID, 10 of `V10` too; empty if there is no number."""
    number = _MAJOR.match(version)
    return number[1] if number else ""


def made_of(system: str, version: str, codename: str = "") -> tuple[str, int] | None:
    """(ID, major version) of the Ubuntu or Debian that a system is made of, as Linux Mint is; None for all others.

    `codename` is what its os-release says about that, if anything.
    """
    if system in ("debian", "ubuntu"):
        return None
    return CODENAMES.get(codename) or CODENAMES.get(_MADE_OF.get(system, {}).get(major_of(version), ""))


def parse(key: str) -> Target:
    """The platform with this key. Raises UsageError if no host can have it, or files cannot be collected for it."""
    close = meant(key)
    match = _COLLECTED.fullmatch(key)
    if not match:
        proposed = f"Did you mean {close}?" if _COLLECTED.fullmatch(close) else f"Write it as {_FORM}."
        raise UsageError(f"{key[:80]!r} is not a platform", advice=proposed)
    name, major, minor, machine = match.groups()
    if machines.OTHER_NAMES.get(machine, machine) != machines.BUILT_FOR:
        raise UsageError(f"{key}: only hosts of the machine type {machines.BUILT_FOR} are supported")
    form = f"Write {close or f'{name}-{major}-{machines.BUILT_FOR}'}."
    if machine != machines.BUILT_FOR:
        raise UsageError(f"{key}: hosts report {machines.BUILT_FOR} as their machine type", advice=form)
    if minor:
        raise UsageError(f"{key}: hosts report only the major version of their release", advice=form)
    if close:
        why = f"no system has the ID {name} in its os-release file"
        if made_of(name, major):
            why = f"hosts with {name} {major} have the platform of the release that it is made of"
        elif name in _MADE_OF or close.startswith(f"{name}-"):
            why = f"no release of {name} has the major version {major}"
        raise UsageError(f"{key}: {why}", advice=f"Did you mean {close}?")
    return Target(name, int(major), machine)


def split(key: str) -> tuple[str, str, str] | None:
    """(ID, major version, machine) of a platform key; None if no host can have it."""
    match = _KEY.fullmatch(key)
    return (match["id"], match["major"] or "", match["machine"]) if match and _meant(key) in ("", key) else None


def manager_of(key: str) -> str:
    """`apt` or `rpm` for the platforms that are known; empty for others."""
    parts = split(key)
    return next((name for name, ids in FAMILIES.items() if parts and parts[0] in ids), "")


def machine_of(key: str) -> str:
    """The machine type of a platform key."""
    parts = split(key)
    return parts[2] if parts else ""


def meant(key: str) -> str:
    """The platform key that was probably meant by one that no host can have; empty if there is none."""
    found = _meant(key)
    return found if found != key and _KEY.fullmatch(found) else ""


def _meant(key: str) -> str:
    text = key.lower()
    machine = next((name for name in (*machines.MACHINES, *machines.OTHER_NAMES) if text.endswith(f"-{name}")), "")
    rest = text.removesuffix(f"-{machine}") if machine else text
    words = re.fullmatch(r"([a-z][a-z._-]*?)-?(\d+)?([.]\d+)*", rest)
    named = re.fullmatch(rf"([a-z._-]+)-({'|'.join(CODENAMES)})", rest)
    if named or rest in CODENAMES:
        name, number = CODENAMES[named[2] if named else rest]
        major = str(number)
    elif words:
        name, major = words[1].rstrip("-"), words[2] or ""
    else:
        return ""
    known = [name for ids in FAMILIES.values() for name in ids]
    name = _OTHER_IDS.get(name, name)
    if name not in known:
        # Who misspells a name hardly misspells its first letter, and short names of real systems differ only there.
        similar = [one for one in known if one[0] == name[0]]
        name = next(iter(difflib.get_close_matches(name, similar, 1, 0.8)), name)
    if name in _MADE_OF and re.fullmatch(r"\d\d(0[1-9]|1[0-2])", major):
        name = "ubuntu"  # year and month are how Ubuntu numbers its releases, and only Ubuntu
    if name in (*known, *_MADE_OF):
        major = _without_minor(name, major)
    if release := made_of(name, major):
        name, major = release[0], str(release[1])
    machine = machines.OTHER_NAMES.get(machine, machine or machines.BUILT_FOR)
    return "-".join(part for part in (name, major, machine) if part)


def _without_minor(system: str, number: str) -> str:
    """The major version in a number with the minor one behind it, as in 2204 and 79, or with zeros before it."""
    number = (number.lstrip("0") or number)[:5]  # no release has more digits, and int() does not read thousands
    fits = (part for part in (number, number[:2]) if int(part or 0) <= _HIGHEST.get(system, 99))
    return next(fits, number[:1])
