"""Platforms in the names of artifacts: whether a host can have one, and which was probably meant."""

from __future__ import annotations

import difflib
import re

from neuraltalk_provision.rules import machines

FAMILIES = {
    "apt": ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "kali", "devuan"),
    "rpm": ("rhel", "centos", "rocky", "almalinux", "fedora", "ol", "amzn", "scientific"),
}
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
}
_RELEASES = {
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "xenial": "16",
    "bionic": "18",
    "focal": "20",
    "jammy": "22",
    "noble": "24",
}
_KEY = re.compile(
    rf"(?P<id>[a-z][a-z0-9._]*(-[a-z][a-z0-9._]*)*)(-(?P<major>\d+))?-(?P<machine>{'|'.join(machines.MACHINES)})"
)


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
    named = re.fullmatch(rf"([a-z._-]+)-({'|'.join(_RELEASES)})", rest)
    if named:
        name, major = named[1], _RELEASES[named[2]]
    elif words:
        name, major = words[1].rstrip("-"), words[2] or ""
    else:
        return ""
    known = [name for ids in FAMILIES.values() for name in ids]
    name = _OTHER_IDS.get(name, name)
    if name not in known:
        name = next(iter(difflib.get_close_matches(name, known, 1, 0.8)), name)
    machine = machines.OTHER_NAMES.get(machine, machine or machines.BUILT_FOR)
    return "-".join(part for part in (name, major, machine) if part)
