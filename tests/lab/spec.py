"""What a lab is asked to be, and what it calls its parts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tests.lab import paths
from tests.lab.errors import LabError


@dataclass(frozen=True)
class Lab:
    """What a lab is asked to be."""

    name: str
    image: str = "debian12"
    hosts: int = 1
    airgap: bool = False
    user: str = "ops"
    cpus: str = ""
    tmpfs: tuple[str, ...] = ()
    """SIZE:PATH each, for instance 64m:/opt/neuraltalk, to have a disk that is soon full."""
    open_ports: tuple[int, ...] = ()
    """Ports of this machine that the hosts may use across the gap: the mirror's."""
    names: tuple[str, ...] = ()
    """What the hosts are called, if not NAME-1 and so on."""
    systemd: bool = False
    """Whether systemd runs the hosts."""
    committed: str = ""
    """What Docker calls an image that was made of a host of such a lab; the hosts start from it."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", self.name):
            raise LabError(f"{self.name!r} is no name for a lab: use small letters, digits and hyphens, 41 at most")
        if self.user not in ("ops", "plain", "root"):
            raise LabError(f"the hosts have no user {self.user!r}: take ops (sudo), plain (no sudo) or root")

    @property
    def containers(self) -> tuple[str, ...]:
        """The names of the hosts."""
        return self.names or tuple(f"{self.name}-{number}" for number in range(1, self.hosts + 1))

    @property
    def folder(self) -> Path:
        """Where the lab's keys and inventory stand."""
        return paths.CACHE / self.name

    @property
    def state(self) -> Path:
        """The file that says what stands."""
        return self.folder / "lab.json"

    @property
    def inventory(self) -> Path:
        """The inventory's folder."""
        return self.folder / "inventory"

    @property
    def network(self) -> str:
        """Docker's name of the lab's network, and of its label."""
        return f"lab-{self.name}"

    @property
    def bridge(self) -> str:
        """The network's interface here, of 15 characters at most; its nftables table is called so too."""
        return "lab" + hashlib.sha256(self.name.encode()).hexdigest()[:10]

    @property
    def sink(self) -> str:
        """The container that answers the hosts' questions for names."""
        return f"lab-{self.name}-names"


def tmpfs_option(spec: str) -> str:
    """Docker's --tmpfs value for SIZE:PATH."""
    size, _, path = spec.partition(":")
    if not re.fullmatch(r"\d+[kmg]?", size) or not path.startswith("/"):
        raise LabError(f"{spec!r} is no SIZE:PATH: write for instance 64m:/opt")
    return f"{path}:rw,exec,mode=0755,size={size}"
