"""`provision site` on a fleet: survey, waves, journal, rollout, lists of hosts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import HostError, ProvisionError, UsageError
from neuraltalk_provision.fleet import affected, entries, host_lists, running, survey, use, waves
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import Outcome, Phase, Step, Summary
from neuraltalk_provision.fleet.rollback_words import CONTINUES
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.host_names import MOST_NAMED
from neuraltalk_provision.mirror import trust
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller, converge, inventory_names
from neuraltalk_provision.site.advice import UNCHANGED
from neuraltalk_provision.site.plan import HostPlan

WHAT = "provision site"


def predict(found: Survey, settings: Settings, output: Output, *, diff: bool = False) -> FleetOutcome:
    """What the roles would change on the hosts that are well, in check mode."""
    refuse(found, settings, output, Budget(settings.max_failures, found.total, found.same))
    return FleetOutcome(converge.converge(found.well, settings, output, check=True, diff=diff), found.aside)


def refuse(
    found: Survey, settings: Settings, output: Output, budget: Budget | None = None, *, resumed: bool = False
) -> None:
    """Like survey.refuse. If too many hosts are set aside to name them all, a list of them is written for --limit.

    `resumed`: the command is `--resume`, which refuses --limit.
    """
    try:
        survey.refuse(found, budget)
    except ProvisionError as error:
        if resumed and isinstance(error, HostError):
            error.advice = f"{UNCHANGED} `--resume` keeps the hosts of the rollout: repair those that were set aside"
            error.advice += ", or allow more of them with --max-failures." if found.well else "."
        name, lists = host_lists.WOULD_BE_ASIDE, {}
        if len(found.aside) > MOST_NAMED:
            hosts = [one.host for one in found.aside]
            lists = host_lists.write(host_lists.beside(settings.journal), {name: hosts}, output, [name])
        use = "" if resumed else ", for --limit @FILE"
        for file in lists.values():
            error.advice = f"{error.advice} A list of the hosts that were set aside{use}: {file}"
        error.document = {**error.document, "lists": lists}
        raise


def waves_of(found: Survey, settings: Settings, doubtful: Collection[str] = ()) -> tuple[Wave, ...]:
    """The waves in which the hosts of a survey would be activated; `doubtful` as in `affected.in_phase`."""
    plans = found.well
    changing = affected.in_phase(plans, Phase.FULL, doubtful)
    changed = {plan.host for plan in changing}
    follows = {plan.host: plan.builder for plan in changing if plan.share and plan.builder in changed}
    groups = dict(found.groups)
    for host, builder in follows.items():  # what is activated by the one is activated for the other
        groups[builder] = (*groups.get(builder, ()), *found.groups.get(host, ()))
    divided = waves.divide(
        settings.waves,
        [plan.host for plan in changing if plan.host not in follows],
        groups,
        unwell=[one.host for one in found.aside],
        unchanged=[plan.host for plan in plans if plan.host not in changed],
    )
    return waves.with_followers(divided, follows)


def for_phase(found: Survey, phase: Phase) -> Survey:
    """The survey for a phase: `--activate` sets hosts aside on which the generation is not staged."""
    return entries.staged_only(found) if phase is Phase.ACTIVATE else found


def newest(settings: Settings) -> Sequence[Summary]:
    """The newest rollout in the journal, if there is one; for `carry_out`."""
    with Journal.read(settings.journal) as reader:
        return reader.rollouts(1)


def unproved(found: Survey, settings: Settings) -> set[str]:
    """The hosts on which nobody has seen that what is current works; see affected.unproved."""
    with Journal.read(settings.journal) as reader:
        return affected.unproved(found.well, reader.past())


def tested_again(found: Survey, phase: Phase, doubtful: Collection[str]) -> list[str]:
    """The hosts on which nothing is to be done, except that their current generation is tested again."""
    changing = {plan.host for plan in affected.in_phase(found.well, phase)}
    return [plan.host for plan in affected.in_phase(found.well, phase, doubtful) if plan.host not in changing]


def given_up(found: Survey, settings: Settings, doubtful: Collection[str] = ()) -> str:
    """What a new rollout would give up on an earlier one, for `--plan`; empty if nothing, or if none would begin."""
    if not affected.in_phase(found.well, Phase.FULL, doubtful):
        return ""
    with Journal.read(settings.journal) as reader:
        holder, earlier = reader.holder(), reader.unfinished()
    return entries.given_up(earlier) if holder is None or controller.is_dead(holder.holder) else ""


def in_use(found: Survey, phase: Phase, settings: Settings, doubtful: Collection[str]) -> dict[str, str]:
    """{host: what becomes of it} of the hosts in use, for `--plan`. UsageError with `busy: refuse`, as without it."""
    changing = affected.in_phase(found.well, phase, doubtful) if phase is not Phase.STAGE_ONLY else []
    machines = running.machines_of(changing)
    return use.planned(settings, {plan.host: machines.get(plan.host, ()) for plan in changing if plan.disturbs})


def carry_out(
    found: Survey,
    phase: Phase,
    settings: Settings,
    output: Output,
    *,
    before: Sequence[Summary] | None = None,
    take_over: bool = False,
    diff: bool = False,
) -> FleetOutcome:
    """Bring the hosts of a survey to the state that the mirror describes, in waves.

    `before` is what `newest` returned before the survey: if it is something else now, another controller has worked
    meanwhile, and the survey is not true any more. Raises UsageError or HostError, before anything is changed, if too
    many hosts were set aside; MirrorError if a file that will be sent is damaged; UsageError if another controller
    works with the same journal, or has worked with it meanwhile.
    """
    found = for_phase(entries.with_plain_names(found), phase)
    budget = Budget(settings.max_failures, found.total, found.same)
    refuse(found, settings, output, budget)
    doubtful = unproved(found, settings)
    changing = affected.in_phase(found.well, phase, doubtful)
    if not changing:
        converge.drop_dead_leases(found.well, settings)
        drained: Mapping[str, str] = {}
        if _may_be_drained(found, settings):
            with _journal(settings, WHAT, take_over) as journal:  # they can be drains of a controller that works
                drains = _lifted(journal, found.well, found, settings, output)
                drains.name_lost()
                drained = drains.left
        outcome = FleetOutcome(converge.SiteOutcome(found.plans), found.aside, drained=drained)
        return running.with_lists(outcome, settings, output)
    if phase is Phase.STAGE_ONLY:  # disturbs nobody, so that one wave is enough
        divided: tuple[Wave, ...] = (Wave(1, "100%", tuple(plan.host for plan in changing)),)
    else:
        divided = waves_of(found, settings, doubtful)
        _refuse_in_use(changing, settings)
    converge.check_mirror(changing, settings, catalogues.load(), output)
    digest = trust.open_with_digest(settings)[1]
    changed = {plan.host for plan in changing}
    with _journal(settings, WHAT, take_over) as journal:
        if before is not None and journal.rollouts(1) != before:
            raise UsageError(
                "another controller has worked on this site while the hosts were asked",
                advice=f"{UNCHANGED} `provision rollout list` shows what it did. Run the same command again.",
            )
        if remark := entries.given_up(journal.unfinished()):
            output.remark("remark", remark)
        drains = _lifted(journal, affected.kept(found.well, changed, phase), found, settings, output)
        begun = journal.begin(entries.rollout(changing, divided, found, phase, settings, digest))
        journal.ended_all(Step.STAGE, map(entries.set_aside, found.aside))
        standing = entries.standing(changing, divided, budget, found, phase, settings)
        return running.run(begun, standing, found, journal, settings, output, diff=diff, drains=drains)


def resume(
    limit: Sequence[str],
    settings: Settings,
    output: Output,
    show: Callable[[Survey], None],
    *,
    given: Collection[str] = (),
    take_over: bool = False,
    diff: bool = False,
) -> FleetOutcome:
    """Continue the last rollout that did not finish, with its hosts and waves; so `limit` must be empty.

    `show` prints what was found. `given` names the settings that the user gave with this command: max_failures,
    on_failure, busy, stack_root; those not given are the rollout's. The hosts are asked again: what is done is not done
    twice, what was undone since is done again, and what failed is tried again. A rollout that was on its way back goes
    on with that: hosts that it activated return to their former generation. Hosts for which the mirror, the settings or
    the inventory say something else now are set aside. Raises UsageError if there is no such rollout.
    """
    if limit:
        raise UsageError(
            "--resume continues with the hosts of the rollout, so --limit has no meaning",
            advice="Leave out one of the two.",
        )
    with _journal(settings, f"{WHAT} --resume", take_over) as journal:
        earlier = journal.unfinished()
        if earlier is None:
            raise UsageError(
                f"{settings.journal} contains no rollout that did not finish", advice="Run `provision site`."
            )
        if earlier.phase is Phase.ROLLBACK:
            raise UsageError(
                f'the last command was "provision rollback" ({earlier.id}), which did not finish: there is no rollout '
                "to continue",
                advice=f"To return its other hosts, run {CONTINUES}. `provision site` begins a new rollout.",
            )
        settings = entries.settings_of(earlier, settings, given)
        taking_part = [entry.host for entry in earlier.hosts if entry.wave]
        found = survey.survey(settings, taking_part, output, take_over=take_over, named=True)
        found = entries.with_earlier_aside(entries.same_inputs(found, earlier), earlier)
        returns = entries.has_begun_to_return(earlier)
        found = entries.staged_only(found) if earlier.phase is Phase.ACTIVATE and not returns else found
        show(found)
        budget = Budget(settings.max_failures, earlier.options.total or len(earlier.hosts), found.same)
        if returns:
            back = entries.on_its_way_back(earlier, budget, found)
            rest = [p for p in found.well if _names(p) & back.returned or not _names(p) & back.kept]
            targets = {entry.host: entry.target for entry in earlier.hosts}
            new = {
                plan.host for plan in rest if plan.current == targets[plan.host] and not _names(plan) & back.returned
            }
            drains = _lifted(journal, rest, found, settings, output, broken=new)
            return running.run(journal.resume(), back, found, journal, settings, output, diff=diff, drains=drains)
        refuse(found, settings, output, budget, resumed=True)
        doubtful = {record.host for record in earlier.in_doubt() if record.step is Step.ACTIVATE}
        doubtful |= affected.unproved(found.well, journal.past())
        plans = affected.in_phase(found.well, earlier.phase, doubtful)
        divided = entries.waves_of(earlier)
        if earlier.phase is not Phase.STAGE_ONLY:
            _refuse_in_use(plans, settings)
        converge.check_mirror(plans, settings, catalogues.load(), output)
        standing = entries.standing(plans, divided, budget, found, earlier.phase, settings)
        changing = {plan.host for plan in plans}
        before = frozenset(host for host in earlier.hosts_with(Step.ACTIVATE, Outcome.DONE) if host not in changing)
        # Who continues does not want to wait for the pause of a wave that is done.
        waited = frozenset(wave.number for wave in divided if not changing & set(wave.hosts))
        standing = replace(standing, activated=before, unsure=frozenset(earlier.touched()), waited=waited)
        rest = [p for p in affected.kept(found.well, changing, earlier.phase) if not (p.share and p.share.same)]
        drains = _lifted(journal, rest, found, settings, output)
        return running.run(journal.resume(), standing, found, journal, settings, output, diff=diff, drains=drains)


def _refuse_in_use(plans: Sequence[HostPlan], settings: Settings) -> None:
    """UsageError with all hosts that are in use, if the settings say that none may be."""
    used = [plan.host for plan in plans if plan.disturbs]
    use.refuse(settings, [*used, *(name for names in running.machines_of(plans).values() for name in names)])


def _names(plan: HostPlan) -> set[str]:
    """The host, and the one that works for it in its stack root."""
    return {plan.host, plan.builder}


def _lifted(
    journal: Journal,
    plans: Sequence[HostPlan],
    found: Survey,
    settings: Settings,
    output: Output,
    *,
    broken: Collection[str] = (),
) -> Drains:
    """Lift drains that earlier rollouts left on the hosts of these plans, whose current generation stays.

    Those of `broken` stay, and of hosts where the current generation failed or was not confirmed.
    """
    failed = journal.past().unproved
    bad = {plan.host for plan in plans if plan.unconfirmed or failed.get(plan.host) == plan.current} | {*broken}
    hosts = [plan.host for plan in plans]
    drains = Drains(settings, output, journal, [plan.host for plan in found.plans])
    drains.lift([host for host in hosts if host not in bad], broken=[host for host in hosts if host in bad])
    return drains


def _may_be_drained(found: Survey, settings: Settings) -> bool:
    """Whether a rollout may have left a drain on one of these hosts, or on one that the inventory does not have.

    While another controller works, the latter is not looked for: that controller names such hosts.
    """
    with Journal.read(settings.journal) as reader:
        drained, holder = {one.host for one in reader.drains()}, reader.holder()
    if settings.slurm == "none" or not drained:
        return False
    if any(plan.host in drained for plan in found.well):
        return True
    others = drained - {plan.host for plan in found.plans}
    is_free = holder is None or controller.is_dead(holder.holder)
    return is_free and bool(others and inventory_names.missing(settings, others))


def _journal(settings: Settings, what: str, take_over: bool) -> AbstractContextManager[Journal]:
    return Journal.open(settings.journal, controller.name(), controller.is_dead, what=what, take_over=take_over)
