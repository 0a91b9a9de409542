"""Builds each generation on one host of its kind, and unpacks it on the others: the staging of `provision site`.

A host that cannot use the packed generation builds it itself, and the reason is said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.host_names import MOST_LINES, lines, named
from neuraltalk_provision.mirror import cache
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, codes, host_results, packing, packs, playbook, runtimes, sources
from neuraltalk_provision.site.distribution import ahead
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan

Build = Callable[[Sequence[str]], PlayResults]
"""Runs site.yml on these hosts."""
MOST_BUILDERS = 3
"""After so many hosts of one kind that could not build their generation, it is not tried on the others."""
MOST_TRIES = 10
"""The same, with the hosts that failed for a reason of their own: they were lost, or their disk is full."""
_BUILD_INSTEAD = ("", codes.CACHE_UNFIT)
"""Failures of unpacking after which a host builds; a full disk or a lost connection would stop a build as well."""


@dataclass
class Staged:
    """What staging did: the changes, the failures, and where each unpacked generation was built, by host."""

    changes: list[Change] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unpacked: dict[str, str] = field(default_factory=dict)
    diffs: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, results: PlayResults) -> set[str]:
        """Add the results of site.yml; the hosts that failed."""
        self.changes += [change for change in results.changes if not change.predicted]
        self.failures += results.failures
        self.diffs += results.diffs
        return {failure.host for failure in results.failures}

    def give_up(self, plans: Sequence[HostPlan], tried: Sequence[str]) -> None:
        """Add failures of hosts for whose generation others have tried to build it."""
        words = f"{', '.join(tried)} could not build its generation, so no other host of its kind tries"
        self.failures += [Failure(plan.host, "", words, code=codes.HOST_REFUSED) for plan in plans]

    def refuse(self, plans: Sequence[HostPlan], reason: str) -> None:
        """Add failures of hosts that neither unpack nor can build; the reason is why they do not unpack."""
        for plan in plans:
            why = "; ".join(plan.unpack.cannot_build) if plan.unpack else ""
            words = f"{reason}, and it cannot build it itself: {why}"
            self.failures.append(Failure(plan.host, "", words, code=codes.HOST_REFUSED))


def build_once(
    plans: Sequence[HostPlan],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    build: Build,
    builders: Collection[str] = (),
    others: Sequence[HostPlan] = (),
) -> Staged:
    """Stage every host: unpack what the cache has, build the rest once per generation, pack it, and unpack it.

    `plans` are those of the hosts to stage, `given` the variables of the playbooks, `builders` hosts that build if they
    can. What one of the `others` has built already is packed there. Every host is afterwards staged, or among the
    failures.
    """
    staged = Staged()
    groups: dict[str, list[HostPlan]] = {}
    for plan in plans:
        if packs.can_be_unpacked(plan):
            groups.setdefault(plan.recipe.id, []).append(plan)
    alone = [plan for plan in plans if not packs.can_be_unpacked(plan)]
    entries = {name: entry for name, group in groups.items() if (entry := _entry(group[0], settings, output))}
    known = [plan for name in entries for plan in groups.pop(name)]
    alone += _unpack(known, entries, given, settings, output, staged)
    if groups and (problem := cache.unwritable(settings.mirror)):
        output.remark("cache", f"nothing is packed, and every host builds its generation itself: {problem}")
        waiting = [plan for group in groups.values() for plan in group]
        alone += [plan for plan in waiting if _can_build(plan)]
        staged.refuse([plan for plan in waiting if not _can_build(plan)], problem)
        groups = {}
    has_built = {plan.recipe.id: plan for plan in others if plan.recipe.id in groups and packs.can_be_packed(plan)}
    made = _pack(list(has_built.values()), given, settings, output)
    alone += _unpack([plan for name in made for plan in groups.pop(name)], made, given, settings, output, staged)
    unable: dict[str, list[str]] = {}
    while groups:
        for name in [name for name, group in groups.items() if not any(_can_build(plan) for plan in group)]:
            staged.refuse(groups.pop(name), "no other host has built its generation")
        chosen = [_builder(group, builders) for group in groups.values()]
        if not (chosen or alone):
            break
        failed = staged.add(build([plan.host for plan in (*chosen, *alone)]))
        unwell = {one.host for one in staged.failures if one.silent or one.code in codes.OF_ONE_MACHINE}
        alone = []
        made = _pack([plan for plan in chosen if plan.host not in failed], given, settings, output)
        ready: list[HostPlan] = []
        for plan in chosen:
            group = [other for other in groups.pop(plan.recipe.id) if other is not plan]
            if plan.recipe.id in made:
                ready += group
            elif plan.host not in failed:
                alone += [other for other in group if _can_build(other)]
                staged.refuse([other for other in group if not _can_build(other)], "nothing could be packed")
            else:
                tried = unable.setdefault(plan.recipe.id, [])
                tried.append(plan.host)
                if len(tried) >= MOST_TRIES or len(set(tried) - unwell) >= MOST_BUILDERS:
                    staged.give_up(group, tried)
                elif group:
                    groups[plan.recipe.id] = group  # another host of its kind builds
        alone += _unpack(ready, made, given, settings, output, staged)
    if alone:
        staged.add(build([plan.host for plan in alone]))
    return staged


def _can_build(plan: HostPlan) -> bool:
    return plan.unpack is None or not plan.unpack.cannot_build


def _builder(group: Sequence[HostPlan], builders: Collection[str]) -> HostPlan:
    """Of the hosts of one kind that can build: whom the plan names, a named one, who has least to build, the first."""
    able = [plan for plan in group if _can_build(plan)]
    return min(able, key=lambda plan: (plan.unpack is not None, plan.host not in builders, len(plan.builds)))


def _entry(plan: HostPlan, settings: Settings, output: Output) -> CacheEntry | None:
    """The entry that can be used for a plan; None, with the reason said, if there is none."""
    entry, problem = sources.entry_of(plan, settings, hashed=True)
    if problem:
        output.remark("cache", f"the packed generation {plan.recipe.id} is not used, and is built again: {problem}")
    return entry


def _pack(
    builders: Sequence[HostPlan], given: Mapping[str, Any], settings: Settings, output: Output
) -> dict[str, CacheEntry]:
    """{id: its new entry} of the generations that could be packed; why one could not be packed is said."""
    made: dict[str, CacheEntry] = {}
    if not builders:
        return made
    fetched: tuple[packing.Fetched, ...] = ()
    problems: packing.Problems = {}
    try:
        fetched, problems = packing.fetch(builders, given["provision_lease"], settings, output)
        known = packing.builders_of(fetched, settings, output) if fetched else {}
        for one in fetched:
            if one.plan.host not in known:
                problems[one.plan.host] = "it did not say what its libraries belong to"
                continue
            try:
                packing.publish(one, known[one.plan.host], settings)
            except ProvisionError as error:
                problems[one.plan.host] = error.message
            # Read again as every later command reads it: with its signature, where one is demanded.
            if entry := _entry(one.plan, settings, output):
                made[entry.id] = entry
                output.remark("cache", f"generation {entry.id} was packed on {entry.builder}: {entry.size // 10**6} MB")
    except ProvisionError as error:
        problems[builders[0].host] = error.message
    finally:
        for one in fetched:
            cache.drop_incoming(one.file)
    for host, problem in problems.items():
        output.remark("cache", f"the generation of {host} is not in the cache: {problem}")
    return made


def _unpack(
    plans: Sequence[HostPlan],
    entries: Mapping[str, CacheEntry],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
    staged: Staged,
) -> list[HostPlan]:
    """Unpack on these hosts; the plans of those that have to build instead."""
    if not plans:
        return []
    unfit = _unfit(plans, entries, settings, output, staged)
    failed = {failure.host for failure in staged.failures}
    fitting = [plan for plan in plans if plan.host not in unfit and plan.host not in failed]
    failures = _run_unpack(fitting, entries, given, settings, output)
    lacking = [plan for plan in fitting if plan.host in failures and failures[plan.host].code == codes.DOWNLOAD_FAILED]
    if lacking:
        count = "1 host gets" if len(lacking) == 1 else f"{len(lacking)} hosts get"
        why = f"the web server (artifact_url) does not send it: {failures.pop(lacking[0].host).message}"
        output.remark("cache", f"{count} the packed generation from this machine, because {why}")
        failures = {host: one for host, one in failures.items() if one.code != codes.DOWNLOAD_FAILED}
        failures |= _run_unpack(lacking, entries, {**given, "provision_artifact_url": ""}, settings, output)
    for failure in failures.values():
        if failure.code in _BUILD_INSTEAD and not failure.unreachable:
            unfit[failure.host] = failure.message
        else:
            staged.failures.append(failure)
    done: dict[str, list[str]] = {}
    for plan in fitting:
        if plan.host not in failures:
            origin = entries[plan.recipe.id].origin
            staged.unpacked[plan.host] = origin
            staged.changes.append(Change(plan.host, "generation", "unpack", origin))
            done.setdefault(origin, []).append(plan.host)
    for origin, hosts in done.items():
        for name in hosts if len(hosts) <= MOST_LINES else [f"{named(hosts)} ({len(hosts)} hosts)"]:
            output.step(name, "generation", "unpacked", origin)
    building = [plan for plan in plans if plan.host in unfit and _can_build(plan)]
    told = ((plan.host, f"{plan.host} builds its generation itself: {unfit[plan.host]}") for plan in building)
    for line in lines(told):
        output.remark("cache", line)
    for plan in plans:
        if plan.host in unfit and not _can_build(plan):
            staged.refuse([plan], f"it cannot use the packed generation: {unfit[plan.host]}")
    return building


def _unfit(
    plans: Sequence[HostPlan],
    entries: Mapping[str, CacheEntry],
    settings: Settings,
    output: Output,
    staged: Staged,
) -> dict[str, str]:
    """{host: why it cannot use the packed generation}. Hosts that do not answer are among the failures afterwards."""
    runtime, failures = runtimes.ask(plans, entries, settings, output)
    unfit = {}
    for failure in failures:
        if failure.unreachable:
            staged.failures.append(failure)
        else:
            unfit[failure.host] = advice.explain(failure)
    for plan in plans:
        if plan.host in runtime:
            reasons = packs.fits(entries[plan.recipe.id], runtime[plan.host])
            if reasons:
                unfit[plan.host] = "; ".join(reasons)
    return unfit


def _run_unpack(
    plans: Sequence[HostPlan],
    entries: Mapping[str, CacheEntry],
    given: Mapping[str, Any],
    settings: Settings,
    output: Output,
) -> dict[str, Failure]:
    """Run unpack.yml; {host: its failure}."""
    if not plans:
        return {}
    recipes = {plan.recipe.id: plan.recipe for plan in plans}
    url = str(given["provision_artifact_url"])
    told = {name: packs.unpacking(entries[name], recipe, str(settings.mirror), url) for name, recipe in recipes.items()}
    for name, recipe in recipes.items():
        waiting = [plan.host for plan in plans if plan.recipe.id == name]
        ahead.send(ahead.files_of(told[name], recipe.stack_root, str(settings.mirror)), waiting, settings, output)
    request = playbook.Request.of_site(
        settings, "unpack.yml", [plan.host for plan in plans], {**given, "provision_packs": told}
    )
    with output.working("unpack.yml"):
        received = playbook.run(request).results
    hosts = [plan.host for plan in plans]
    return {failure.host: failure for failure in host_results.failures_of(received, hosts)}
