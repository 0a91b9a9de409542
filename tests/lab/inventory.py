"""The files with which Ansible and ssh reach a lab: an inventory, and the host keys, which are all checked."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Host:
    """The address, host key and Python of a container."""

    name: str
    address: str
    key: str
    python: str


def ssh_options(folder: Path) -> str:
    """The ssh options for a lab, quoted for Ansible and for ssh, because the path can contain spaces."""
    known = shlex.quote(f'UserKnownHostsFile="{folder}/known_hosts"')
    return f"-o {known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"


def entry(host: Host, folder: Path, user: str) -> dict[str, Any]:
    """One host's variables."""
    return {
        "ansible_host": host.address,
        "ansible_user": user,
        # Only the user ops has sudo.
        "ansible_become": user == "ops",
        "ansible_python_interpreter": host.python,
        "ansible_ssh_private_key_file": str(folder / "id_ed25519"),
        "ansible_ssh_common_args": ssh_options(folder),
    }


def tree(hosts: list[Host], folder: Path, user: str) -> dict[str, Any]:
    """The inventory: every host in the group hosts_cpu."""
    entries = {host.name: entry(host, folder, user) for host in hosts}
    return {"all": {"children": {"hosts_cpu": {"hosts": entries}}}}


def known_hosts(hosts: list[Host]) -> str:
    """The lines of ssh's known_hosts file, with address and name of each host."""
    return "".join(f"{host.address},{host.name} {' '.join(host.key.split()[:2])}\n" for host in hosts)


def write(hosts: list[Host], folder: Path, user: str) -> Path:
    """Write both files into the lab's directory; returns the inventory's directory."""
    (folder / "known_hosts").write_text(known_hosts(hosts), encoding="utf-8")
    target = folder / "inventory"
    target.mkdir(exist_ok=True)
    text = yaml.safe_dump(tree(hosts, folder, user), sort_keys=False, width=1000)
    (target / "hosts.yml").write_text(text, encoding="utf-8")
    return target
