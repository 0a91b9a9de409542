"""Runs the project's playbooks with plain ansible-playbook, and with changed variables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision import paths
from neuraltalk_provision.site.extra_vars import as_yaml
from tests.lab import ansible
from tests.site.command import LONG, Done

Parts = list[dict[str, Any]]


class _Loader(yaml.SafeLoader):
    """Reads the output of `provision variables`."""


_Loader.add_constructor("!unsafe", lambda loader, node: str(node.value))


def change_parts(file: Path, change: Callable[[Parts], Parts], to: Path) -> Path:
    """Write the variables in `file` to `to`, with the parts of every recipe changed."""
    variables = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    for recipe in variables["provision_recipes"].values():
        recipe["parts"] = change(recipe["parts"])
    to.write_text(as_yaml(variables), encoding="utf-8")
    return to


def run(
    playbook: str, inventory: Path, variables: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Done:
    """Run a playbook: a file of this checkout, or with `environment` the name of an installed one."""
    line = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        *("--inventory", str(inventory), "--extra-vars", f"@{variables}", *options),
        playbook if environment else str(paths.playbooks() / playbook),
    ]
    done = subprocess.run(
        line,
        env=environment or ansible.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    return Done(f"ansible-playbook {playbook}", done.returncode, done.stdout, done.stderr)
