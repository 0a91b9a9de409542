"""Builds the generation of an entry of the cache again, and compares: two builders, same inputs, same bytes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import HostError, MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import cache, cache_needs
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.cache import InstalledFilesResult
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import pack
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import (
    advice,
    converge,
    host_results,
    host_state,
    leases,
    packing,
    playbook,
    second_builder,
    steps,
)
from neuraltalk_provision.site.differing import Difference, differences
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.second_builder import Second

MOST_SHOWN = 50


@dataclass(frozen=True)
class Again:
    """The entry of the cache, the second builder, and its plan; if it builds, as if it had nothing of the entry."""

    entry: CacheEntry
    second: Second
    plan: HostPlan

    @property
    def words(self) -> str:
        """What is done, for `--plan`."""
        return self.second.words(self.entry.id)


@dataclass(frozen=True)
class Compared:
    """The result: the generation, both builders, the SHA-256 of both tars, and what differs, by path."""

    generation: str
    builders: tuple[str, str]
    sha256: tuple[str, str]
    differing: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether both are the same, byte for byte."""
        return self.sha256[0] == self.sha256[1]

    def lines(self) -> list[str]:
        """The result in words."""
        both = f"generation {self.generation} of {self.builders[0]} and of {self.builders[1]}"
        if self.same:
            return [f"{both}: the same bytes, SHA-256 {self.sha256[0]}"]
        counts: dict[str, int] = {}
        for one in self.differing:
            counts[one.component] = counts.get(one.component, 0) + 1
        of = ", ".join(f"{count} of {name or 'no component'}" for name, count in sorted(counts.items()))
        shown = [f"  {one.words}" for one in self.differing[:MOST_SHOWN]]
        more = [f"  and {len(self.differing) - MOST_SHOWN} more"] if len(self.differing) > MOST_SHOWN else []
        return [f"{both} differ in {len(self.differing)} entries ({of}):", *shown, *more]

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "generation": self.generation,
            "builders": list(self.builders),
            "sha256": list(self.sha256),
            "same": self.same,
            "differing": [one.as_json() for one in self.differing],
        }


def prepare(settings: Settings, generation: str = "", on: str = "", *, take_over: bool = False) -> Again:
    """What would be built again, and where. Changes nothing.

    `generation` is the id of the entry; it can be empty if the hosts need only one that the cache has. Raises
    UsageError if there is no such entry or no such host, HostError if no host answers.
    """
    listed = converge.open_mirror(settings)
    states = host_state.read_each(settings, catalogues.load(), [on] if on else [])
    if not states.states:
        raise advice.host_error(states.failures)
    plans = converge.planner(settings, (), HostStates(states.states), listed, take_over=take_over)({})
    entry = _entry(plans, settings, generation)
    without = HostStates({host: _without(state, entry.id) for host, state in states.states.items()})
    bare = converge.planner(settings, (), without, listed, take_over=take_over)({})
    refusals = {plan.host: plan.refusals for plan in bare}
    second = second_builder.choose(entry, plans, states.states, refusals, on)
    return Again(entry, second, next(plan for plan in (plans if second.own else bare) if plan.host == second.host))


def _without(state: HostState, generation: str) -> HostState:
    """The state of a host as if it had nothing of a generation."""
    left = {name: one for name, one in state.stack.generations.items() if name != generation}
    return state.model_copy(update={"stack": state.stack.model_copy(update={"generations": left})})


def _entry(plans: Sequence[HostPlan], settings: Settings, generation: str) -> CacheEntry:
    """The entry that is compared."""
    ids = [generation] if generation else sorted({plan.recipe.id for plan in plans})
    found = [cache.find(settings, name) for name in ids]
    usable = [one.entry for one in found if one.entry]
    if not usable:
        problems = [f"{one.id}: {one.problem}" for one in found if one.problem]
        raise UsageError(
            "\n".join([f"the cache has no generation that can be compared: {', '.join(ids)}", *problems]),
            advice="`provision cache list` shows what it has.",
        )
    if len(usable) > 1:
        raise UsageError(
            f"the hosts need several generations of the cache: {', '.join(entry.id for entry in usable)}",
            advice="Give the id of one of them.",
        )
    return usable[0]


def compare(again: Again, settings: Settings, output: Output) -> Compared:
    """Build the generation on the second builder, and compare it with the cache, which stays as it is.

    What was built is removed from the host afterwards, unless it had one before, or the build fails. Raises HostError
    if it cannot be built or packed, and MirrorError, before anything is done, if there is no place for it here.
    """
    if problem := cache.unwritable(settings.mirror):
        raise MirrorError(f"what is packed cannot be stored beside the cache to be compared: {problem}")
    plan, entry = again.plan, again.entry
    lease = leases.variables("provision cache verify", {plan.host: plan.over})
    given = {**converge.variables((plan,), settings), "provision_lease": lease}
    with leases.released([plan.host], given, settings):
        if not again.second.own:
            _build(again, given, settings, output)
        fetched, problems = packing.fetch((plan,), lease, settings, output)
        if not fetched:
            raise HostError(f"{plan.host}: {problems.get(plan.host, 'nothing was packed')}")
        (one,) = fetched
        try:
            entries = cache_needs.inspect(cache.folder(settings.mirror, entry.id) / entry.file).entries
        finally:
            cache.drop_incoming(one.file)
        found = pack.differences(entries, one.inspected.entries)
        owners = _owners(plan, [path for path, _left, _right in found], settings) if found else {}
        compared = Compared(
            entry.id, (entry.builder, plan.host), (entry.sha256, one.pack.sha256), differences(found, owners)
        )
        if not (again.second.own or again.second.replaces):
            try:
                _discard(plan, lease, settings, output)
            except ProvisionError as error:
                output.remark("cache", f"what was built again is still on {plan.host}: {error.message}")
    return compared


def _build(again: Again, given: Mapping[str, Any], settings: Settings, output: Output) -> None:
    """Build on the second builder. Raises UsageError or MirrorError, before anything is removed, or HostError."""
    converge.refuse((again.plan,))
    converge.check_mirror((again.plan,), settings, catalogues.load(), output)
    if again.second.replaces:
        _discard(again.plan, given["provision_lease"], settings, output)
    results = steps.build([again.plan.host], given, settings, output)
    if results.failures:
        raise advice.host_error(
            results.failures,
            advice="Its current generation was not touched. What was built so far stays there, for its logs; the same "
            "command removes it first.",
        )


def _discard(plan: HostPlan, lease: Mapping[str, Any], settings: Settings, output: Output) -> None:
    request = playbook.Request.of_site(
        settings,
        "discard.yml",
        [plan.host],
        {
            "provision_lease": lease,
            "provision_discarded": {"stack_root": plan.recipe.stack_root, "id": plan.recipe.id},
        },
    )
    with output.working("removing the generation"):
        failures = host_results.failures_of(playbook.run(request).results, [plan.host])
    if failures:
        raise advice.host_error(failures)


def _owners(plan: HostPlan, paths: Sequence[str], settings: Settings) -> dict[str, str]:
    """{path: the component that installed it} of the first paths; without those that are not known."""
    asked = list(paths[: pack.MOST_NAMED])
    request = playbook.Request.of_site(
        settings,
        "owners.yml",
        [plan.host],
        {
            "provision_owners": {"stack_root": plan.recipe.stack_root, "id": plan.recipe.id, "paths": asked},
        },
    )
    received = playbook.run(request).results
    results, _failures = host_results.of(received, "installed_files_info", InstalledFilesResult, [plan.host])
    if plan.host not in results:
        return {}
    return {path: name for path, name in zip(asked, results[plan.host].components, strict=False) if name}
