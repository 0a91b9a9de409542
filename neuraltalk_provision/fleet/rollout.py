"""The loop of a rollout: ask what to do next (decide.py), record that it begins, do it, record how it ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from neuraltalk_provision.fleet import decide
from neuraltalk_provision.fleet.decide import (
    Action,
    Activate,
    Finished,
    GiveBack,
    Look,
    Paused,
    Stage,
    Standing,
    Stop,
    Wait,
)
from neuraltalk_provision.fleet.records import Ended, Ending, Outcome, Step
from neuraltalk_provision.site import codes


@dataclass(frozen=True)
class Loss:
    """Why a host failed or was set aside; `code` names the cause if it is a known one.

    `silent`: the host did not answer, so that nobody knows in which state it is.
    """

    reason: str
    code: str = ""
    silent: bool = False


@dataclass(frozen=True)
class Done:
    """How a step ended: {host: loss} of the hosts that failed and of those that were set aside, and the hosts that were
    left because somebody asked for a pause. All others did it. Of `drained`, Slurm has not lifted our drain.
    """

    failed: Mapping[str, Loss] = field(default_factory=dict)
    aside: Mapping[str, Loss] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()

    def with_left_aside(self) -> Done:
        """The same; hosts that were left because somebody asked for a pause count as set aside."""
        waiting = {host: Loss(f"{host} is in use, and somebody asked for a pause", codes.BUSY) for host in self.left}
        return replace(self, aside={**self.aside, **waiting}, left=frozenset())


class Hosts(Protocol):
    """What a rollout does on hosts. The real one runs playbooks; a simulation needs no host."""

    def stage(self, hosts: Sequence[str]) -> Done:
        """Build the new generation."""

    def used(self, hosts: Sequence[str]) -> frozenset[str]:
        """Which of these hosts are in use."""

    def activate(self, hosts: Sequence[str]) -> Done:
        """Make the new generation current, tested before and after."""

    def give_back(self, hosts: Sequence[str]) -> Done:
        """Return to the former generation and cuDNN."""


class Records(Protocol):
    """The journal, as far as the loop needs it."""

    def started(self, step: Step, hosts: Sequence[str]) -> None:
        """Record that a step begins on these hosts."""

    def ended(self, step: Step, endings: Sequence[Ending]) -> None:
        """Record how a step ended on hosts."""

    def pause_requested(self) -> bool:
        """Whether somebody asked this rollout to pause."""


Waiter = Callable[[Wait], bool]
"""Waits after a wave; returns whether the wait was ended by a request to pause."""
Shower = Callable[[Action], None]
"""Shows an action before it is carried out."""


def run(
    standing: Standing, hosts: Hosts, records: Records, wait: Waiter, show: Shower
) -> tuple[Standing, Stop | Paused | Finished]:
    """Carry a rollout to its end: what was done, and why it ended."""
    while True:
        standing = replace(standing, pause_requested=records.pause_requested())
        action = decide.next_action(standing)
        show(action)
        match action:
            case Stop() | Paused() | Finished():
                return standing, action
            case Wait(wave, _):
                if not wait(action):
                    standing = replace(standing, waited=standing.waited | {wave.number})
            case Stage(names):
                done = recorded(Step.STAGE, names, hosts.stage, records)
                standing = replace(_lost(standing, done), staged=standing.staged | _good(names, done))
            case Look(names):
                standing = replace(standing, used=hosts.used(names))
            case Activate(_, names):
                done = recorded(Step.ACTIVATE, names, hosts.activate, records, standing.unsure)
                unsure = {host for host, loss in done.failed.items() if loss.silent}
                standing = replace(
                    _lost(standing, done),
                    activated=standing.activated | _good(names, done),
                    unsure=standing.unsure | unsure,
                    drained=standing.drained | done.drained,
                )
            case GiveBack(names, _):
                done = recorded(Step.GIVE_BACK, names, hosts.give_back, records)
                standing = replace(
                    _lost(standing, done),
                    returned=standing.returned | _good(names, done),
                    tried=standing.tried | frozenset(names),
                )


def recorded(
    step: Step,
    names: Sequence[str],
    act: Callable[[Sequence[str]], Done],
    records: Records,
    unsure: Collection[str] = (),
) -> Done:
    """Do a step, with records before and after it; what was done.

    Of `unsure` hosts it was not known before what they have: only a success changes that.
    """
    records.started(step, names)
    done = act(names)
    endings = [Ending(host=host, outcome=Outcome.DONE) for host in sorted(_good(names, done))]
    losses: tuple[tuple[Ended, Mapping[str, Loss]], ...] = (
        (Outcome.SET_ASIDE, done.aside),
        (Outcome.FAILED, done.failed),
    )
    endings += [
        Ending(
            host=host,
            outcome=Outcome.LOST if one.silent or host in unsure else outcome,
            reason=one.reason,
            code=one.code,
        )
        for outcome, found in losses
        for host, one in found.items()
    ]
    records.ended(step, endings)
    return done


def _good(names: Sequence[str], done: Done) -> frozenset[str]:
    return frozenset(names) - done.failed.keys() - done.aside.keys() - done.left


def _lost(standing: Standing, done: Done) -> Standing:
    return replace(
        standing,
        failed={**standing.failed, **{host: loss.reason for host, loss in done.failed.items()}},
        aside={**standing.aside, **{host: loss.reason for host, loss in done.aside.items()}},
    )
