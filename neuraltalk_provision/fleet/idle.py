"""Activates hosts when nothing uses them: asks, drains nodes of Slurm, waits, activates, and resumes the nodes.

What to do with a host is decided in busy.py; this is the loop around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from neuraltalk_provision.fleet import busy, use
from neuraltalk_provision.fleet.busy import Action, Position
from neuraltalk_provision.fleet.busy import Step as BusyStep
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.rollout import Done, Loss
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, codes

_sleep = time.sleep
LONGEST_SLEEP = 5.0
"""Seconds between two looks whether somebody asked for a pause."""
MOST_REFUSALS = 5
"""How often a host may look idle and then refuse its activation, because something uses it."""


@dataclass
class _Work:
    """What is still to be done, and what was done."""

    positions: dict[str, Position]
    failed: dict[str, Loss] = field(default_factory=dict)
    aside: dict[str, Loss] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    refusals: dict[str, int] = field(default_factory=dict)

    def done(self) -> Done:
        return Done(self.failed, self.aside, frozenset(self.left), frozenset(self.drained))


class Records(Protocol):
    """The journal, as far as an activation needs it."""

    def pause_requested(self) -> bool:
        """Whether somebody asked this rollout to pause."""


class Activation:
    """Activates hosts of one rollout."""

    def __init__(
        self,
        rollout: str,
        settings: Settings,
        output: Output,
        records: Records,
        drains: Drains,
        sharing: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`sharing` is {host: other machines that share its stack root}: they must be idle too."""
        self._rollout = rollout
        self._settings = settings
        self._output = output
        self._records = records
        self._rule = use.rule(settings)
        self._sharing = sharing or {}
        self._broken: set[str] = set()
        self.drains = drains
        self.drained = drains.left

    def run(self, hosts: Sequence[str], act: Callable[[Sequence[str]], Done]) -> Done:
        """Activate these hosts with `act` when they are idle; what became of them.

        Hosts that are in use for too long are set aside. If somebody asks for a pause, those that wait are left.
        """
        work = _Work({host: Position() for host in hosts})
        while work.positions:
            seen = self._ask(list(work.positions))
            actions = self._actions(work, seen)
            self._carry_out(work, seen, actions, act)
            self._finish(work, seen)
            waiting = [action.until for host, action in actions.items() if action.step is BusyStep.WAIT]
            if waiting and len(waiting) == len(actions):
                self._wait(work, seen, min(waiting))
        return work.done()

    def _ask(self, hosts: Sequence[str]) -> dict[str, Seen]:
        """What uses these hosts, and the machines that share their stack roots."""
        machines = {host: [name for name in self._sharing.get(host, ()) if name not in self._broken] for host in hosts}
        seen = use.ask(self._settings, [*hosts, *(name for names in machines.values() for name in names)])
        self.drains.note(seen)
        return {host: replace(seen[host], machines=tuple(seen[name] for name in machines[host])) for host in hosts}

    def used(self, hosts: Sequence[str]) -> frozenset[str]:
        """Which of these hosts are in use now."""
        return frozenset(host for host, seen in self._ask(hosts).items() if seen.uses())

    def _actions(self, work: _Work, seen: Mapping[str, Seen]) -> dict[str, Action]:
        now = time.monotonic()
        return {
            host: busy.next_action(self._rule, seen[host], position, now, self._rollout)
            for host, position in work.positions.items()
        }

    def _carry_out(
        self,
        work: _Work,
        seen: Mapping[str, Seen],
        actions: Mapping[str, Action],
        act: Callable[[Sequence[str]], Done],
    ) -> None:
        groups: dict[BusyStep, list[str]] = {}
        for host, action in actions.items():
            groups.setdefault(action.step, []).append(host)
            if action.step is BusyStep.WAIT and work.positions[host].busy_since is None:
                self._output.say(f"{host} is in use: {'; '.join(action.reasons)}. It is activated when it is idle")
        for step in (BusyStep.WAIT, BusyStep.SKIP, BusyStep.REFUSE):
            for host in groups.get(step, ()):
                self._leave(work, host, actions[host])
        self._drain(work, seen, actions, groups.get(BusyStep.DRAIN, []))
        self._activate(work, seen, groups.get(BusyStep.ACTIVATE, []), act)
        self._resume(work, seen, groups.get(BusyStep.RESUME, []))
        for host in groups.get(BusyStep.DONE, ()):
            self._end(work, seen[host], actions[host])

    def _leave(self, work: _Work, host: str, action: Action) -> None:
        now = time.monotonic()
        if action.step is BusyStep.WAIT:
            work.positions[host] = work.positions[host].after(action, now)
            return
        work.aside[host] = Loss(f"{host} is in use: {'; '.join(action.reasons)}", codes.BUSY)
        work.positions[host] = work.positions[host].after_skip(action.reasons)

    def _drain(
        self, work: _Work, seen: Mapping[str, Seen], actions: Mapping[str, Action], hosts: Sequence[str]
    ) -> None:
        if not hosts:
            return
        nodes = {name: node for host in hosts for name, node in seen[host].nodes.items()}
        changed = self.drains.drain(nodes, self._rollout)
        now = time.monotonic()
        failures = {failure.host: advice.explain(failure) for failure in changed.failures}
        for host in hosts:
            refused = tuple(failures[name] for name in seen[host].nodes if name in failures)
            # Also of a host whose drain failed it is asked again whether it is drained: the answer can have been lost.
            work.positions[host] = work.positions[host].after(actions[host], now)
            if refused:
                work.aside[host] = Loss("; ".join(refused), codes.BUSY)
                work.positions[host] = work.positions[host].after_skip(refused)

    def _activate(
        self, work: _Work, seen: Mapping[str, Seen], hosts: Sequence[str], act: Callable[[Sequence[str]], Done]
    ) -> None:
        if not hosts:
            return
        done = act(hosts)
        for host in hosts:
            loss = done.failed.get(host)
            if loss is not None and loss.code == codes.IN_USE:
                self._refused(work, host, loss)
                continue
            if loss is not None:
                work.failed[host] = loss
            is_broken = loss is not None and (loss.silent or self.drained.get(host) == busy.BROKEN)
            ending: busy.Ending = "verified" if loss is None else "broken" if is_broken else "restored"
            position = work.positions[host]
            if position.drained_at is None and seen[host].drains:  # by an earlier command of the rollout
                position = replace(position, drained_at=seen[host].at)
            work.positions[host] = position.after_activation(ending)
            if ending == "verified":
                self._keep_drained(seen[host], done)
        # Those of hosts that share a stack root with one of these, and verify it.
        work.failed |= {host: loss for host, loss in done.failed.items() if host not in hosts}

    def _keep_drained(self, seen: Seen, done: Done) -> None:
        """Leave the nodes of machines drained on which the generation that was activated for them fails."""
        broken = {one.host: one for one in seen.machines if one.host in done.failed}
        self._broken |= broken.keys()
        self.drained |= {name: busy.BROKEN for name, one in broken.items() if one.drains}

    def _refused(self, work: _Work, host: str, loss: Loss) -> None:
        """Something began to use a host in the moment of its activation: it is asked again, but not for ever."""
        work.refusals[host] = work.refusals.get(host, 0) + 1
        if work.refusals[host] >= MOST_REFUSALS:
            work.aside[host] = Loss(f"{loss.reason} (tried {MOST_REFUSALS} times)", codes.BUSY)
            work.positions[host] = work.positions[host].after_skip((loss.reason,))

    def _resume(self, work: _Work, seen: Mapping[str, Seen], hosts: Sequence[str]) -> None:
        if not hosts:
            return
        nodes = {host: seen[host].to_resume for host in hosts}
        changed = use.resume(self._settings, {name: one for found in nodes.values() for name, one in found.items()})
        refused = {failure.host for failure in changed.failures}
        for host in hosts:
            if refused & nodes[host].keys():
                work.positions[host] = work.positions[host].after_refused_resume()

    def _finish(self, work: _Work, seen: Mapping[str, Seen]) -> None:
        """End with the hosts that have nothing to do with Slurm, without asking them once more."""
        for host, position in list(work.positions.items()):
            if (position.ending or position.given_up) and position.drained_at is None:
                action = busy.next_action(self._rule, seen[host], position, time.monotonic(), self._rollout)
                if action.step is BusyStep.DONE:
                    self._end(work, seen[host], action)

    def _end(self, work: _Work, seen: Seen, action: Action) -> None:
        host = seen.host
        del work.positions[host]
        left = next((one for one in (busy.STILL_DRAINED, busy.BROKEN) if one in action.reasons), "")
        if left:
            self.drained[host] = left
            work.drained |= {host} if left == busy.STILL_DRAINED else set()
        elif not seen.failure:
            self.drained.pop(host, None)
        if action.reasons and host not in work.aside:
            self._output.say(f"{host}: {'; '.join(action.reasons)}")

    def _wait(self, work: _Work, seen: Mapping[str, Seen], until: float) -> None:
        """Wait until that time of time.monotonic(). After a request to pause, the hosts that wait are left."""
        with self._output.working(f"waiting for {len(work.positions)} hosts that are in use"):
            while (left := until - time.monotonic()) > 0:
                if self._records.pause_requested():
                    work.left.update(work.positions)
                    # Drains of ours are lifted before the end; all other hosts need nothing more.
                    work.positions = {
                        host: one.after_skip(("somebody asked for a pause",))
                        for host, one in work.positions.items()
                        if one.drained_at is not None or seen[host].drains
                    }
                    return
                _sleep(min(left, LONGEST_SLEEP))
