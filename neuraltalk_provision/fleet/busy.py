"""What to do with a host that is in use: from what was seen of it, the next action. Pure.

A host is in use if a run of ours is active, if a program of the stack or a process on a card runs, if a job of Slurm
is on it, or if one of these cannot be determined. Nothing is activated on such a host.

The caller's loop: ask the hosts (fleet/use.py), call `next_action` for each, do it, record it in the position, and
start again until no host has an action left.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.host_names import named
from neuraltalk_provision.settings import Busy

Ending = Literal["", "verified", "restored", "broken"]
"""How an activation ended: not yet, the new generation is verified, the former one is back, or neither."""
DRAIN_TRIES = 3
LONGEST_SILENCE = 600.0
"""Seconds in which a host that does not answer is waited for: it may be one that boots."""


@dataclass(frozen=True)
class Rule:
    """The settings: what to do with hosts in use, how long to wait, and how often to ask; both in seconds."""

    busy: Busy = "skip"
    wait: float = 86400.0
    poll: float = 60.0


class Step(StrEnum):
    """What the caller does next with a host."""

    ASK = "ask"
    """Ask again what uses it, at once."""
    DRAIN = "drain"
    WAIT = "wait"
    """Ask again at the time `until`."""
    ACTIVATE = "activate"
    """Refuse starts, activate, verify; if something began to use it in that moment, ask again."""
    RESUME = "resume"
    """Lift our drain."""
    SKIP = "skip"
    """Leave it as it is; `reasons` say why."""
    REFUSE = "refuse"
    """End the command before anything is changed."""
    DONE = "done"


@dataclass(frozen=True)
class Action:
    """The next step for a host, with the reasons, and for WAIT the time at which to ask again.

    `silent`: the host has not answered.
    """

    step: Step
    reasons: tuple[str, ...] = ()
    until: float = 0.0
    silent: bool = False


STILL_DRAINED = "Slurm has not lifted our drain of its node"
"""The reason of a host that ends so."""
BROKEN = "its stack is not whole, or nobody knows whether it is, so its node stays drained"
"""The reason of a host to which no job may come."""


@dataclass(frozen=True)
class Position:
    """How far the command is with a host. The caller records with the methods what it has done."""

    drained_at: float | None = None
    """When this command last drained the nodes of the host."""
    busy_since: float | None = None
    """When the host was first seen in use."""
    silent_since: float | None = None
    """Since when the host has not answered; None if it answered the last time."""
    ending: Ending = ""
    tries: int = 0
    """How often Slurm has refused the end of the drain."""
    given_up: bool = False
    """Whether the host was skipped, because it was in use or could not be drained."""
    reasons: tuple[str, ...] = ()

    def after(self, action: Action, now: float) -> Position:
        """The position when the action has been done successfully, at the time `now`."""
        busy_since = self.busy_since if self.busy_since is not None or not action.reasons else now
        match action.step:
            case Step.DRAIN:
                return replace(self, drained_at=now, busy_since=busy_since)
            case Step.WAIT:
                since = now if self.silent_since is None else self.silent_since
                return replace(self, busy_since=busy_since, silent_since=since if action.silent else None)
            case Step.SKIP:
                return self.after_skip(action.reasons)
        return self

    def after_skip(self, reasons: tuple[str, ...]) -> Position:
        """The host is left as it is, also because Slurm refused to drain it."""
        return replace(self, given_up=True, reasons=reasons)

    def after_activation(self, ending: Ending) -> Position:
        """The activation of the host has ended."""
        return replace(self, ending=ending)

    def after_refused_resume(self) -> Position:
        """Slurm did not lift the drain."""
        return replace(self, tries=self.tries + 1)


def next_action(rule: Rule, seen: Seen, position: Position, now: float, rollout: str) -> Action:
    """The next action for a host. Times are in seconds, of one clock that is never set back (time.monotonic).

    Nodes are drained first and asked again afterwards, so that no job slips in between; drains of ours that a lost
    controller left are taken over by the drain or lifted. Whatever happens, a drain of ours is lifted in the end,
    unless the stack of the host is broken: then no job may come to it.
    """
    if position.ending or position.given_up:
        return _ended(seen, position)
    uses = tuple(use.as_text() for use in seen.uses())
    if uses:
        return _in_use(rule, seen, position, now, rollout, uses)
    if seen.has_nodes and (not seen.is_drained or set(seen.drains) - {rollout}):
        if position.drained_at is not None and seen.at > position.drained_at:
            return Action(Step.SKIP, ("its node was drained, and somebody has resumed it meanwhile",))
        return Action(Step.ASK if position.drained_at is not None else Step.DRAIN)
    if position.drained_at is not None and seen.at <= position.drained_at:
        return Action(Step.ASK)
    return Action(Step.ACTIVATE)


def _in_use(rule: Rule, seen: Seen, position: Position, now: float, rollout: str, uses: tuple[str, ...]) -> Action:
    """The next action for a host that is in use. Only with `wait` its nodes are drained while jobs still run."""
    if rule.busy == "refuse" and position.drained_at is None:
        return Action(Step.REFUSE, uses)
    began = position.busy_since if position.busy_since is not None else now
    if rule.busy != "wait":
        return Action(Step.SKIP, uses)
    if now >= began + rule.wait:
        return Action(Step.SKIP, (f"after {_hours(rule.wait)} it is still in use", *uses))
    if seen.is_silent and position.silent_since is not None and now >= position.silent_since + LONGEST_SILENCE:
        return Action(Step.SKIP, (f"it has not answered for {_hours(LONGEST_SILENCE)}", *uses))
    is_open = seen.has_nodes and (not seen.is_drained or bool(set(seen.drains) - {rollout}))
    if is_open and position.drained_at is None:
        return Action(Step.DRAIN, uses)
    return Action(Step.WAIT, uses, until=min(now + rule.poll, began + rule.wait), silent=seen.is_silent)


def _ended(seen: Seen, position: Position) -> Action:
    """The next action for a host that is activated, restored, broken or skipped: our drain is lifted, then nothing."""
    if not seen.drains and (position.drained_at is None or not seen.is_unknown):
        return Action(Step.DONE, position.reasons)
    if position.ending == "broken":
        return Action(Step.DONE, (*position.reasons, BROKEN))
    if position.tries >= DRAIN_TRIES:
        return Action(Step.DONE, (*position.reasons, STILL_DRAINED))
    return Action(Step.RESUME)


def refusals(rule: Rule, hosts: Iterable[Seen]) -> tuple[str, ...]:
    """With `refuse`, all hosts that are in use, each with all its uses; empty if the command can go on."""
    if rule.busy != "refuse":
        return ()
    found = ((seen.host, [use.as_text() for use in seen.uses()]) for seen in hosts)
    return tuple(f"{host} is in use: {'; '.join(uses)}" for host, uses in found if uses)


def planned(rule: Rule, seen: Seen) -> str:
    """What would become of a host that is in use, for `--plan`; empty if it is idle."""
    uses = "; ".join(use.as_text() for use in seen.uses())
    then = f"it is waited for, at most {_hours(rule.wait)}" if rule.busy == "wait" else "it stays as it is meanwhile"
    return f"{seen.host} is in use now: {uses}; {then} (busy: {rule.busy})" if uses else ""


def lost_drains(nodes: Sequence[str], rollout: str, unasked: Sequence[str]) -> str:
    """What is said of the drained nodes of a host that is gone from the inventory, or is another machine now.

    `unasked` are the hosts of the inventory that did not say which nodes they are.
    """
    (what, are), names = ("node", "is") if len(nodes) == 1 else ("nodes", "are"), shlex.quote(",".join(nodes))
    where = (
        f"{named(unasked)} {'was' if len(unasked) == 1 else 'were'} not asked, and can be its machine"
        if unasked
        else "no host of the inventory is its machine"
    )
    return (
        f"this host was the {what} {', '.join(nodes)} of Slurm, which the rollout {rollout} drained; the "
        f"inventory does not have the host any more, or has another machine with this name, and {where}. "
        f"`scontrol show node {names}` shows whether the {what} {are} still drained. If so, and if "
        f"the stack of the machine is whole, lift the drain: `scontrol update nodename={names} state=resume`"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds / 60:.3g} minutes"
