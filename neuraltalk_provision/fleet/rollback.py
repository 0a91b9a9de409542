"""`provision rollback`: returns hosts to an earlier generation; those that cannot be asked are set aside."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.fleet import host_lists, survey
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.outcome import named
from neuraltalk_provision.fleet.survey import UNCHANGED, Aside
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import activation as rules
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import activations, advice, host_results, host_state, leases, playbook, sharing
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.sharing import Share


@dataclass(frozen=True)
class Move:
    """The generation of one host before and after `rollback`. `of` is the name under which this is done, if another."""

    host: str
    before: str
    after: str
    remark: str = ""
    """What is done before, because an activation was not confirmed."""
    of: str = ""


def rollback(
    settings: Settings, limit: Sequence[str], target: str, output: Output, *, plan: bool, take_over: bool = False
) -> tuple[Move, ...]:
    """Return to an earlier generation on every host that can be asked.

    Raises UsageError, before any host is changed, if a host has no such generation or another controller works there,
    and HostError if more hosts cannot be asked than max_failures allows. HostError at the end, with what was done, if a
    host could not be asked or failed. With `take_over` the operator says that the other controller has ended.
    """
    found = host_state.read_each(settings, catalogues.load(), limit)
    aside = [survey.failed(failure) for failure in found.failures]
    shares = sharing.of_hosts(found.states)
    _refuse(aside, found.states, shares, settings)
    leases.refuse(found.states, take_over)
    moves = _moves(found.states, shares, target)
    failures: tuple[Failure, ...] = ()
    if not plan:
        request = playbook.Request(
            playbook="rollback.yml",
            inventory=settings.inventory,
            limit=[move.host for move in moves if not move.of],
            forks=settings.forks,
            variables={
                "provision_stack_root": settings.stack_root,
                "provision_target": target,
                # Undoing an activation changes which generation was current before.
                "provision_targets": {move.host: move.after for move in moves},
                "provision_unconfirmed": activations.unconfirmed(found.states),
                "provision_lease": leases.variables("provision rollback", leases.replaceable(found.states, take_over)),
            },
        )
        failures = tuple(host_results.failures_of(playbook.run(request).results, request.limit))
    if failures or aside:
        lost = {failure.host for failure in failures}
        done = [move for move in moves if not {move.host, move.of} & lost]
        hosts = {
            "done": [move.host for move in done],
            "failed": [move.host for move in moves if {move.host, move.of} & lost],
            "set-aside": [one.host for one in aside],
        }
        lists = {} if plan else host_lists.write(settings.journal.parent / "hosts", hosts, output)
        show(done, output, plan=plan)
        raise _failed(failures, aside, done, lists, target, plan=plan)
    return moves


def show(moves: Sequence[Move], output: Output, *, plan: bool) -> None:
    """Print which hosts went back, or would go back, from which generation to which one."""
    for move in moves:
        if move.remark:
            output.say(f"{move.host}: {move.remark}")
        under = f", which was done under the name {move.of}: both have one stack root" if move.of and not plan else ""
        went = "would go" if plan else "went"
        output.say(f"{move.host}: {went} back from generation {move.before} to {move.after}{under}")


def _refuse(
    aside: Sequence[Aside], states: Mapping[str, HostState], shares: Mapping[str, Share], settings: Settings
) -> None:
    """HostError if more hosts cannot be asked than max_failures allows, or all."""
    same = {host: share.same for host, share in shares.items() if share.same}
    budget = Budget(settings.max_failures, len(states) - len(same) + len(aside), same)
    lost = [one.host for one in aside]
    if aside and (not states or budget.is_spent(lost)):
        reasons = [one.reason for one in aside] + [f"{budget.describe(lost)}: nothing was begun"] * bool(states)
        raise HostError(
            "\n".join(reasons),
            advice=f"{UNCHANGED} To leave out a host, give --limit '!HOST'.",
            document={"hosts": [], "changed": False, "set_aside": [survey.as_json(one) for one in aside]},
        )


def _moves(states: Mapping[str, HostState], shares: Mapping[str, Share], target: str) -> tuple[Move, ...]:
    """What is done on each host. UsageError if one has no complete generation to return to."""
    moves = []
    for host, state in states.items():
        stack = state.stack
        after = target or _previous(state)
        whole = {name for name, generation in stack.generations.items() if generation.sealed}
        if after not in whole:
            there = ", ".join(sorted(whole)) or "none"
            raise UsageError(
                f"{host} has no complete generation {after or 'before the current one'} to return to; complete "
                f"generations: {there}",
                advice="Nothing was changed on any host. To return to another generation, name it with --to.",
            )
        builder = shares[host].builder if host in shares else ""
        moves.append(Move(host, stack.current or "", after, activations.undone(state.activation), builder))
    return tuple(moves)


def _previous(state: HostState) -> str:
    """The generation that was current before; empty if that is not recorded.

    An activation that is killed before it renames the link leaves the current generation as the previous one. If it was
    not confirmed, the rollback undoes it, and that is the generation to return to.
    """
    previous = state.stack.previous or ""
    interrupted = previous == state.stack.current and state.activation.state != rules.UNCONFIRMED
    return "" if interrupted else previous


def _failed(
    failures: Sequence[Failure],
    aside: Sequence[Aside],
    done: Sequence[Move],
    lists: Mapping[str, str],
    target: str,
    *,
    plan: bool,
) -> HostError:
    """The error for a rollback that failed on some hosts, or that could not ask them.

    On the others, the previous generation is now the one that they left, so a second rollback must leave them out.
    """
    lost = sorted({failure.host for failure in failures} | {one.host for one in aside})
    steps = [UNCHANGED] * plan
    if done and not plan:
        steps.append(f"{named([move.host for move in done])} went back.")
        steps += [] if target else ["Without a limit, a second rollback would take them forward again."]
        command = shlex.join(
            ["provision", "rollback", *(["--to", target] if target else []), "--limit", ",".join(lost)]
        )
        steps.append(f"To try the others again: `{command}`.")
        if aside and not target:
            steps.append(
                "A host that was set aside, but is another name of a host that went back, or shares its stack root, "
                "went back with it: leave it out."
            )
    steps += [f"Lists of hosts for --limit @FILE: {', '.join(lists.values())}"] * bool(lists)
    lines = [advice.explain(failure) for failure in failures] + [f"set aside: {one.reason}" for one in aside]
    return HostError(
        "\n".join(lines),
        advice=" ".join(steps),
        document={
            "hosts": [asdict(move) for move in done],
            "changed": bool(done) and not plan,
            "failures": [asdict(failure) for failure in failures],
            "set_aside": [survey.as_json(one) for one in aside],
            "lists": dict(lists),
        },
    )
