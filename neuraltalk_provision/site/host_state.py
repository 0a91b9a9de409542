"""The state of every host: one module asks a host for all of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.host_state import HostState, StackStateResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, answers, playbook
from neuraltalk_provision.site.events import Failure

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
    "gpu_stack_skip_checks",
)
_OUR_VARIABLES = "^(" + "|".join(OUR_PREFIXES) + ")_"


@dataclass(frozen=True)
class HostStates:
    """{host: its state} of the hosts that answered well, by name, and the failures of the others."""

    states: Mapping[str, HostState]
    failures: tuple[Failure, ...] = ()


def ask(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> HostStates:
    """Ask every host for its state; changes nothing. `cuda` is the one CUDA directory to look at, if there is one.

    Raises HostError naming every host that could not be reached or asked, or whose answer is not as expected, and
    UsageError for an inventory variable of ours that nothing reads.
    """
    heard = ask_each(settings, catalogue, limit, cuda)
    if heard.failures:
        raise advice.host_error(
            heard.failures, advice="Nothing was changed on any host. To continue without a host: --limit '!HOST'."
        )
    return heard


def ask_each(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> HostStates:
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
    results, failures = answers.of(outcome.told, "stack_state", StackStateResult)
    if not results and not failures:
        raise UsageError(f"{settings.inventory} has no hosts")
    states = {host: result.state for host, result in results.items()}
    _refuse_unknown_variables(states, settings)
    return HostStates(states, failures)


def _refuse_unknown_variables(states: Mapping[str, HostState], settings: Settings) -> None:
    ours = {name for state in states.values() for name in state.variables}
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
            f"{settings.inventory} sets unknown variables: {', '.join(words)}",
            advice="Settings of the site are in provision.yml; an inventory can set "
            + ", ".join(KNOWN_VARIABLES)
            + ".",
        )
