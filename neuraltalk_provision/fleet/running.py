"""Runs a rollout with its journal and the leases of its hosts, and says what it came to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from neuraltalk_provision.errors import InterruptError, ProvisionError
from neuraltalk_provision.fleet import host_lists, rollout
from neuraltalk_provision.fleet.decide import Action, Activate, GiveBack, Look, Paused, Standing, Stop, Wait
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.hosts import Former, Playbooks
from neuraltalk_provision.fleet.idle import Activation
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import Ending, HostEntry, Phase, Rollout, Status, Step
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.host_names import counted
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, converge, leases
from neuraltalk_provision.site.plan import HostPlan

_sleep = time.sleep
POLL = 1.0
"""Seconds between two looks whether somebody asked for a pause."""


def run(
    begun: Rollout,
    standing: Standing,
    found: Survey,
    journal: Journal,
    settings: Settings,
    output: Output,
    *,
    diff: bool,
    drains: Drains,
) -> FleetOutcome:
    """Run the loop with the leases of all hosts of the rollout, and write what it came to.

    `drains` knows which nodes earlier rollouts left drained.
    """
    entries = begun.by_name()
    given = converge.variables(found.plans, settings)
    former = {host: Former(entry.former, entry.cuda) for host, entry in entries.items()}
    records = JournalRecords(journal, {host: entry.inputs for host, entry in entries.items()})
    activation = Activation(begun.id, settings, output, records, drains, machines_of(found.plans))
    hosts = Playbooks(found.plans, given, former, settings, output, activation, returned=standing.returned, diff=diff)
    # What a host has built earlier is packed there, although nothing else may be to do on it.
    packing = {plan.unpack.builder for plan in found.plans if plan.unpack}
    working = entries.keys() | packing
    held = [plan.host for plan in found.well if (plan.host in working or plan.over) and not plan.share]
    with stopped_by_errors(begun, journal, "provision site --resume"), leases.released(held, given, settings):
        standing, end = rollout.run(standing, hosts, records, _waiter(records, output), _shower(standing, output))
        untouched = _untouched(standing, entries)
        broken = {plan.host for plan in found.well if plan.unconfirmed or plan.current == plan.recipe.id}
        unstaged = standing.staging - standing.staged - standing.unsure
        left = (*untouched, *sorted(unstaged - set(untouched)))
        drains.lift([host for host in left if host not in broken], broken=[host for host in left if host in broken])
        drains.name_lost()
    status = _status(standing, end)
    # So that the next command looks for them.
    status = Status.STOPPED if activation.drained and status is not Status.PAUSED else status
    journal.finish(status)
    outcome = FleetOutcome(
        site=converge.SiteOutcome(
            plans=found.plans,
            changes=tuple(hosts.changes),
            activated=tuple(sorted(standing.activated - standing.returned)),
            failures=tuple(hosts.failures),
            not_removed=hosts.not_removed,
        ),
        aside=(*found.aside, *_set_aside_later(found, standing)),
        returned=tuple(sorted(standing.returned)),
        untouched=untouched,
        unstaged=unstaged,
        kept=_kept(standing, end),
        drained=activation.drained,
        waves=standing.waves,
        rollout=begun.id,
        status=status.value,
        why=end.why if isinstance(end, Stop) else "",
    )
    return with_lists(outcome, settings, output, standing.failed)


@contextlib.contextmanager
def stopped_by_errors(begun: Rollout, journal: Journal, command: str) -> Iterator[None]:
    """If the block ends with an error or with Ctrl-C, record that nobody works on the rollout, and say how to go on.

    `command` continues it.
    """
    again = f"The rollout {begun.id} is not finished: `{command}` continues it."
    try:
        yield
    except (ProvisionError, KeyboardInterrupt) as error:
        with contextlib.suppress(ProvisionError):
            journal.finish(Status.STOPPED)
        raised = error if isinstance(error, ProvisionError) else InterruptError("interrupted")
        raised.advice = f"{raised.advice} {again}".strip()
        stopped = {"id": begun.id, "status": Status.STOPPED.value, "why": raised.message}
        raised.document = {**raised.document, "rollout": stopped}
        if raised is error:
            raise
        raise raised from None


def machines_of(plans: Sequence[HostPlan]) -> dict[str, list[str]]:
    """{host that activates: the other machines that use the same stack root}."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        if plan.share and not plan.share.same and plan.current:
            found.setdefault(plan.builder, []).append(plan.host)
    return found


def with_lists(outcome: FleetOutcome, settings: Settings, output: Output, failed: Collection[str] = ()) -> FleetOutcome:
    """The outcome with the files of its hosts. After a success there are none; those of earlier times are removed.

    `failed` are the hosts that failed in the rollout, also before it was continued.
    """
    lists = {} if outcome.succeeded else _lists(outcome, failed)
    return replace(outcome, lists=host_lists.write(host_lists.beside(settings.journal), lists, output))


def _kept(standing: Standing, end: object) -> tuple[str, ...]:
    """The hosts that were to return, and may still have the new generation."""
    returns = isinstance(end, Stop) and standing.on_failure == "rollback"
    return tuple(sorted(standing.kept)) if returns else ()


def _set_aside_later(found: Survey, standing: Standing) -> tuple[Aside, ...]:
    """The hosts that were set aside during the rollout, because they were in use."""
    before = {one.host for one in found.aside}
    return tuple(Aside(host, why, codes.BUSY) for host, why in sorted(standing.aside.items()) if host not in before)


def _status(standing: Standing, end: object) -> Status:
    if isinstance(end, Paused):
        return Status.PAUSED
    if isinstance(end, Stop):
        return Status.ROLLED_BACK if standing.returned and not _kept(standing, end) else Status.STOPPED
    return Status.FINISHED


def _untouched(standing: Standing, entries: Mapping[str, HostEntry]) -> tuple[str, ...]:
    """The hosts of the rollout to which it did not come. After staging alone there are none."""
    if standing.phase is Phase.STAGE_ONLY:
        return tuple(sorted(standing.staging - standing.staged - standing.lost.keys()))
    return tuple(sorted(standing.activating - standing.activated - standing.lost.keys() & entries.keys()))


def _lists(outcome: FleetOutcome, failed: Collection[str]) -> dict[str, list[str]]:
    lost = {failure.host for failure in outcome.site.failures} | {*outcome.kept, *failed}
    aside = {one.host for one in outcome.aside}
    rest = lost | aside | set(outcome.untouched) | set(outcome.returned)
    return {
        "done": [plan.host for plan in outcome.site.plans if plan.host not in rest],
        "failed": sorted(lost),
        "set-aside": sorted(aside - lost),
        "returned": sorted(set(outcome.returned) - lost - aside),
        "untouched": [*outcome.untouched],
    }


class JournalRecords:
    """The journal, as the loop of a rollout uses it."""

    def __init__(self, journal: Journal, digests: Mapping[str, str]) -> None:
        self._journal = journal
        self._digests = digests

    def started(self, step: Step, hosts: Sequence[str]) -> None:
        """Record that a step begins on these hosts."""
        self._journal.started(hosts, step, self._digests)

    def ended(self, step: Step, endings: Sequence[Ending]) -> None:
        """Record how a step ended on hosts."""
        self._journal.ended_all(step, endings)

    def pause_requested(self) -> bool:
        """Whether somebody asked this rollout to pause."""
        return self._journal.pause_requested() is not None


def _waiter(records: JournalRecords, output: Output) -> rollout.Waiter:
    """The function that waits after a wave."""

    def wait(action: Wait) -> bool:
        end = time.monotonic() + action.seconds
        with output.working(f"waiting {action.seconds} s after wave {action.wave.number}"):
            while (left := end - time.monotonic()) > 0:
                if records.pause_requested():
                    return True
                _sleep(min(POLL, left))
        return False

    return wait


def _shower(standing: Standing, output: Output) -> rollout.Shower:
    """The function that prints the actions of a rollout that has more than one wave, or that goes back."""
    total = len(standing.waves)

    def show(action: Action) -> None:
        match action:
            case Activate(wave, hosts) if total > 1:
                output.say(f"wave {wave.number} of {total} ({wave.name}): activating {counted(len(hosts))}")
            case Look(hosts):
                output.say(f"all hosts of the first wave were set aside: asking which of {len(hosts)} others are idle")
            case Wait(wave, seconds):
                output.say(f"waiting {seconds} s after wave {wave.number}; `provision rollout pause` ends the wait")
            case GiveBack(hosts, why):
                output.say(f"{why}: {len(hosts)} hosts return to their former generation")
            case Paused(wave):
                output.say(
                    f"paused before wave {wave.number} of {total}, as requested: `provision site --resume` continues"
                )

    return show
