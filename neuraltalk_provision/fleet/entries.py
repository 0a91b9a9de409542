"""From a survey to the journal's rollout and back: entries of hosts, waves, and what is to be done. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from neuraltalk_provision import wave_rules
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.decide import Standing
from neuraltalk_provision.fleet.records import (
    GENERATION,
    HOST_NAME,
    Ending,
    HostEntry,
    Options,
    Outcome,
    Phase,
    Rollout,
    Step,
    WaveEntry,
    inputs,
)
from neuraltalk_provision.fleet.rollback_words import CONTINUES
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.host_names import named
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes
from neuraltalk_provision.site.advice import UNCHANGED
from neuraltalk_provision.site.plan import HostPlan


def staged_only(found: Survey) -> Survey:
    """The survey for an activation alone: hosts on which the generation is not staged are set aside."""
    missing = [
        Aside(
            plan.host,
            f"{plan.host}: generation {plan.recipe.id}, which the mirror and the settings describe, is not staged on "
            "this host: run `provision site --stage-only` first",
            codes.NOT_STAGED,
        )
        for plan in found.well
        if plan.stages or plan.prepares
    ]
    return found.with_aside(missing)


def with_plain_names(found: Survey) -> Survey:
    """The survey; hosts whose current or former generation has a name that provision never gives are set aside.

    UsageError if the name of a host cannot be recorded.
    """
    check_names((*(plan.host for plan in found.plans), *(one.host for one in found.aside)))
    odd = (odd_generation(plan.host, plan.current, plan.former) for plan in found.well)
    return found.with_aside(one for one in odd if one)


def check_names(hosts: Iterable[str]) -> None:
    """UsageError if the name of a host cannot be recorded in the journal."""
    for host in hosts:
        if not re.fullmatch(HOST_NAME, host):
            raise UsageError(
                f"the name of a host has control characters, or more than 255 characters: {host[:100]!r}",
                advice=f"Give it another name in the inventory, and its address in ansible_host. {UNCHANGED}",
            )


def odd_generation(host: str, *names: str) -> Aside | None:
    """The host as it is set aside, if one of these generations of it has a name that provision never gives."""
    name = next((one for one in names if not re.fullmatch(GENERATION, one)), "")
    if not name:
        return None
    return Aside(
        host,
        f"{host}: its current or former generation has a name that provision never gives: {name[:100]!r}. "
        "Find out who made the link `current` or the file `activation.json` in its stack_root",
        codes.RESULT_WRONG,
    )


def same_inputs(found: Survey, earlier: Rollout) -> Survey:
    """The survey for a rollout that is continued: hosts for which something else is planned now are set aside.

    On its way back only the address counts: the generation that the mirror describes now is activated nowhere.
    """
    entries = earlier.by_name()
    returns = has_begun_to_return(earlier)
    targets = {host: entry.target for host, entry in entries.items()} if returns else {}
    now = {
        plan.host: inputs(targets.get(plan.host, plan.recipe.id), found.addresses.get(plan.host, ""))
        for plan in found.plans
    }
    other = [
        Aside(
            plan.host,
            f"{plan.host}: the mirror, the settings or the inventory changed since the rollout {earlier.id} began, and "
            "say another generation or another address for this host now. Begin a new rollout with `provision site`",
            codes.HOST_REFUSED,
        )
        for plan in found.well
        if plan.host in entries and now[plan.host] != entries[plan.host].inputs
    ]
    return found.with_aside(other)


def has_begun_to_return(earlier: Rollout) -> bool:
    """Whether the hosts of a rollout were on their way back; then the others return too, whatever the budget says."""
    return bool(earlier.hosts_with(Step.GIVE_BACK, *Outcome))


def given_up(earlier: Rollout | None) -> str:
    """What a new rollout gives up, because the earlier one can no longer be continued then; empty if nothing."""
    if earlier is None:
        return ""
    hosts, left = _left(earlier)
    if not left:
        return ""
    if earlier.phase is Phase.ROLLBACK:
        return (
            f'the command "provision rollback" ({earlier.id}) is not finished: {len(left)} of its {len(hosts)} hosts '
            f"did not go back: {named(left)}. This command brings all hosts to what the mirror describes. To return "
            f"those instead, run {CONTINUES}"
        )
    begin, resume = f"the rollout {earlier.id} is not finished", "`provision site --resume`"
    if has_begun_to_return(earlier):
        return (
            f"{begin}: {len(left)} of its {len(hosts)} hosts that got the new generation have not returned, and may "
            f"still have it: {named(left)}. This command begins a new rollout, which does not return them, and "
            f"{resume} cannot do it after that. To return them to their former generation, run {resume} instead"
        )
    done = "staged" if earlier.phase is Phase.STAGE_ONLY else "activated"
    return (
        f"{begin}: {len(hosts) - len(left)} of its {len(hosts)} hosts are {done}. This command begins a new rollout, "
        f"which asks all hosts what they have, and {resume} cannot continue the old one after that. To continue it "
        f"with its hosts and waves, run {resume} instead"
    )


def given_up_by_rollback(earlier: Rollout | None) -> str:
    """What `provision rollback` gives up of an earlier rollout of `provision site`; empty if nothing."""
    if earlier is None or earlier.phase is Phase.ROLLBACK or not _left(earlier)[1]:
        return ""
    remark = (
        f"the rollout {earlier.id} is not finished, and `provision site --resume` cannot continue it after this command"
    )
    if has_begun_to_return(earlier):
        remark += ". It was on its way back, with cuDNN: to go on with that, run `provision site --resume` instead"
    return remark


def _left(earlier: Rollout) -> tuple[Sequence[str], list[str]]:
    """(the hosts of a rollout that take part in what it does last, those of them on which that is not done)."""
    hosts: Sequence[str] = [entry.host for entry in earlier.hosts if entry.wave]
    if earlier.phase is Phase.ROLLBACK:
        step = Step.GIVE_BACK
    elif has_begun_to_return(earlier):
        hosts, step = earlier.touched(), Step.GIVE_BACK
    else:
        step = Step.STAGE if earlier.phase is Phase.STAGE_ONLY else Step.ACTIVATE
    return hosts, [host for host in hosts if earlier.outcome(host, step) is not Outcome.DONE]


def with_earlier_aside(found: Survey, earlier: Rollout) -> Survey:
    """The survey for a rollout that is continued, with the hosts that were set aside when it began."""
    return found.with_aside(
        Aside(
            entry.host,
            f"{entry.host}: it was set aside when the rollout {earlier.id} began, and is no part of it. Run `provision "
            "site` when this rollout has ended",
            codes.HOST_REFUSED,
        )
        for entry in earlier.hosts
        if not entry.wave
    )


def rollout(
    changing: Sequence[HostPlan], divided: Sequence[Wave], found: Survey, phase: Phase, settings: Settings, lock: str
) -> Rollout:
    """The rollout as the journal gets it: the hosts of the waves, and in wave 0 those that were set aside."""
    numbers = {host: wave.number for wave in divided for host in wave.hosts}
    return Rollout(
        phase=phase,
        options=Options(
            waves=tuple(
                WaveEntry(number=wave.number, name=wave.name, pause=wave.pause, strict=wave.strict) for wave in divided
            ),
            max_failures=str(settings.max_failures),
            on_failure=settings.on_failure,
            busy=settings.busy,
            lock=lock,
            stack_root=settings.stack_root,
            total=found.total,
        ),
        hosts=tuple(
            HostEntry(
                host=plan.host,
                wave=numbers[plan.host],
                target=plan.recipe.id,
                former=plan.former,
                cuda=plan.cuda,
                inputs=inputs(plan.recipe.id, found.addresses.get(plan.host, "")),
            )
            for plan in changing
        )
        + tuple(HostEntry(host=one.host, wave=0) for one in found.aside),
    )


def set_aside(one: Aside) -> Ending:
    """The ending of the first step on a host that was set aside before it."""
    return Ending(host=one.host, outcome=Outcome.SET_ASIDE, reason=one.reason, code=one.code)


def settings_of(earlier: Rollout, settings: Settings, given: Collection[str]) -> Settings:
    """The settings with which a rollout is continued: its own, except those that were given with this command."""
    own = {
        "on_failure": earlier.options.on_failure,
        "busy": earlier.options.busy,
        "max_failures": wave_rules.read_size(earlier.options.max_failures, "max_failures"),
        "stack_root": earlier.options.stack_root or settings.stack_root,
    }
    return settings.model_copy(update={name: value for name, value in own.items() if name not in given})


def waves_of(earlier: Rollout) -> tuple[Wave, ...]:
    """The waves of a rollout in the journal."""
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


def on_its_way_back(earlier: Rollout, budget: Budget, found: Survey) -> Standing:
    """What is to be done for a rollout whose controller ended while its hosts returned: the others return too."""
    failed = {one.host: one.reason for one in earlier.records.values() if one.outcome is Outcome.FAILED}
    return Standing(
        waves_of(earlier),
        budget,
        activating=frozenset(entry.host for entry in earlier.hosts if entry.wave),
        activated=frozenset(earlier.touched()),
        returned=frozenset(earlier.hosts_with(Step.GIVE_BACK, Outcome.DONE)),
        failed={host: reason for host, reason in failed.items() if earlier.outcome(host, Step.GIVE_BACK) is None},
        aside={one.host: one.reason for one in found.aside},
        phase=earlier.phase,
        on_failure="rollback",
        broken=f"the rollout {earlier.id} was on its way back, and not all of its hosts had returned",
    )


def standing(
    plans: Sequence[HostPlan],
    divided: tuple[Wave, ...],
    budget: Budget,
    found: Survey,
    phase: Phase,
    settings: Settings,
) -> Standing:
    """What is to be done on the hosts of these plans, before anything was done."""
    return Standing(
        divided,
        budget,
        staging=frozenset(p.host for p in plans if p.stages or p.prepares or phase is Phase.STAGE_ONLY),
        activating=frozenset(plan.host for plan in plans),
        aside={one.host: one.reason for one in found.aside},
        phase=phase,
        on_failure=settings.on_failure,
        looks=settings.busy == "skip",
    )
