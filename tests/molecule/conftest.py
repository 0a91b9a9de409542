"""Fixtures of all scenarios: the generation that was built, its recipe, and the record of the air gap."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from neuraltalk_provision.mirror import lock
from tests.lab import proof

EPHEMERAL = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "."))
PREPARED = "/var/tmp/prepared"
"""The last file that prepare.yml creates: newer files were written by the roles under test."""


class _Loader(yaml.SafeLoader):
    """Reads Ansible's !unsafe as plain text."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(cast(yaml.ScalarNode, node)))


@dataclass(frozen=True)
class Stack:
    """The generation of the scenario's variables, on one host."""

    host: Host
    variables: dict[str, Any]

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The host's recipe."""
        generation = self.variables["provision_generations"][self.host.backend.get_hostname()]
        return cast(dict[str, Any], self.variables["provision_recipes"][generation])

    @cached_property
    def mirror(self) -> Path:
        """The mirror from which it was built."""
        return Path(self.variables["provision_mirror"])

    @property
    def root(self) -> str:
        """The stack root."""
        return str(self.recipe["stack_root"])

    @property
    def path(self) -> str:
        """The generation's directory."""
        return str(self.recipe["generation"])

    @property
    def build(self) -> str:
        """The directory of its sources."""
        return f"{self.root}/build/{self.recipe['id']}"

    def part(self, name: str) -> dict[str, Any]:
        """The recipe's part of that name."""
        return next(part for part in self.recipe["parts"] if part["name"] == name)

    def stamp(self, name: str) -> dict[str, Any]:
        """The stamp of a component. It must exist."""
        return cast(dict[str, Any], json.loads(self.host.file(f"{self.path}/stamps/{name}.json").content_string))

    def evidence(self, name: str) -> dict[str, dict[str, Any]]:
        """The evidence about each Lua module in a component's stamp, by module name."""
        found = self.stamp(name)["evidence"]
        loads = found["loads"] if isinstance(found, dict) else found
        return {entry["module"]: entry for entry in loads}

    def run(self, *command: str) -> CommandResult:
        """Run a command in the generation's environment, with no other variables."""
        return self.host.run(f"cd / && env -i HOME=$HOME TMPDIR=$HOME {self.path}/bin/with-stack {shlex.join(command)}")

    def lua(self, program: str) -> str:
        """The output of a Lua program, which must succeed."""
        done = self.run("luajit", "-e", program)
        assert done.rc == 0, done.stdout + done.stderr
        return str(done.stdout.strip())

    def sha256(self, artifact: str) -> str:
        """The SHA-256 of an artifact in the mirror's lock."""
        return lock.read(self.mirror).by_name()[artifact].sha256


@pytest.fixture(scope="module")
def stack(host: Host) -> Stack:
    """The generation that the scenario built."""
    text = (EPHEMERAL / "inventory" / "provision.yml").read_text(encoding="utf-8")
    return Stack(host, yaml.load(text, _Loader)["all"]["vars"])


@pytest.fixture
def crossings() -> list[dict[str, Any]]:
    """What the scenario's hosts have tried to reach outside the lab."""
    return proof.record(os.environ["MOLECULE_SCENARIO_NAME"].replace("_", "-"))


def newer_than_prepared(host: Host, *places: str) -> list[str]:
    """The files below these directories that the roles under test wrote, without those of Ansible itself."""
    search = ("find", *places, "-newer", PREPARED, "-type", "f", "-not", "-path", "*/.ansible/*")
    return sorted(host.check_output(shlex.join(search)).splitlines())
