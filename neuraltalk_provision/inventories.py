"""Which inventories Ansible reads: files, directories or lists of hosts, as with `ansible-playbook --inventory`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

Inventory = Path | tuple[Path, ...]
"""One inventory, or several that Ansible merges. A path with a comma that is not a file is a list of hosts."""

ADVICE = (
    "Variables of the environment reach an inventory only if inventory_environment in provision.yml lists their names."
)


class Reading(tuple[Path, ...]):
    """Inventories that read variables of the environment, as with lookup('env', ...); `variables` are their names."""

    variables: tuple[str, ...]

    def __new__(cls, inventories: Iterable[Path], variables: Iterable[str]) -> Self:
        self = super().__new__(cls, inventories)
        self.variables = tuple(variables)
        return self


def variables_of(inventory: Inventory) -> tuple[str, ...]:
    """The names of the variables of the environment that the inventories read."""
    return inventory.variables if isinstance(inventory, Reading) else ()


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
