"""One question to every host, and what the answers make of the site."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.gpu import choose
from neuraltalk_provision.catalogue.platform import recognise
from neuraltalk_provision.catalogue.recipe import BuildSettings, Held, Recipe, write
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, answers, playbook, shapes
from neuraltalk_provision.site.events import Failure, Told

# Names that an inventory may set; the rest with these prefixes is misspelt or set by `provision` itself.
OUR_PREFIXES = (
    "provision",
    "torch",
    "lua_rocks",
    "hdf5",
    "gpu_stack",
    "neuraltalk2",
    "system_deps",
    "generation",
)
KNOWN_VARIABLES = (
    "generation_space",
    "gpu_stack_profile",
    "gpu_stack_arch_list",
    "gpu_stack_cuda",
    "gpu_stack_gcc",
    "gpu_stack_cudnn_mode",
    "gpu_stack_vouched",
)
_OUR_VARIABLES = "^(" + "|".join(OUR_PREFIXES) + ")_"


@dataclass(frozen=True)
class Answers:
    """{host: its state} of the hosts that answered well, by name, and the failures of the others."""

    states: Mapping[str, Mapping[str, Any]]
    failures: tuple[Failure, ...] = ()


def ask(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> Answers:
    """Ask every host for its state; changes nothing. `cuda` is the one CUDA directory to look at, if there is one.

    Raises HostError naming every host that could not be reached or asked, or whose answer is not as expected, and
    UsageError for an inventory variable of ours that nothing reads.
    """
    heard = hear(settings, catalogue, limit, cuda)
    if heard.failures:
        raise advice.host_error(
            heard.failures, advice="Nothing was changed on any host. To go on without some: --limit '!HOST'."
        )
    return heard


def hear(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> Answers:
    """As `ask`, for who goes on without the hosts that could not be asked: their failures are in the answer."""
    outcome = playbook.run(
        playbook.Request(
            playbook="state.yml",
            inventory=settings.inventory,
            limit=limit,
            forks=settings.forks,
            variables={
                "provision_stack_root": settings.stack_root,
                "provision_package_names": catalogue.package_names(),
                "provision_our_variables": _OUR_VARIABLES,
                "provision_run_user": settings.run_user,
                **({"gpu_stack_cuda": cuda} if cuda else {}),
            },
        )
    )
    results, failures = answers.of(outcome.told, "stack_state", shape=shapes.StackState)
    if not results and not failures:
        raise UsageError(f"{settings.inventory} has no hosts")
    states = {host: result["state"] for host, result in results.items()}
    _refuse_unknown_variables(states, settings)
    return Answers(states, failures)


def one(told: Told, action: str, host: str) -> Mapping[str, Any]:
    """One host's result of the module `action`. Raises HostError, with its name and why, where there is none."""
    results, failures = answers.of(told, action, (host,))
    if failures:
        raise advice.host_error(failures)
    return results[host]


@dataclass(frozen=True)
class Asked:
    """The recipe of one host, and what choosing for its cards had to say: reasons not to begin, or a remark."""

    recipe: Recipe
    refusals: tuple[str, ...] = ()
    remark: str = ""


def recipes(given: Answers, settings: Settings, catalogue: Catalogue, lock: Mapping[str, Held]) -> dict[str, Asked]:
    """{host: the recipe of its platform and cards}."""
    build = BuildSettings(
        stack_root=settings.stack_root, pip_source=settings.pip.source, pip_index_url=settings.pip.public_index_url
    )
    asked = {}
    for host, state in given.states.items():
        platform = recognise(state["platform"], host)
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
        asked[host] = Asked(recipe, chosen.refusals, chosen.remark)
    return asked


def _refuse_unknown_variables(states: Mapping[str, Mapping[str, Any]], settings: Settings) -> None:
    ours = {name for state in states.values() for name in state["variables"]}
    injected = {
        "provision_answers",
        "provision_run_user",
        "provision_stack_root",
        "provision_package_names",
        "provision_our_variables",
    }
    unknown = sorted(ours - set(KNOWN_VARIABLES) - injected)
    if unknown:
        names = [*Settings.model_fields, *KNOWN_VARIABLES]
        near = {
            name: difflib.get_close_matches(name, names, 1, 0.5)
            or difflib.get_close_matches(name.split("_", 1)[-1], names, 1, 0.5)
            for name in unknown
        }
        words = [f"{name}" + (f" (did you mean {near[name][0]}?)" if near[name] else "") for name in unknown]
        raise UsageError(
            f"{settings.inventory} sets variables that nothing reads: {', '.join(words)}",
            advice="What a site decides stands in provision.yml; an inventory may set "
            + ", ".join(KNOWN_VARIABLES)
            + ".",
        )
