"""What the playbooks of packed generations are told, and whether a packed generation fits a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.mirror.cache_entry import CacheEntry, Needs
from neuraltalk_provision.results.cache import Runtime
from neuraltalk_provision.rules import layout, runtime
from neuraltalk_provision.rules.artifacts import path_of
from neuraltalk_provision.site.plan import HostPlan

DIRECTORY = "cache"
"""The directory of packed generations in the mirror, and below the address of its web server."""


def can_be_unpacked(plan: HostPlan) -> bool:
    """Whether a packed generation would spare the host a build.

    The current generation is completed in its place, because programs may use it.
    """
    return plan.current != plan.recipe.id and any(part.name in plan.builds for part in plan.recipe.parts)


def can_be_packed(plan: HostPlan) -> bool:
    """Whether the host has built the generation, so that it can be packed there at once."""
    return plan.has_built and not (plan.stages or plan.share or plan.refusals)


def packing(plan: HostPlan, dest: str) -> dict[str, Any]:
    """What pack.yml is told of one host."""
    return {
        "id": plan.recipe.id,
        "stack_root": plan.recipe.stack_root,
        "artifacts": list(plan.recipe.files),
        "outside": outside(plan.recipe),
        "dest": dest,
    }


def outside(recipe: Recipe) -> list[str]:
    """The directories of hosts into which links of a generation may lead: the CUDA directory, if it is the host's."""
    return [recipe.gpu.toolkit] if recipe.gpu and recipe.gpu.toolkit else []


def question(needs: Needs, recipe: Recipe, *, packages: bool = False) -> dict[str, Any]:
    """What runtime.yml is told of one host; with `packages`, the OS package of each library is looked up there."""
    return {**needs.as_rules(), "directories": outside(recipe), "packages": packages}


def unpacking(entry: CacheEntry, recipe: Recipe, mirror: str, url: str) -> dict[str, Any]:
    """What unpack.yml is told of one packed generation."""
    artifacts = f"{recipe.stack_root}/{layout.ARTIFACTS}"
    beside = {sha256: file for sha256, file in recipe.files.items() if sha256 in entry.left_out}
    place = f"{DIRECTORY}/{entry.id}"
    return {
        "file": {
            "name": f"generation {entry.id}",
            "file": entry.file,
            "sha256": entry.sha256,
            "size": entry.size,
        },
        "mirror": f"{mirror}/{place}",
        "url": f"{url}/{place}" if url else "",
        "beside": [dict(file) for file in beside.values()],
        "artifacts": [
            {"path": path_of(artifacts, {"file": str(file["file"]), "sha256": sha256}), "sha256": sha256}
            for sha256, file in beside.items()
        ],
        "needs": entry.needs.as_rules(),
        "directories": outside(recipe),
        "outside": outside(recipe),
        "packages": sorted(set(entry.packages.values())),
        "origin": entry.origin,
    }


def fits(entry: CacheEntry, host: Runtime) -> tuple[str, ...]:
    """Why the packed generation will not run on a host; empty if it will.

    A library that is missing is no reason if its OS package is known, because it will be installed.
    """
    has: Mapping[str, Any] = {
        "machine": host.machine,
        "glibc": host.glibc,
        "level": host.level,
        "python": host.python,
        "libraries": {name: library.model_dump() for name, library in host.libraries.items()},
    }
    return tuple(runtime.reasons(entry.needs.as_rules(), has, entry.packages.keys()))
