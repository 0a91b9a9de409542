"""`provision site` on a fleet: survey, waves, journal, rollout, lists of hosts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import host_lists, rollout, survey, waves
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.decide import Action, Activate, GiveBack, Paused, Standing, Stop, Wait
from neuraltalk_provision.fleet.hosts import Former, Playbooks
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import (
    Ending,
    HostEntry,
    Options,
    Outcome,
    Phase,
    Rollout,
    Status,
    Step,
    WaveEntry,
    inputs,
)
from neuraltalk_provision.fleet.rollout import Loss
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.mirror import trust
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, controller, converge, leases
from neuraltalk_provision.site.plan import HostPlan

_sleep = time.sleep
POLL = 1.0
"""Seconds between two looks whether somebody asked for a pause."""
WHAT = "provision site"


@dataclass(frozen=True)
class Order:
    """What the user asked for: all of it, staging alone or activation alone."""

    phase: Phase = Phase.FULL
    what: str = WHAT


def carry_out(found: Survey, order: Order, settings: Settings, output: Output) -> FleetOutcome:
    """Bring the hosts of a survey to the state that the mirror describes, in waves.

    Raises UsageError or HostError, before anything is changed, if too many hosts were set aside; MirrorError if a file
    that will be sent is damaged; UsageError if another controller works with the same journal.
    """
    found = _staged_only(found) if order.phase is Phase.ACTIVATE else found
    budget = Budget(settings.max_failures, found.total)
    survey.refuse(found, budget)
    plans = found.well
    changing = [plan for plan in plans if _concerned(plan, order.phase)]
    if not changing:
        return FleetOutcome(converge.converge(plans, settings, output), found.aside)
    unwell = [one.host for one in found.aside]
    divided = waves.divide(
        settings.waves,
        [plan.host for plan in changing],
        found.groups,
        unwell=unwell,
        unchanged=[plan.host for plan in plans if plan not in changing],
    )
    converge.check_mirror(changing, settings, catalogues.load(), output)
    with Journal.open(settings.journal, controller.name(), order.what, controller.is_dead) as journal:
        begun = journal.begin(_rollout(changing, divided, found, order, settings))
        standing = _standing(changing, divided, budget, found, order, settings)
        return _run(begun, standing, found, journal, settings, output)


def resume(
    limit: Sequence[str], settings: Settings, output: Output, *, take_over: bool = False
) -> tuple[Survey, FleetOutcome]:
    """Continue the last rollout that did not finish, with its waves. `limit` must be empty: it has its own hosts.

    The hosts are asked again: what is done is not done twice, and what was undone since is done again. Raises UsageError
    if there is no such rollout, or if the mirror or the inventory changed since.
    """
    if limit:
        raise UsageError(
            "--resume continues with the hosts of the rollout, so --limit has no meaning",
            advice="Leave out one of the two.",
        )
    with Journal.open(settings.journal, controller.name(), f"{WHAT} --resume", controller.is_dead) as journal:
        earlier = journal.unfinished()
        if earlier is None:
            raise UsageError(
                f"{settings.journal} contains no rollout that did not finish", advice="Run `provision site`."
            )
        settings = settings.model_copy(update={"on_failure": earlier.options.on_failure})
        found = survey.survey(settings, [entry.host for entry in earlier.hosts], output, take_over=take_over)
        found = _same_inputs(found, earlier)
        budget = Budget(settings.max_failures, len(earlier.hosts) + len(earlier.aside))
        survey.refuse(found, budget)
        plans = [plan for plan in found.well if _concerned(plan, earlier.phase) or _in_doubt(plan.host, earlier)]
        divided = _waves_of(earlier)
        converge.check_mirror(plans, settings, catalogues.load(), output)
        standing = _standing(plans, divided, budget, found, Order(earlier.phase), settings)
        changing = {plan.host for plan in plans}
        before = frozenset(host for host in earlier.hosts_with(Step.ACTIVATE, Outcome.DONE) if host not in changing)
        standing = replace(standing, activated=before)
        journal.clear_pause()
        journal.reopen(earlier.id)
        return found, _run(earlier, standing, found, journal, settings, output)


def _concerned(plan: HostPlan, phase: Phase) -> bool:
    return plan.stages if phase is Phase.STAGE_ONLY else plan.changes


def _in_doubt(host: str, earlier: Rollout) -> bool:
    """Whether the controller ended while it activated this host: nobody has confirmed that it works."""
    return earlier.outcome(host, Step.ACTIVATE) is Outcome.STARTED


def _staged_only(found: Survey) -> Survey:
    """The survey for an activation alone: hosts on which the generation is not staged are set aside."""
    missing = [
        Aside(
            plan.host,
            f"{plan.host}: generation {plan.recipe.id}, which the mirror and the settings describe, is not staged on "
            "this host: run `provision site --stage-only` first",
            codes.NOT_STAGED,
        )
        for plan in found.well
        if plan.stages
    ]
    return replace(found, aside=tuple(sorted((*found.aside, *missing), key=lambda one: one.host)))


def _same_inputs(found: Survey, earlier: Rollout) -> Survey:
    """The survey for a rollout that is continued: hosts for which something else is planned now are set aside."""
    entries = earlier.by_name()
    now = _inputs(found.plans, found.addresses)
    other = [
        Aside(
            plan.host,
            f"{plan.host}: the rollout {earlier.id} was planned for another generation or another address of this host; "
            "the mirror, the settings or the inventory changed since. Begin a new rollout with `provision site`",
            codes.HOST_REFUSED,
        )
        for plan in found.well
        if plan.host in entries and now[plan.host] != entries[plan.host].inputs
    ]
    return replace(found, aside=tuple(sorted((*found.aside, *other), key=lambda one: one.host)))


def _inputs(plans: Sequence[HostPlan], addresses: Mapping[str, str]) -> dict[str, str]:
    return {plan.host: inputs(plan.recipe.id, addresses.get(plan.host, "")) for plan in plans}


def _rollout(
    changing: Sequence[HostPlan], divided: Sequence[Wave], found: Survey, order: Order, settings: Settings
) -> Rollout:
    numbers = {host: wave.number for wave in divided for host in wave.hosts}
    digests = _inputs(changing, found.addresses)
    return Rollout(
        phase=order.phase,
        options=Options(
            waves=tuple(
                WaveEntry(number=wave.number, name=wave.name, pause=wave.pause, strict=wave.strict) for wave in divided
            ),
            max_failures=str(settings.max_failures),
            on_failure=settings.on_failure,
            lock=hashlib.sha256(trust.open_lock(settings).text.encode()).hexdigest(),
            stack_root=settings.stack_root,
        ),
        hosts=tuple(
            HostEntry(
                host=plan.host,
                wave=numbers[plan.host],
                target=plan.recipe.id,
                former=plan.current,
                cuda=plan.recipe.gpu.toolkit if plan.swaps and plan.recipe.gpu else "",
                inputs=digests[plan.host],
            )
            for plan in changing
        ),
    )


def _waves_of(earlier: Rollout) -> tuple[Wave, ...]:
    return tuple(
        Wave(
            one.number,
            one.name,
            tuple(entry.host for entry in earlier.hosts if entry.wave == one.number),
            one.pause,
            one.strict,
        )
        for one in earlier.options.waves
    )


def _standing(
    plans: Sequence[HostPlan],
    divided: tuple[Wave, ...],
    budget: Budget,
    found: Survey,
    order: Order,
    settings: Settings,
) -> Standing:
    return Standing(
        divided,
        budget,
        staging=frozenset(plan.host for plan in plans if plan.stages),
        activating=frozenset(plan.host for plan in plans),
        aside={one.host: one.reason for one in found.aside},
        phase=order.phase.value,
        on_failure=settings.on_failure,
    )


def _run(
    begun: Rollout, standing: Standing, found: Survey, journal: Journal, settings: Settings, output: Output
) -> FleetOutcome:
    """Run the loop with the leases of all hosts of the rollout, and write what it came to."""
    entries = begun.by_name()
    given = converge.variables(found.plans, settings)
    former = {host: Former(entry.former, entry.cuda) for host, entry in entries.items()}
    hosts = Playbooks(given, former, settings, output)
    records = _Records(journal, {host: entry.inputs for host, entry in entries.items()})
    held = [plan.host for plan in found.well if plan.host in entries or plan.over]
    with leases.released(held, given, settings):
        standing, end = rollout.run(standing, hosts, records, _waiter(records, output), _shower(standing, output))
    status = _status(standing, end)
    journal.finish(status)
    outcome = FleetOutcome(
        site=converge.SiteOutcome(
            plans=found.plans,
            changes=tuple(hosts.changes),
            activated=tuple(sorted(standing.activated - standing.returned)),
            failures=tuple(hosts.failures),
        ),
        aside=found.aside,
        returned=tuple(sorted(standing.returned)),
        untouched=_untouched(standing, entries),
        waves=standing.waves,
        rollout=begun.id,
        status=status.value,
        why=end.why if isinstance(end, Stop) else "",
    )
    return outcome if outcome.succeeded else replace(outcome, lists=_lists(outcome, settings))


def _status(standing: Standing, end: object) -> Status:
    if isinstance(end, Paused):
        return Status.PAUSED
    if isinstance(end, Stop):
        return Status.ROLLED_BACK if standing.returned else Status.STOPPED
    return Status.FINISHED


def _untouched(standing: Standing, entries: Mapping[str, HostEntry]) -> tuple[str, ...]:
    """The hosts of the rollout to which it did not come. After staging alone there are none."""
    if standing.phase == "stage_only":
        return tuple(sorted(standing.staging - standing.staged - standing.lost.keys()))
    return tuple(sorted(standing.activating - standing.activated - standing.lost.keys() & entries.keys()))


def _lists(outcome: FleetOutcome, settings: Settings) -> Mapping[str, str]:
    lost = {failure.host for failure in outcome.site.failures}
    aside = {one.host for one in outcome.aside}
    rest = lost | aside | set(outcome.untouched) | set(outcome.returned)
    lists = {
        "done": [plan.host for plan in outcome.site.plans if plan.host not in rest],
        "failed": sorted(lost),
        "set-aside": sorted(aside - lost),
        "untouched": [*outcome.untouched],
    }
    return host_lists.write(settings.journal.parent / "hosts", lists)


class _Records:
    """The journal, as the loop of a rollout uses it."""

    def __init__(self, journal: Journal, digests: Mapping[str, str]) -> None:
        self._journal = journal
        self._digests = digests

    def started(self, step: Step, hosts: Sequence[str]) -> None:
        """Record that a step begins on these hosts."""
        self._journal.started(step, {host: self._digests[host] for host in hosts})

    def ended(self, step: Step, outcomes: Mapping[str, tuple[Outcome, Loss]]) -> None:
        """Record how a step ended on each of these hosts."""
        self._journal.ended(
            step,
            [
                Ending(host=host, outcome=outcome, reason=loss.reason, code=loss.code)
                for host, (outcome, loss) in outcomes.items()
            ],
        )

    def pause_requested(self) -> bool:
        """Whether somebody asked this rollout to pause."""
        return self._journal.pause_requested() is not None


def _waiter(records: _Records, output: Output) -> rollout.Waiter:
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
                count = f"{len(hosts)} host{'s' if len(hosts) != 1 else ''}"
                output.say(f"wave {wave.number} of {total} ({wave.name}): activating {count}")
            case Wait(wave, seconds):
                output.say(f"waiting {seconds} s after wave {wave.number}; `provision rollout pause` ends the wait")
            case GiveBack(hosts, why):
                output.say(f"{why}: {len(hosts)} hosts return to their former generation")
            case Paused(wave):
                output.say(
                    f"paused before wave {wave.number} of {total}, as requested: `provision site --resume` continues"
                )

    return show
