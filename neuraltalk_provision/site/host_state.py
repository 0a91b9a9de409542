"""The state of every host, collected by one module."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.results.host_state import HostState, StackStateResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, host_results, playbook, pythons
from neuraltalk_provision.site.events import Failure

# The prefixes of our variables. An inventory may set KNOWN_VARIABLES; all other names with these prefixes are misspelt,
# or `provision` sets them itself.
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
# Others may use their beginnings for variables of their own, so only a name that is nearly one of them is misspelt.
NEAR_VARIABLES = ("neuraltalk_address", "neuraltalk_rack", "slurm_node_name")
_NEAR = 0.8
_OUR_VARIABLES = "^(" + "|".join((*OUR_PREFIXES, r"neural\w*", r"slurm\w*")) + ")_"


@dataclass(frozen=True)
class HostStates:
    """{host: its state} of the hosts that returned one, and the failures of the other hosts."""

    states: Mapping[str, HostState]
    failures: tuple[Failure, ...] = ()


def read(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> HostStates:
    """Read the state of every host; changes nothing. `cuda` is the only CUDA directory to inspect, if it is given.

    Raises HostError that names every host that failed or whose result is not as expected, and UsageError for a variable
    with one of our prefixes that nothing reads.
    """
    found = read_each(settings, catalogue, limit, cuda)
    if found.failures:
        raise advice.host_error(found.failures, advice=advice.LEAVE_OUT)
    return found


def read_each(settings: Settings, catalogue: Catalogue, limit: Sequence[str] = (), cuda: str = "") -> HostStates:
    """Like `read`, but hosts that fail do not raise an error: their failures are part of the result."""
    outcome = playbook.run(
        playbook.Request.of_site(
            settings,
            "state.yml",
            limit,
            {
                "provision_stack_root": settings.stack_root,
                "provision_package_names": catalogue.package_names(),
                "provision_our_variables": _OUR_VARIABLES,
                "provision_run_user": settings.run_user,
                **({"gpu_stack_cuda": cuda} if cuda else {}),
            },
        )
    )
    results, failures = host_results.of(outcome.results, "stack_state", StackStateResult)
    if not results and not failures:
        raise UsageError(
            f"the inventory {inventories.named(settings.inventory)} has no hosts", advice=inventories.ADVICE
        )
    failures = _with_pythons(failures, settings)
    states = {host: result.state for host, result in results.items()}
    _refuse_unknown_variables(states, settings)
    return HostStates(states, failures)


def _with_pythons(failures: tuple[Failure, ...], settings: Settings) -> tuple[Failure, ...]:
    """The failures; those that have to do with Python with the Pythons of the host, and what to do."""
    hosts = [failure.host for failure in failures if failure.code in pythons.CODES]
    if not hosts:
        return failures
    request = playbook.Request.of_site(
        settings,
        "pythons.yml",
        hosts,
        {
            "provision_pythons": " ".join(pythons.NAMES),
            "provision_imports": ", ".join(pythons.IMPORTS),
            "provision_begin": pythons.BEGIN,
        },
    )
    answers = {host: str(result.get("stdout", "")) for host, result in _asked(request).items()}
    core = importlib.metadata.version("ansible-core")
    return tuple(
        pythons.answer(failure, answers[failure.host], core)
        if failure.code in pythons.CODES and failure.host in answers
        else failure
        for failure in failures
    )


def _asked(request: playbook.Request) -> Mapping[str, Mapping[str, Any]]:
    """{host: the result of the task}; empty if the playbook failed, because the first failure is the one to report."""
    try:
        return playbook.run(request).results.by_host("ansible.builtin.raw")
    except ProvisionError:
        return {}


def _refuse_unknown_variables(states: Mapping[str, HostState], settings: Settings) -> None:
    ours = {name for state in states.values() for name in state.variables}
    injected = {
        "provision_answers",
        "provision_run_user",
        "provision_stack_root",
        "provision_package_names",
        "provision_our_variables",
        "generation_interpreter",
    }
    unknown = [
        name for name in sorted(ours - {*KNOWN_VARIABLES, *NEAR_VARIABLES} - injected) if _is_ours(name) or _near(name)
    ]
    if unknown:
        names = [*Settings.model_fields, *KNOWN_VARIABLES]
        near = {
            name: _near(name)
            or difflib.get_close_matches(name, names, 1, 0.5)
            or difflib.get_close_matches(name.split("_", 1)[-1], names, 1, 0.5)
            for name in unknown
        }
        named = [f"{name}" + (f" (did you mean {near[name][0]}?)" if near[name] else "") for name in unknown]
        raise UsageError(
            f"the inventory {inventories.named(settings.inventory)} sets variables that nothing reads: "
            + ", ".join(named),
            advice="Settings of a site belong in provision.yml. An inventory can set "
            + ", ".join((*KNOWN_VARIABLES, *NEAR_VARIABLES))
            + ".",
        )


def _is_ours(name: str) -> bool:
    """Whether only `provision` has variables with this beginning."""
    return name.startswith(tuple(f"{prefix}_" for prefix in OUR_PREFIXES))


def _near(name: str) -> list[str]:
    """The one of NEAR_VARIABLES that is nearly this name, in its first word and in the others."""
    return [known for known in NEAR_VARIABLES if all(map(_alike, name.split("_", 1), known.split("_", 1)))]


def _alike(word: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, word, other).ratio() >= _NEAR
