"""The platforms that a mirror is filled for, by their keys, such as `debian-12-x86_64`. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.rules.machines import BUILT_FOR

_KNOWN = ("almalinux", "centos", "debian", "fedora", "ol", "rhel", "rocky", "ubuntu")
_EL = frozenset({"centos", "ol", "rhel"})
_FORM = "<ID>-<major version>-<machine>, for example debian-12-x86_64 or centos-7-x86_64"


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
        return "2" if self.id in _EL and self.major <= 7 else "3"


def parse(key: str) -> Target:
    """The platform with this key. Raises UsageError if no host can have it."""
    match = re.fullmatch(r"([a-z][a-z0-9_]{0,30})-([0-9]{1,4})(\.[0-9.]*)?-([a-z0-9_]{1,20})", key)
    if not match:
        raise UsageError(f"{key[:80]!r} is not a platform", advice=f"Write it as {_FORM}.")
    name, major, minor, machine = match.groups()
    if minor:
        raise UsageError(
            f"{key}: hosts report only the major version of their release",
            advice=f"Write {name}-{major}-{machine}.",
        )
    if machine != BUILT_FOR:
        raise UsageError(f"{key}: only hosts of the machine type {BUILT_FOR} are supported")
    close = difflib.get_close_matches(name, _KNOWN, 1, 0.75)
    if close and name not in _KNOWN:
        raise UsageError(
            f"{key}: no system has the ID {name} in its os-release file",
            advice=f"Did you mean {close[0]}-{major}-{machine}?",
        )
    return Target(name, int(major), machine)
