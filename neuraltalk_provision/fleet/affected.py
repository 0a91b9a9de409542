"""The hosts on which something has to be done, and those where nobody saw that the current generation works. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from neuraltalk_provision.fleet.reader import Past
from neuraltalk_provision.fleet.records import Phase
from neuraltalk_provision.site.plan import HostPlan


def in_phase(plans: Sequence[HostPlan], phase: Phase, doubtful: Collection[str] = ()) -> list[HostPlan]:
    """The plans of the hosts on which something has to be done: also of those for which another host does it.

    `doubtful` are hosts whose controller ended while it activated them, or whose verification failed: nobody has
    confirmed that they work.
    """
    only = phase is Phase.STAGE_ONLY
    own = {p.host for p in plans if p.stages or p.prepares or (not only and (p.changes or p.host in doubtful))}
    return [plan for plan in plans if {plan.host, plan.builder} & own]


def unproved(plans: Sequence[HostPlan], past: Past) -> set[str]:
    """The hosts on which nobody has seen that what is current works, though perhaps nothing else has to be done there.

    A host that shares a stack root can have got its generation by another one, whose activation does not prove it.
    """
    shared = [plan for plan in plans if plan.share and not plan.share.same]
    sharing = {name for plan in shared for name in (plan.host, plan.builder)}
    return {
        plan.host
        for plan in plans
        if plan.recipe.id in (past.unproved.get(plan.host), past.begun.get(plan.host))
        or (plan.host in sharing and past.proved.get(plan.host) != plan.recipe.id)
    }


def kept(plans: Sequence[HostPlan], changing: Collection[str], phase: Phase) -> list[HostPlan]:
    """The plans of the hosts whose drains no activation lifts: `changing` are those on which something is done.

    Their current generation stays, or they have none, so that nobody asks what uses them.
    """
    return [
        plan
        for plan in plans
        if phase is Phase.STAGE_ONLY
        or plan.host not in changing
        or not (plan.share or plan.current or plan.swaps or plan.unconfirmed)
    ]
