"""Finds the platform of a host from its state. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.host_state import HostPlatform
from neuraltalk_provision.rules.packages import COMMANDS

Manager = Literal["apt", "dnf", "yum"]

_APT_IDS = frozenset({"debian", "ubuntu"})
_RPM_IDS = frozenset({"rhel", "centos", "fedora"})


@dataclass(frozen=True)
class Platform:
    """A distribution release on a machine type: hosts of one platform can share what is built."""

    id: str
    version: str
    machine: str
    manager: Manager
    python: str = "3"
    """The major version of the Python that is used to build there."""

    @property
    def major(self) -> str:
        """The major version of the release as a string, 10 of `V10` too; empty if the host reports no number."""
        return target.major_of(self.version)

    @property
    def key(self) -> str:
        """`<os-release ID>-<major>-<machine>`, which is part of the names of the mirror's files for this platform."""
        return "-".join(part for part in (self.id, self.major, self.machine) if part)

    @property
    def lookups(self) -> tuple[str, ...]:
        """Keys for tables by release: its own, then `el-<major>` for the RPM family."""
        own = f"{self.id}-{self.major}"
        return (own, f"el-{self.major}") if self.manager != "apt" else (own,)


def recognise(facts: HostPlatform, host: str) -> Platform:
    """The platform that `facts` describe.

    A system that is made of a release of Ubuntu or Debian, as Linux Mint is, has the platform of that release. A
    system without a version, such as Debian testing, has the one that its codename stands for. If the ID of a system
    is unknown, its ID_LIKE decides, and without that its package manager. Raises UsageError if it has none of the
    package managers.
    """
    available = {name for name, command in COMMANDS.items() if command in facts.managers}
    family = {facts.id, *facts.id_like}
    rpm: Manager | None = "dnf" if "dnf" in available else "yum" if "yum" in available else None
    apt: Manager | None = "apt" if "apt" in available else None
    if family & _RPM_IDS:
        manager = rpm or apt
    elif family & _APT_IDS:
        manager = apt or rpm
    else:
        manager = apt or rpm
    if manager is None:
        raise UsageError(
            f"{host}: {facts.name or facts.id} has none of the package managers {', '.join(COMMANDS.values())}, "
            "without which no host can be provisioned. If it has Docker or Podman, it can run the stack from an image "
            "that `provision image` makes",
        )
    return _with(facts, manager)


def key_of(facts: HostPlatform) -> str:
    """The key of the platform that `facts` describe, whether it has a package manager or not."""
    return _with(facts, "apt").key


def _with(facts: HostPlatform, manager: Manager) -> Platform:
    python = (facts.python or "3").split(".")[0]
    release = target.made_of(facts.id, facts.version, facts.base)
    if release:
        return Platform(release[0], str(release[1]), facts.machine, manager, python)
    return Platform(facts.id, facts.version or _version(facts), facts.machine, manager, python)


def _version(facts: HostPlatform) -> str:
    name, major = target.CODENAMES.get(facts.codename, ("", 0))
    return str(major) if name == facts.id else ""
