"""Reads an inventory as Ansible does, by ansible-inventory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.mirror import programs
from neuraltalk_provision.site import playbook


def options(inventory: Inventory) -> list[str]:
    """The options that name the inventories."""
    return [word for one in inventories.listed(inventory) for word in ("--inventory", str(one))]


def read(inventory: Inventory, question: Sequence[str], most: int) -> dict[str, Any] | None:
    """The answer to `--list`, or to `--host NAME`; None without one. MirrorError if it is longer than `most` bytes."""
    code, output = programs.output(["ansible-inventory", *options(inventory), *question], playbook.environment(), most)
    try:
        found = json.loads(output) if not code else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else None
