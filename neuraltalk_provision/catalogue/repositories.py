"""Which repository of a distribution usually has an OS package, and how it is enabled. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, StringConstraints

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.model import Row

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]{0,100}$")]


class Repository(Row):
    """A repository that systems of a release do not use by default.

    `release` is a key such as `el-9`, `enable` the words that say how it is enabled, by the ID of the system in
    os-release or `default`, and `holds` the packages of the catalogue that it has.
    """

    release: Annotated[str, StringConstraints(pattern=r"^[a-z]+-\d{1,3}$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    enable: dict[str, Annotated[str, StringConstraints(min_length=1, max_length=200)]]
    holds: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]

    def how(self, system: str) -> str:
        """How it is enabled on a system with this ID."""
        return self.enable.get(system, self.enable["default"])


def releases(platform: str, manager: str = "") -> tuple[str, ...]:
    """The keys of a platform in tables by release: its own, then `el-<major>`; none for systems with apt.

    `manager` is the package manager of its hosts; empty if no host is known.
    """
    system, major, _ = target.split(platform) or ("",) * 3
    manager = manager or target.manager_of(platform)
    return () if not system or manager == "apt" else (f"{system}-{major}", f"el-{major}")


def origins(rows: Iterable[Repository], platform: str, manager: str = "") -> dict[str, str]:
    """{package: the repository that usually has it on this platform, with how it is enabled}."""
    system = platform.partition("-")[0]
    keys = releases(platform, manager)
    return {name: f"{row.name} ({row.how(system)})" for row in rows if row.release in keys for name in row.holds}
