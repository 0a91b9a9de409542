"""The hosts of a command: the plans of those that are well, and the reasons why the others are set aside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import inventories
from neuraltalk_provision.catalogue.platform import recognise
from neuraltalk_provision.errors import HostError, ProvisionError, UsageError
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import (
    advice,
    codes,
    converge,
    host_state,
    inventory_names,
    packages,
    play_errors,
    sources,
    wheels,
)
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan


@dataclass(frozen=True)
class Aside:
    """A host that was set aside: on which nothing is done. `code` names the cause if it is a known one."""

    host: str
    reason: str
    code: str = ""
    refused: bool = True
    """Whether its plan refuses it; otherwise it could not be asked."""


@dataclass(frozen=True)
class Survey:
    """`plans` of all hosts that returned a state, the hosts that were set aside, and {host: its groups}."""

    plans: tuple[HostPlan, ...]
    aside: tuple[Aside, ...]
    groups: Mapping[str, tuple[str, ...]]
    addresses: Mapping[str, str]

    @cached_property
    def well(self) -> tuple[HostPlan, ...]:
        """The plans of the hosts that were not set aside."""
        unwell = {one.host for one in self.aside}
        return tuple(plan for plan in self.plans if plan.host not in unwell)

    @property
    def total(self) -> int:
        """The number of all hosts. A machine with several names counts once."""
        names = {plan.host for plan in self.plans} | {one.host for one in self.aside}
        return len({self.same.get(name, name) for name in names})

    @cached_property
    def same(self) -> dict[str, str]:
        """{name: the first name of that machine} of the further names of machines."""
        return {plan.host: plan.share.same for plan in self.plans if plan.share and plan.share.same}

    def with_aside(self, more: Iterable[Aside]) -> Survey:
        """The survey with further hosts set aside, and those for which one of them works in their stack root."""
        aside = [*self.aside, *more]
        aside += _without_builder(self.plans, {one.host for one in aside})
        return replace(self, aside=tuple(sorted(aside, key=lambda one: one.host)))


def survey(
    settings: Settings, limit: Sequence[str], output: Output, *, take_over: bool = False, named: bool = False
) -> Survey:
    """Ask every host for its state, and plan. Changes nothing.

    Hosts that cannot be reached, whose result is not as expected, or that the plan refuses, are set aside. UsageError
    if the settings name groups or hosts that the inventory does not have. With `named`, `limit` are the names of the
    hosts of a rollout: those that the inventory does not have any more are set aside too.
    """
    inventory_names.check(settings)
    gone = inventory_names.missing(settings, limit) if named else frozenset()
    there = [host for host in limit if host not in gone]
    if gone and not there:
        raise UsageError(
            f"the inventory {inventories.named(settings.inventory)} has none of the hosts of the rollout",
            advice=f"Give the inventory with which it was begun. {advice.UNCHANGED}",
        )
    listed = converge.open_mirror(settings)
    found = host_state.read_each(settings, catalogues.load(), there)
    aside = [Aside(host, f"{host}: {play_errors.REMOVED}", codes.HOST_REFUSED) for host in gone]
    aside += [failed(one) for one in found.failures]
    states = {}
    for host, state in found.states.items():
        try:
            recognise(state.platform, host)
        except UsageError as error:
            aside.append(Aside(host, error.message, codes.HOST_REFUSED))
        else:
            states[host] = state
    plans: tuple[HostPlan, ...] = ()
    if states:
        plans, failures = _plans(settings, () if named else limit, HostStates(states), listed, output, take_over)
        aside += [failed(one) for one in failures]
    aside += _without_builder(plans, {one.host for one in aside} | {plan.host for plan in plans if plan.refusals})
    aside += [Aside(plan.host, "\n".join(plan.refusals), codes.HOST_REFUSED) for plan in plans if plan.refusals]
    return Survey(
        plans,
        tuple(sorted(aside, key=lambda one: one.host)),
        {host: state.inventory.groups for host, state in states.items()},
        {host: state.inventory.address for host, state in states.items()},
    )


def _plans(
    settings: Settings,
    limit: Sequence[str],
    states: HostStates,
    listed: converge.Artifacts,
    output: Output,
    take_over: bool,
) -> tuple[tuple[HostPlan, ...], tuple[Failure, ...]]:
    """(the plans, the failures of hosts whose package manager could not be asked).

    Who unpacks is decided first: such a host is not refused for what only a build needs.
    """
    plan = converge.planner(settings, limit, states, listed, take_over=take_over)
    plans = plan({})
    cached = sources.cached(plans, settings, output)
    plans = sources.with_remarks(plan(cached.unpacks) if cached.unpacks else plans, cached.remarks)
    plans, failures = packages.tried(wheels.judged(plans, settings), settings, output)
    more = sources.by_builders(plans, {one.host for one in failures}, settings)
    plans = sources.with_remarks(plans, more.remarks)
    if more.unpacks:
        others = {one.host: one for one in plan({**cached.unpacks, **more.unpacks}) if one.host in more.unpacks}
        replanned = {one.host: one for one in sources.with_remarks(tuple(others.values()), cached.remarks)}
        plans = tuple(replanned.get(one.host, one) for one in plans)
    return plans, failures


def _without_builder(plans: Sequence[HostPlan], unwell: Collection[str]) -> list[Aside]:
    """The hosts for which a host would build that is set aside itself."""
    return [
        Aside(
            plan.host,
            f"{plan.host}: {plan.builder}, which builds in the stack root that both share, is set aside",
            codes.HOST_REFUSED,
        )
        for plan in plans
        if plan.builder in unwell and not plan.refusals and plan.host not in unwell
    ]


def failed(failure: Failure) -> Aside:
    """A host that could not be asked, as it is set aside."""
    return Aside(failure.host, advice.explain(failure), failure.code, refused=False)


def refuse(found: Survey, budget: Budget | None = None) -> None:
    """Raise an error with the reasons of all hosts that were set aside: if there is no other host, or, with `budget`,
    if they are more than it allows. Without `budget`, one is too many.

    HostError if a host could not be asked, otherwise UsageError.
    """
    if not found.aside:
        return
    lost = [one.host for one in found.aside]
    if found.well and budget is not None and not budget.is_spent(lost):
        return
    reasons = lines((one.host, one.reason) for one in found.aside)
    if found.well and budget is not None:
        reasons.append(f"{budget.describe(lost)}: nothing was begun")
    raise _error(found, "\n".join(reasons))


def _error(found: Survey, message: str) -> ProvisionError:
    document = {"plans": [plan.as_json() for plan in found.plans], "set_aside": [as_json(one) for one in found.aside]}
    if all(one.refused for one in found.aside):
        return UsageError(message, advice=advice.UNCHANGED, document=document)
    return HostError(message, advice=advice.LEAVE_OUT, document=document)


def as_json(one: Aside) -> dict[str, str]:
    """A host that was set aside, as `--json` prints it."""
    return {"host": one.host, "reason": one.reason, "code": one.code}
