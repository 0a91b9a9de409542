"""On which host a generation of the cache is built again, to compare the bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.plan import HostPlan

_MOST = 20


@dataclass(frozen=True)
class Second:
    """The host that is compared with the builder of the cache.

    `own` means that the host has built the generation itself already: then it is only packed. `replaces` means that it
    has one that it did not build, or an incomplete one, which is removed first; then the new one stays.
    """

    host: str
    own: bool = False
    replaces: bool = False

    def words(self, generation: str) -> str:
        """What is done, for `--plan`."""
        if self.own:
            return f"{self.host} has built generation {generation} itself: it is packed and compared"
        done = (
            "packed and compared, in place of the one that it has" if self.replaces else "packed, compared and removed"
        )
        return f"{self.host} builds generation {generation}, which is {done}; its current generation stays as it is"


def choose(
    entry: CacheEntry,
    plans: Sequence[HostPlan],
    states: Mapping[str, HostState],
    refusals: Mapping[str, Sequence[str]],
    on: str = "",
) -> Second:
    """The host `on`, or else the best one: not the builder of the cache, and with the least to do.

    `refusals` are {host: why it must not build the generation from the beginning}. Raises UsageError with the reason
    of each host if there is none.
    """
    reasons = {plan.host: _obstacle(entry, plan, states[plan.host], refusals[plan.host]) for plan in plans}
    if on and reasons.get(on):
        raise UsageError(reasons[on], advice="Give another host with --on.")
    able = [plan for plan in plans if not reasons[plan.host] and (plan.host == on or not on)]
    others = [plan for plan in able if on or plan.host != entry.builder]
    if not others:
        told = [reason for reason in reasons.values() if reason][:_MOST]
        told += [f"{plan.host}: it is the builder of the cache" for plan in able]
        raise UsageError(
            "\n".join([f"no host can build generation {entry.id} a second time", *told]),
            advice="Add a host of the same platform and cards to the inventory, or give one with --on HOST.",
        )
    ways = [_way(entry, plan, states[plan.host]) for plan in others]
    return min(ways, key=lambda way: (not way.own, way.replaces))


def _way(entry: CacheEntry, plan: HostPlan, state: HostState) -> Second:
    generation = state.stack.generations.get(entry.id)
    if generation is None:
        return Second(plan.host)
    complete = plan.sealed and not plan.stages
    # What the builder itself has is what is in the cache.
    if complete and generation.lacks is None and plan.host != entry.builder:
        return Second(plan.host, own=True)
    return Second(plan.host, replaces=True)


def _obstacle(entry: CacheEntry, plan: HostPlan, state: HostState, refusals: Sequence[str]) -> str:
    """Why a host cannot build it a second time; empty if it can."""
    host, stack = plan.host, state.stack
    if plan.recipe.id != entry.id:
        return f"{host}: it needs generation {plan.recipe.id} ({plan.recipe.platform}), not {entry.id}"
    if plan.share:
        return f"{host} {plan.share.words(plan.recipe.stack_root)}"
    way = _way(entry, plan, state)
    if way.own:
        return ""
    if entry.id in (stack.current, stack.previous):
        which = "is current there" if stack.current == entry.id else "is what `provision rollback` activates"
        built = "it was unpacked" if way.replaces and host != entry.builder else "it is what the cache has"
        return f"{host}: generation {entry.id} {which}, and {built}, so it is not built again in its place"
    return "\n".join(refusals)
