"""The OS packages that a host lacks. Pure."""

from __future__ import annotations

from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.unpack import Unpack


def missing_packages(state: HostState, recipe: Recipe, unpack: Unpack | None = None) -> tuple[str, ...]:
    """The names of the packages that `provision site` installs.

    A host that unpacks or has unpacked needs no compilers, only what the generation needs when it is used.
    """
    generation = state.stack.generation(recipe.id)
    if generation.sealed and generation.lacks is not None:
        return tuple(generation.lacks)
    if unpack:
        return tuple(unpack.lacks)
    return tuple(name for name in recipe.required if name not in state.packages)
