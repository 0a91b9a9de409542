"""A recipe and plans of hosts, for tests of what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision.catalogue.recipe import Part, Recipe
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.plan import HostPlan, plan

HOSTS: dict[str, dict[str, Any]] = {
    file.stem: yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for file in sorted((Path(__file__).parent / "data" / "hosts").glob("*.yml"))
}


def part(name: str, size: int) -> Part:
    """A component made of one file of that size."""
    file = {"name": name, "file": f"{name}.tgz", "sha256": "a" * 64, "size": size}
    return Part(
        name=name,
        role="torch",
        digest=f"d-{name}",
        files=(file,),
        edits=(),
        rockspec="",
        requirements=(),
        loads=(),
        tries=(),
        libraries=(),
    )


RECIPE = Recipe(
    id="0a1b2c3d4e5f6071",
    platform="debian-12-x86_64",
    gpu=None,
    stack_root="/opt/neuraltalk",
    manager="apt",
    required=("gcc", "make"),
    optional=("sox",),
    repository=None,
    parts=(part("torch", 40_000_000), part("nn", 10_000_000), part("weights", 550_000_000)),
    left_out=("scorer",),
    pip_source="host",
    pip_index_url="",
)


def state_of(kind: str) -> HostState:
    """The state of a host of that kind."""
    return HostState.model_validate(HOSTS[kind]["state"])


def planned(kind: str, host: str = "node1", recipe: Recipe = RECIPE) -> HostPlan:
    """The plan for a host of that kind (a file in data/hosts)."""
    return plan(host, state_of(kind), recipe, orphaned=HOSTS[kind]["expect"].get("orphaned", False))
