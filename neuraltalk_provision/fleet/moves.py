"""From which generation to which one each host goes back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuraltalk_provision.fleet.reader import WentBack
from neuraltalk_provision.fleet.records import Rollout
from neuraltalk_provision.host_names import named
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import activation as rules
from neuraltalk_provision.site import activations
from neuraltalk_provision.site.sharing import Share, builders_of


@dataclass(frozen=True)
class Move:
    """The generation of one host before and after `rollback`. `of` is the name under which this is done, if another."""

    host: str
    before: str
    after: str
    remark: str = ""
    """What is done before, because an activation was not confirmed."""
    of: str = ""
    in_use: str = ""
    """In a plan, what would become of the host instead, because something uses it."""

    @property
    def is_done(self) -> bool:
        """Whether the host went back before, so that nothing is left to do."""
        return self.before == self.after and not self.remark


def show(found: Sequence[Move], output: Output, *, plan: bool) -> None:
    """Print which hosts went back, or would go back, from which generation to which one."""
    told = []
    for move in found:
        if move.is_done:
            told.append((move.host, f"{move.host}: has generation {move.after} again already"))
            continue
        told += [(move.host, f"{move.host}: {move.remark}")] * bool(move.remark)
        under = f", which was done under the name {move.of}: both have one stack root" if move.of and not plan else ""
        went = "would go" if plan else "went"
        told += [(move.host, move.in_use)] * bool(move.in_use)
        told.append((move.host, f"{move.host}: {went} back from generation {move.before} to {move.after}{under}"))
    output.of_hosts(told)


def moves(
    states: Mapping[str, HostState], shares: Mapping[str, Share], target: str, earlier: Rollout | None = None
) -> tuple[tuple[Move, ...], dict[str, str]]:
    """(what is done on each host, {host: why} of those that have no complete generation to return to).

    `earlier` is a rollback that did not finish: its hosts return to the generation to which they were to return then,
    because on those that did, the previous generation is now the one that they left. So do those that share a stack
    root with one of them.
    """
    builders = builders_of(states, shares)
    begun = {builders[host]: name for host, state in states.items() if (name := _begun(host, state, earlier))}
    found, unable = [], {}
    for host, state in states.items():
        stack = state.stack
        after = target or begun.get(builders[host]) or _previous(state)
        whole = {name for name, generation in stack.generations.items() if generation.sealed}
        if after not in whole:
            there = ", ".join(sorted(whole)) or "none"
            unable[host] = (
                f"{host} has no complete generation {after or 'before the current one'} to return to; complete "
                f"generations: {there}"
            )
            continue
        of = builders[host] if host in shares else ""
        found.append(Move(host, stack.current or "", after, activations.undone(state.activation), of))
    return tuple(found), unable


def opposed(found: Sequence[Move], back: Sequence[WentBack]) -> tuple[str, ...]:
    """What is said of hosts that leave the generation to which others return, or which hosts have after a rollback.

    They went back before, and would go forward again; or they did not get the newer generation, and would go to one
    that is older than that of the others. `back` has the hosts of earlier rollbacks.
    """
    now: dict[tuple[str, str], list[str]] = {}
    for move in found:
        now.setdefault((move.before, move.after), []).append(move.host)
    told = []
    for (current, previous), hosts in now.items():
        if current == previous:
            continue
        # Two ways that are opposed to each other are said once.
        others = [
            _in_words(names, start, end)
            for (start, end), names in now.items()
            if end == current and (start != previous or previous < current)
        ]
        went = [one.host for one in back if one.target == current]
        if went and not others and (previous, current) not in now:
            others = [f"a rollback was to return {named(went)} to {current}"]
        told += [f"{named(hosts)} would go from generation {current} to {previous}, and {one}" for one in others]
    return tuple(told)


def one_target(found: Sequence[Move]) -> str:
    """The generation to which all hosts return; empty if there are several."""
    targets = {move.after for move in found}
    return targets.pop() if len(targets) == 1 else ""


def _in_words(hosts: Sequence[str], before: str, after: str) -> str:
    if before == after:
        return f"{named(hosts)} {_have(hosts)} {after}"
    return f"{named(hosts)} from {before} to {after}"


def _have(hosts: Sequence[str]) -> str:
    return "has" if len(hosts) == 1 else "have"


def _begun(host: str, state: HostState, earlier: Rollout | None) -> str:
    """The generation to which an earlier rollback was to return the host; empty if something else is current since."""
    entry = earlier.by_name().get(host) if earlier else None
    return entry.target if entry and state.stack.current in (entry.target, entry.former) else ""


def _previous(state: HostState) -> str:
    """The generation that was current before; empty if that is not recorded.

    An activation that is killed before it renames the link leaves the current generation as the previous one. If it was
    not confirmed, the rollback undoes it, and that is the generation to return to.
    """
    previous = state.stack.previous or ""
    interrupted = previous == state.stack.current and state.activation.state != rules.UNCONFIRMED
    return "" if interrupted else previous
