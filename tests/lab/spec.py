"""The options of a lab, and the names of its parts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tests.lab import paths
from tests.lab.errors import LabError


@dataclass(frozen=True)
class Lab:
    """The options of a lab."""

    name: str
    image: str = "debian12"
    hosts: int = 1
    airgap: bool = False
    user: str = "ops"
    cpus: str = ""
    tmpfs: tuple[str, ...] = ()
    """Small disks, each as SIZE:PATH, for example 64m:/opt/neuraltalk."""
    open_ports: tuple[int, ...] = ()
    """Ports of this machine that the hosts can use in spite of the air gap."""
    names: tuple[str, ...] = ()
    """The names of the hosts; default: NAME-1 and so on."""
    systemd: bool = False
    """Whether the hosts run systemd."""
    capabilities: tuple[str, ...] = ()
    """What root may do on the hosts beyond what the engine allows, for example NET_ADMIN."""
    committed: str = ""
    """Docker's tag of an image that was made from a host of another lab; the hosts start from it."""
    shared: str = ""
    """The path of a disk that all hosts share, for example /shared."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", self.name):
            raise LabError(
                f"{self.name!r} is not a valid name of a lab: use at most 41 lower-case letters, digits and hyphens"
            )
        if self.user not in ("ops", "plain", "root"):
            raise LabError(f"the hosts have no user {self.user!r}: use ops (sudo), plain (no sudo) or root")

    @property
    def containers(self) -> tuple[str, ...]:
        """The names of the hosts."""
        return self.names or tuple(f"{self.name}-{number}" for number in range(1, self.hosts + 1))

    @property
    def folder(self) -> Path:
        """The directory of the lab's keys and inventory."""
        return paths.CACHE / self.name

    @property
    def state(self) -> Path:
        """The file with the state of the lab."""
        return self.folder / "lab.json"

    @property
    def inventory(self) -> Path:
        """The inventory's directory."""
        return self.folder / "inventory"

    @property
    def network(self) -> str:
        """The name of the lab's network and label in Docker."""
        return f"lab-{self.name}"

    @property
    def volume(self) -> str:
        """The name of the disk that the hosts share."""
        return f"{self.network}-shared"

    @property
    def bridge(self) -> str:
        """The network's interface on this machine, at most 15 characters; also the name of its nftables table."""
        return "lab" + hashlib.sha256(self.name.encode()).hexdigest()[:10]

    @property
    def sink(self) -> str:
        """The container that answers the hosts' DNS queries."""
        return f"lab-{self.name}-names"


def tmpfs_option(spec: str) -> str:
    """Docker's --tmpfs value for SIZE:PATH, or SIZE,OPTION:PATH with noexec, mode=MODE or nr_inodes=NUMBER."""
    sizes, _, path = spec.partition(":")
    size, *options = sizes.split(",")
    known = all(re.fullmatch(r"noexec|mode=[0-7]{4}|nr_inodes=\d+", option) for option in options)
    if not re.fullmatch(r"\d+[kmg]?", size) or not path.startswith("/") or not known:
        raise LabError(f"{spec!r} is not SIZE:PATH; an example is 64m:/opt")
    usual = [] if any(option.startswith("mode=") for option in options) else ["mode=0755"]
    runs = [] if "noexec" in options else ["exec"]
    return f"{path}:{','.join(['rw', *runs, *usual, f'size={size}', *options])}"
