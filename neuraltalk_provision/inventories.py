"""Which inventories Ansible reads: files, directories or lists of hosts, as with `ansible-playbook --inventory`."""

from __future__ import annotations

from pathlib import Path

Inventory = Path | tuple[Path, ...]
"""One inventory, or several that Ansible merges. A path with a comma that is not a file is a list of hosts."""


def listed(inventory: Inventory) -> tuple[Path, ...]:
    """The inventories, in their order."""
    return inventory if isinstance(inventory, tuple) else (inventory,)


def named(inventory: Inventory) -> str:
    """The inventories in a message."""
    return " and ".join(str(one) for one in listed(inventory))


def located(one: Path, base: Path) -> Path:
    """An inventory as an absolute path, counted from `base`; a list of hosts stays as it is."""
    return one if is_host_list(base / one) else (base / one).absolute()


def is_host_list(one: Path) -> bool:
    """Whether this is a list of hosts such as `node1,node2` and not a path, as Ansible decides it."""
    return "," in one.name and not one.exists()
