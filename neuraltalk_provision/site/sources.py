"""Which hosts unpack their generation, and from where: decided before anything is refused for want of a compiler."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from neuraltalk_provision.mirror import cache
from neuraltalk_provision.mirror.cache_entry import CacheEntry, mismatch
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import packing, packs, runtimes, unpack
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.unpack import Unpack


@dataclass(frozen=True)
class Cached:
    """The hosts that unpack, and what is said of those that do not although they could, by host."""

    unpacks: Mapping[str, Unpack]
    remarks: Mapping[str, str]


def entry_of(plan: HostPlan, settings: Settings, *, hashed: bool) -> tuple[CacheEntry | None, str]:
    """(the entry that can be used for a plan, or None; why one that is there cannot be used)."""
    found = cache.find(settings, plan.recipe.id, hashed=hashed)
    problem = found.problem
    if found.entry:
        problem = mismatch(found.entry, plan.recipe.digests, plan.recipe.platform, plan.recipe.stack_root)
        unknown = set(found.entry.left_out) - plan.recipe.files.keys()
        problem = problem or ("it needs files that the mirror does not have" if unknown else "")
    return (None, problem) if problem else (found.entry, "")


def cached(plans: Sequence[HostPlan], settings: Settings, output: Output) -> Cached:
    """What the cache has for these hosts, and on which of them it will run. The files are hashed when they are used."""
    if not settings.cache:
        return Cached({}, {})
    entries: dict[str, CacheEntry] = {}
    problems: dict[str, str] = {}
    able = [plan for plan in plans if packs.can_be_unpacked(plan)]
    for plan in {plan.recipe.id: plan for plan in able}.values():
        entry, problem = entry_of(plan, settings, hashed=False)
        if entry:
            entries[plan.recipe.id] = entry
        elif problem:
            problems[plan.recipe.id] = f"the packed generation {plan.recipe.id} is not used: {problem}"
    # Said once for each kind, of its first host.
    first = {plan.recipe.id: plan.host for plan in reversed(able)}
    remarks = {first[name]: f"{first[name]}: {problem}" for name, problem in problems.items()}
    asked = [plan for plan in able if plan.recipe.id in entries]
    if not asked:
        return Cached({}, remarks)
    runtime, _failures = runtimes.ask(asked, entries, settings, output)
    unpacks = {}
    for plan in asked:
        entry = entries[plan.recipe.id]
        if plan.host not in runtime:
            remarks[plan.host] = f"{plan.host}: builds, because it did not say what it has for programs at run time"
            continue
        reasons = packs.fits(entry, runtime[plan.host])
        if reasons:
            remarks[plan.host] = f"{plan.host}: builds, although the cache has its generation: {'; '.join(reasons)}"
        else:
            unpacks[plan.host] = unpack.from_cache(entry, runtime[plan.host], plan.refusals)
    return Cached(unpacks, remarks)


def by_builders(plans: Sequence[HostPlan], unwell: Collection[str], settings: Settings) -> Cached:
    """The hosts for whose kind another one builds in this command: a named builder, or who has least to build.

    If a host has built the generation in an earlier command, it is packed there, and nobody builds. Hosts that are
    unwell or refused do not build. If nothing could be put into the cache, every host builds.
    """
    if not settings.cache:
        return Cached({}, {})
    groups: dict[str, list[str]] = {}
    for plan in sorted(plans, key=lambda plan: len(plan.builds)):
        if packs.can_be_unpacked(plan) and plan.unpack is None:
            groups.setdefault(plan.recipe.id, []).append(plan.host)
    unable = {plan.host: plan.refusals for plan in plans if plan.refusals}
    unable |= dict.fromkeys(unwell, ("its package manager could not be asked",))
    has_built = {plan.recipe.id: plan.host for plan in reversed(plans) if packs.can_be_packed(plan)}
    ways = {
        host: unpack.from_builder(has_built[name], unable.get(host, ()), built=True)
        for name in groups.keys() & has_built.keys()
        for host in groups.pop(name)
    }
    ways |= unpack.by_builder(groups, unable, settings.builders)
    problem = packing.obstacle(settings) if ways else ""
    if not problem:
        return Cached(ways, {})
    first = next(iter(ways))
    words = f"does not unpack what {ways[first].builder} builds, because nothing can be put into the cache: {problem}"
    return Cached({}, {first: f"{first}: {words}"})


def with_remarks(plans: Sequence[HostPlan], remarks: Mapping[str, str]) -> tuple[HostPlan, ...]:
    """The plans, with what is said of their hosts."""
    return tuple(plan.remarked(remarks.get(plan.host, "")) for plan in plans)
