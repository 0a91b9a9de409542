"""`provision rollback`: returns hosts to an earlier generation when nothing uses them; recorded in the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet import entries, host_lists, rollout, running, survey, use
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.hosts import losses
from neuraltalk_provision.fleet.idle import Activation
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.moves import Move, moves, one_target, opposed, show
from neuraltalk_provision.fleet.reader import Reader
from neuraltalk_provision.fleet.records import HostEntry, Options, Outcome, Phase, Rollout, Status, Step, inputs
from neuraltalk_provision.fleet.rollback_error import both_ways, failed, no_generation
from neuraltalk_provision.fleet.rollback_words import rollback_of
from neuraltalk_provision.fleet.rollout import Done
from neuraltalk_provision.fleet.survey import Aside
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import (
    activations,
    codes,
    controller,
    host_results,
    host_state,
    leases,
    playbook,
    sharing,
)
from neuraltalk_provision.site.advice import LEAVE_OUT
from neuraltalk_provision.site.events import Failure
from neuraltalk_provision.site.sharing import Share

WHAT = "provision rollback"


@dataclass(frozen=True)
class Request:
    """What the user asks for. `target` is empty for the previous generation.

    With `in_use`, hosts go back though something uses them. With `take_over` the operator says that another controller
    has ended.
    """

    limit: Sequence[str] = ()
    target: str = ""
    in_use: bool = False
    take_over: bool = False


@dataclass(frozen=True)
class _Found:
    """The hosts that can be asked, with their moves, and those that cannot."""

    states: Mapping[str, HostState]
    shares: Mapping[str, Share]
    aside: tuple[Aside, ...]
    moves: tuple[Move, ...]
    unfinished: Rollout | None = None
    """The newest rollout of the journal, if it has not finished."""

    @property
    def earlier(self) -> Rollout | None:
        """The rollback that is continued."""
        return _if_rollback(self.unfinished)

    def left_out(self) -> tuple[HostEntry, ...]:
        """The hosts of the rollback that is continued of which nothing is asked now."""
        known = {*(move.host for move in self.moves), *(one.host for one in self.aside)}
        return tuple(entry for entry in self.earlier.hosts if entry.host not in known) if self.earlier else ()

    @property
    def machines(self) -> dict[str, list[str]]:
        """{host: the other machines that use its stack root} of the hosts on which something is done."""
        found: dict[str, list[str]] = {move.host: [] for move in self.moves if not move.of and not move.is_done}
        for name, share in self.shares.items():
            if share.builder in found and not share.same:
                found[share.builder].append(name)
        return found


def rollback(settings: Settings, asked: Request, output: Output, *, plan: bool) -> tuple[Move, ...]:
    """Return to an earlier generation on every host that can be asked, when nothing uses it; what was done.

    A rollback that did not finish is continued. Raises UsageError, before any host is changed, if a host has no such
    generation, or another controller works with the journal or on a host, and HostError if more hosts cannot be asked
    than max_failures allows. HostError at the end, with what was done, if a host did not go back.
    """
    if plan:
        with Journal.read(settings.journal) as reader:
            found = _find(settings, asked, reader, output, plan=True)
        used = {} if asked.in_use else use.planned(settings, found.machines)
        planned = tuple(replace(move, in_use=used.get(move.of or move.host, "")) for move in found.moves)
        show(planned, output, plan=True)
        if found.aside:
            raise failed(planned, Done(), (), found.aside, asked.target, plan=True)
        return planned
    with Journal.open(
        settings.journal, controller.name(), controller.is_dead, what=WHAT, take_over=asked.take_over
    ) as journal:
        found = _find(settings, asked, journal, output, plan=False)
        if remark := entries.given_up_by_rollback(found.unfinished):
            output.remark("remark", remark)
        return _Rollback(found, asked, settings, output, journal).run()


def _find(settings: Settings, asked: Request, journal: Reader, output: Output, *, plan: bool) -> _Found:
    """Ask the hosts. See `rollback` for the errors."""
    asked_of = host_state.read_each(settings, catalogues.load(), asked.limit)
    aside = [survey.failed(failure) for failure in asked_of.failures]
    entries.check_names([*asked_of.states, *(one.host for one in aside)])
    states = dict(asked_of.states)
    for host, state in asked_of.states.items():
        if odd := entries.odd_generation(host, state.stack.current or "", state.stack.previous or ""):
            aside.append(odd)
            del states[host]
    shares = sharing.of_hosts(states)
    _refuse(aside, states, shares, settings)
    leases.refuse(states, asked.take_over)
    unfinished = journal.unfinished()
    found, unable = moves(states, shares, asked.target, _if_rollback(unfinished))
    if unable:
        others = [move.host for move in found]
        name, place = host_lists.CAN_RETURN, host_lists.beside(settings.journal)
        lists = {} if plan else host_lists.write(place, {name: others}, output, [name])
        raise no_generation(unable, others, asked.target, lists)
    if reasons := not asked.target and opposed(found, journal.went_back()):
        raise both_ways(reasons)
    return _Found(states, shares, tuple(aside), found, unfinished)


def _if_rollback(unfinished: Rollout | None) -> Rollout | None:
    return unfinished if unfinished and unfinished.phase is Phase.ROLLBACK else None


def _refuse(
    aside: Sequence[Aside], states: Mapping[str, HostState], shares: Mapping[str, Share], settings: Settings
) -> None:
    """HostError if more hosts cannot be asked than max_failures allows, or all."""
    same = {host: share.same for host, share in shares.items() if share.same}
    budget = Budget(settings.max_failures, len(states) - len(same) + len(aside), same)
    lost = [one.host for one in aside]
    if aside and (not states or budget.is_spent(lost)):
        reasons = lines((one.host, one.reason) for one in aside)
        reasons += [f"{budget.describe(lost)}: nothing was begun"] * bool(states)
        raise HostError(
            "\n".join(reasons),
            advice=LEAVE_OUT,
            document={"hosts": [], "changed": False, "set_aside": [survey.as_json(one) for one in aside]},
        )


class _Rollback:
    """One rollback: the hosts that it found, and the failures of what it does on them."""

    def __init__(self, found: _Found, asked: Request, settings: Settings, output: Output, journal: Journal) -> None:
        self._found = found
        self._asked = asked
        self._settings = settings
        self._output = output
        self._journal = journal
        self._failures: list[Failure] = []

    def run(self) -> tuple[Move, ...]:
        """Carry out the rollback; see `rollback` for the errors."""
        found, journal = self._found, self._journal
        machines = found.machines
        own = list(machines)
        if not self._asked.in_use:
            use.refuse(self._settings, [*own, *(name for names in machines.values() for name in names)])
        begun = journal.begin(self._rollout())
        journal.ended_all(Step.GIVE_BACK, map(entries.set_aside, found.aside))
        records = running.JournalRecords(journal, {entry.host: entry.inputs for entry in begun.hosts})
        drains = Drains(self._settings, self._output, journal, found.states)
        activation = Activation(begun.id, self._settings, self._output, records, drains, machines)
        asked = self._asked
        same = rollback_of(asked.limit, asked.target, in_use=asked.in_use)
        with running.stopped_by_errors(begun, journal, same):
            names = [move.host for move in found.moves]
            done = rollout.recorded(Step.GIVE_BACK, names, lambda _names: self._return(own, activation), records)
            lifted = () if self._asked.in_use else own  # by their activation
            left = [host for host in names if host not in lifted]
            broken = [host for host in left if host in done.failed]
            drains.lift([host for host in left if host not in broken], broken=broken)
            drains.name_lost()
        lost = bool(done.failed or done.aside or found.aside or activation.drained)
        others = {begun.outcome(entry.host, Step.GIVE_BACK) for entry in found.left_out()}
        journal.finish(Status.STOPPED if lost or others - {Outcome.DONE} else Status.ROLLED_BACK)
        gone = [move for move in found.moves if move.host not in done.failed.keys() | done.aside.keys()]
        place = host_lists.beside(self._settings.journal)
        lists = host_lists.write(place, self._lists(gone, done), self._output)
        show(gone, self._output, plan=False)
        if lost:
            raise failed(
                gone,
                done,
                self._failures,
                found.aside,
                self._asked.target or one_target(found.moves),
                lists=lists,
                drained=activation.drained,
            )
        return found.moves

    def _rollout(self) -> Rollout:
        """The rollback as the journal gets it. Hosts of the one that is continued stay known until all are back."""
        found, settings = self._found, self._settings
        earlier = found.earlier or Rollout()
        known = earlier.by_name()
        hosts = tuple(
            HostEntry(
                host=move.host,
                wave=1,
                target=move.after,
                former=move.before,
                inputs=inputs(move.after, found.states[move.host].inventory.address),
            )
            for move in found.moves
        )
        aside = tuple(known.get(one.host, HostEntry(host=one.host, wave=0)) for one in found.aside)
        left_out = {entry.host for entry in found.left_out()}
        return Rollout(
            phase=Phase.ROLLBACK,
            options=Options(
                max_failures=str(settings.max_failures),
                busy=settings.busy,
                stack_root=settings.stack_root,
                total=len(found.states) + len(found.aside),
            ),
            hosts=hosts + aside + found.left_out(),
            # Drains stay with the rollback that made them.
            records={
                (host, step): one
                for (host, step), one in earlier.records.items()
                if host in left_out and step is not Step.DRAIN
            },
        )

    def _return(self, own: Sequence[str], activation: Activation) -> Done:
        """Return these hosts when they are idle. Others go back with the host that works for them."""
        if not own:
            return Done()
        done = (self._act(own) if self._asked.in_use else activation.run(own, self._act)).with_left_aside()
        failed, aside = dict(done.failed), dict(done.aside)
        for move in self._found.moves:
            for lost in (failed, aside):
                if move.of in lost:
                    lost[move.host] = lost[move.of]
        return Done(failed, aside, drained=done.drained)

    def _act(self, hosts: Sequence[str]) -> Done:
        """Run the playbook on these hosts. A host that something began to use meanwhile fails with the code IN_USE."""
        states, asked = self._found.states, self._asked
        request = playbook.Request.of_site(
            self._settings,
            "rollback.yml",
            hosts,
            {
                "provision_stack_root": self._settings.stack_root,
                "provision_run_user": self._settings.run_user,
                "provision_refuse_starts": not asked.in_use,
                "provision_target": asked.target,
                # Undoing an activation changes which generation was current before.
                "provision_targets": {move.host: move.after for move in self._found.moves},
                # It can be hours since the hosts were asked, and a controller with another journal can work there too.
                "provision_expected": {move.host: [move.before] for move in self._found.moves},
                "provision_unconfirmed": activations.unconfirmed(states),
                "provision_lease": leases.variables(WHAT, leases.replaceable(states, asked.take_over)),
            },
        )
        failures = tuple(host_results.failures_of(playbook.run(request).results, hosts))
        self._failures += [one for one in failures if one.code != codes.IN_USE]
        return Done(failed=losses(failures))

    def _lists(self, gone: Sequence[Move], done: Done) -> dict[str, list[str]]:
        if not (done.failed or done.aside or self._found.aside):
            return {}
        return {
            "done": [move.host for move in gone],
            "failed": list(done.failed),
            "set-aside": [*done.aside, *(one.host for one in self._found.aside)],
        }
