"""Reads an inventory as Ansible does, by ansible-inventory."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Sequence
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import TEMPORARY, naming
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.mirror import programs
from neuraltalk_provision.site import ansible_environment


def options(inventory: Inventory) -> list[str]:
    """The options that name the inventories."""
    return [word for one in inventories.listed(inventory) for word in ("--inventory", str(one))]


def read(inventory: Inventory, question: Sequence[str], most: int) -> dict[str, Any] | None:
    """The answer to `--list`, or to `--host NAME`; None without one. MirrorError if it is longer than `most` bytes."""
    command = ["ansible-inventory", *options(inventory), *question]
    with contextlib.ExitStack() as stack:
        with naming(TEMPORARY, "written"):
            own = stack.enter_context(tempfile.TemporaryDirectory(prefix="provision-"))
        variables = ansible_environment.variables(inventories.variables_of(inventory))
        environment = {**variables, **ansible_environment.home(own)}
        code, output = programs.output(command, environment, most)
    try:
        found = json.loads(output) if not code else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else None
