"""The recipe of every host: what is built for its platform and cards, from its state, settings and mirror. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.gpu import choose
from neuraltalk_provision.catalogue.platform import recognise
from neuraltalk_provision.catalogue.recipe import BuildSettings, LockedFile, Recipe, write
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings


@dataclass(frozen=True)
class HostRecipe:
    """The recipe of one host, with the refusals (reasons not to start) or the remark from the choice for its cards."""

    recipe: Recipe
    refusals: tuple[str, ...] = ()
    remark: str = ""


def of_hosts(
    states: Mapping[str, HostState], settings: Settings, catalogue: Catalogue, lock: Mapping[str, LockedFile]
) -> dict[str, HostRecipe]:
    """{host: the recipe of its platform and cards}."""
    build = BuildSettings(
        stack_root=settings.stack_root, pip_source=settings.pip.source, pip_index_url=settings.pip.public_index_url
    )
    found = {}
    for host, state in states.items():
        platform = recognise(state.platform, host)
        chosen = choose(
            host,
            state,
            platform.key,
            catalogue.compatibility,
            lock,
            profile=settings.profile,
            cudnn_mode=settings.cudnn_mode,
        )
        recipe = write(catalogue, lock, platform, build, chosen.gpu)
        found[host] = HostRecipe(recipe, chosen.refusals, chosen.remark)
    return found
