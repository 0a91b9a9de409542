"""The next action of a rollout, from what its hosts have done. Pure.

The loop in rollout.py asks for the next action, carries it out, records its outcome, and asks again. So a rollout that
was interrupted continues from its journal, and a fleet of 1,000 hosts can be simulated without a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.records import Phase
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.host_names import named
from neuraltalk_provision.settings import OnFailure


@dataclass(frozen=True)
class Stage:
    """Build on these hosts. The current generations are not changed."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """Ask which of these hosts are in use: others come in place of the first wave, whose hosts were set aside."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Activate:
    """Activate these hosts, which are those of one wave that are not activated yet."""

    wave: Wave
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """Wait after this wave, as the settings say."""

    wave: Wave
    seconds: int


@dataclass(frozen=True)
class GiveBack:
    """Return these hosts, which have or may have the new generation, to their former one and cuDNN; `why` says why."""

    hosts: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Paused:
    """Somebody asked for a pause: end here. The hosts of `before` and of later waves were not activated."""

    before: Wave


@dataclass(frozen=True)
class Stop:
    """End here, because the budget is spent or a host of the first wave failed; `why` says which."""

    why: str


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do."""


Action = Stage | Look | Activate | Wait | GiveBack | Paused | Stop | Finished


@dataclass(frozen=True)
class Standing:
    """What is to be done and what was done.

    `staging` and `activating` are the hosts that need it. `unsure` are those that may have the new generation: they
    were lost while they were activated, or the controller was. `tried` are those whose return was tried. `failed` is
    {host: reason} of the hosts that failed in this rollout, `aside` that of the hosts that were set aside, before or
    during it. `waited` has the numbers of the waves whose pause is over. `broken` says why a rollout that is continued
    was on its way back; empty if it was not. Of `drained`, Slurm has not lifted our drain. `used` are the hosts that
    were in use when it was looked who could come in place of the first wave; None before, or if hosts in use are waited
    for.
    """

    waves: tuple[Wave, ...]
    budget: Budget
    staging: frozenset[str] = frozenset()
    activating: frozenset[str] = frozenset()
    staged: frozenset[str] = frozenset()
    activated: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    tried: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()
    returned: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    aside: Mapping[str, str] = field(default_factory=dict)
    waited: frozenset[int] = frozenset()
    phase: Phase = Phase.FULL
    on_failure: OnFailure = "stop"
    pause_requested: bool = False
    looks: bool = False
    """Whether hosts in use are set aside, so that it is looked which ones can come in place of the first wave."""
    used: frozenset[str] | None = None
    broken: str = ""

    @cached_property
    def lost(self) -> Mapping[str, str]:
        """{host: reason} of all hosts that count against the budget."""
        return {**self.aside, **self.failed}

    @cached_property
    def kept(self) -> frozenset[str]:
        """The hosts that have the new generation, or may have it."""
        return (self.activated | self.unsure) - self.returned


def next_action(standing: Standing) -> Action:
    """What to do next."""
    broken = verdict(standing)
    if broken:
        given_up = standing.aside.keys() | (standing.failed.keys() - standing.unsure) | standing.tried
        touched = tuple(sorted(standing.kept - given_up))
        if standing.on_failure == "rollback" and touched:
            return GiveBack(touched, broken)
        return Stop(broken)
    staging = _in_order(standing, standing.staging - standing.staged)
    if staging:
        return Stage(staging)
    if standing.phase is Phase.STAGE_ONLY:
        return Finished()
    others = _others(standing) if standing.looks and standing.used is None and not standing.pause_requested else ()
    return Look(others) if others else _next_wave(standing)


def verdict(standing: Standing) -> str:
    """Why the rollout must not go on; empty if it may.

    A host of a strict wave that failed is one too many if there are further waves: such a wave exists to find out
    whether the others should follow. A host that was set aside before anything began belongs to no wave.
    """
    if standing.broken:
        return standing.broken
    first = _strict_wave(standing)
    if first:
        canaries = _canaries(standing)
        failed = [host for host in canaries if host in standing.failed]
        if failed and canaries == first.hosts:
            return f"{named(failed)} failed, and every host of the first wave ({first.name}) must succeed"
        if failed:
            return (
                f"{named(failed)} failed, and came in place of the first wave ({first.name}), whose hosts were set "
                "aside: every host that takes its place must succeed"
            )
        if not canaries and any(_is_left(standing, host) for wave in standing.waves for host in wave.hosts):
            return (
                f"all hosts of the first wave ({first.name}) were set aside: {named(first.hosts)}."
                f"{' All others are in use.' if standing.used else ''} So nothing shows that the others would succeed"
            )
    lost = standing.lost.keys() | standing.drained
    also = ", or Slurm did not lift our drain" if standing.drained - standing.lost.keys() else ""
    return standing.budget.describe(lost, also) if standing.budget.is_spent(lost) else ""


def _strict_wave(standing: Standing) -> Wave | None:
    """The wave of which every host must succeed, if others follow it."""
    return next((wave for wave in standing.waves if wave.strict), None) if len(standing.waves) > 1 else None


def _canaries(standing: Standing) -> tuple[str, ...]:
    """The hosts that show whether the others should follow: those of the strict wave.

    If all of them were set aside, as many of the following hosts come in their place, but only if the wave is a number
    of hosts: a group was chosen by somebody, and no other host is like it.
    """
    first = _strict_wave(standing)
    if first is None or any(_takes_part(standing, host) for host in first.hosts):
        return first.hosts if first else ()
    tried = standing.activated | standing.failed.keys()
    used = (standing.used or frozenset()) - tried
    return tuple(host for host in _others(standing) if host not in used)[: len(first.hosts)]


def _others(standing: Standing) -> tuple[str, ...]:
    """The hosts that can come in place of the first wave; none if it has one that takes part, or is a group."""
    first = _strict_wave(standing)
    if first is None or not first.is_size or any(_takes_part(standing, host) for host in first.hosts):
        return ()
    return tuple(host for wave in standing.waves for host in wave.hosts if _takes_part(standing, host))


def _is_left(standing: Standing, host: str) -> bool:
    return host in standing.activating and host not in standing.activated and host not in standing.lost


def _takes_part(standing: Standing, host: str) -> bool:
    return host in standing.activated or host in standing.failed or host not in standing.aside


def _next_wave(standing: Standing) -> Action:
    before: Wave | None = None
    canaries = _canaries(standing)
    for wave in standing.waves:
        left = tuple(host for host in wave.hosts if _is_left(standing, host))
        if not left:
            before = wave if any(host in standing.activated for host in wave.hosts) else before
            continue
        if standing.pause_requested:
            return Paused(wave)
        if before is not None and before.pause and before.number not in standing.waited:
            return Wait(before, before.pause)
        return Activate(wave, tuple(host for host in left if host in canaries) or left)
    return Finished()


def _in_order(standing: Standing, hosts: frozenset[str]) -> tuple[str, ...]:
    """These hosts in the order of the waves, without those that are lost."""
    return tuple(host for wave in standing.waves for host in wave.hosts if host in hosts and host not in standing.lost)
