"""A lab and the working directory of its controller."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.lab.spec import Lab
from tests.site.command import Directory
from tests.site.host import Host, Snapshot


@dataclass(frozen=True)
class Site:
    """The hosts of a lab, and the directory in which `provision` is called."""

    lab: Lab
    hosts: tuple[Host, ...]
    directory: Directory
    mirror: Path

    @property
    def names(self) -> list[str]:
        """The names of the hosts."""
        return [host.name for host in self.hosts]

    def snapshots(self) -> dict[str, Snapshot]:
        """The current state of all hosts."""
        with ThreadPoolExecutor() as pool:
            return dict(zip(self.names, pool.map(Host.snapshot, self.hosts), strict=True))

    @property
    def unused_address(self) -> str:
        """An unused address of the hosts' network."""
        hosts = yaml.safe_load((self.lab.inventory / "hosts.yml").read_text(encoding="utf-8"))
        one: str = hosts["all"]["children"]["hosts_cpu"]["hosts"][self.names[0]]["ansible_host"]
        return one.rpartition(".")[0] + ".250"

    def inventory(self, name: str, per_host: dict[str, dict[str, Any]] | None = None, **variables: Any) -> Path:
        """Write another inventory of the hosts, with variables for all of them, for some, or for additional hosts."""
        tree = yaml.safe_load((self.lab.inventory / "hosts.yml").read_text(encoding="utf-8"))
        hosts: dict[str, dict[str, Any]] = tree["all"]["children"]["hosts_cpu"]["hosts"]
        some = next(iter(hosts.values()))
        for host, own in (per_host or {}).items():
            hosts[host] = {**hosts.get(host, copy.copy(some)), **own}
        for own in hosts.values():
            own.update(variables)
        self.directory.path.mkdir(parents=True, exist_ok=True)
        file = self.directory.path / f"{name}.yml"
        file.write_text(yaml.safe_dump(tree, width=1000), encoding="utf-8")
        return file


def inventories(labs: Iterable[Lab], directory: Directory, mirror: Path, **variables: Any) -> list[str]:
    """Write an inventory of the hosts of each lab, with variables for all hosts, for one controller; the files."""
    return [str(Site(lab, (), directory, mirror).inventory(lab.name, **variables)) for lab in labs]


def built(document: dict[str, Any]) -> set[tuple[str, str]]:
    """The (host, component) pairs that were built, or would be built in check mode."""
    return {(one["host"], one["component"]) for one in document["changes"] if one["change"] == "build"}


def planned(document: dict[str, Any]) -> set[tuple[str, str]]:
    """The (host, component) pairs that a plan would build."""
    return {(plan["host"], step["component"]) for plan in document["plans"] for step in plan["build"]}
