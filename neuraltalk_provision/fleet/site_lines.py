"""The lines of `provision site` and `verify` for people: plans, waves, verdicts and the end."""

from __future__ import annotations

from collections.abc import Sequence

from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import Status
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.fleet.waves import Wave
from neuraltalk_provision.host_names import counted, named
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import trials
from neuraltalk_provision.site.operations import Verdict
from neuraltalk_provision.site.plan import HostPlan


def show_waves(waves: Sequence[Wave], output: Output) -> None:
    """Print which hosts would be activated in which wave, if there are several."""
    for wave in waves if len(waves) > 1 else ():
        pause = f", then {wave.pause} s of pause" if wave.pause else ""
        output.say(f"wave {wave.number} ({wave.name}): {named(wave.hosts)}{pause}")


def show_found(found: Survey, output: Output) -> None:
    """Print the plans, and the hosts that are set aside, if others go on."""
    show_plans(found.plans, output)
    output.of_hosts(((one.host, one.reason) for one in found.aside if found.well), "set aside: ")


def show_plans(plans: tuple[HostPlan, ...], output: Output) -> None:
    """Print for each host its platform, what will be built, and whether the current generation changes.

    Many hosts with the same plan have one line.
    """
    told = []
    for plan in plans:
        what = f"build {', '.join(plan.builds)}" if plan.builds else "nothing to build"
        if plan.unpack:
            missing = f", after installing {', '.join(plan.unpack.lacks)}" if plan.unpack.lacks else ""
            what = f"{plan.unpack.words}{missing}"
        if plan.share:
            words = plan.share.words(plan.recipe.stack_root)
            what = f"{what}; {words}" if plan.builds else words
        new = plan.current != plan.recipe.id and not plan.share
        move = f"; current generation {plan.current or 'none'} -> {plan.recipe.id}" if new else ""
        swap = "; cuDNN will be swapped" if plan.swaps else ""
        told.append((plan.host, f"{plan.host} ({_platform(plan)}): {what}{move}{swap}"))
        told += [(plan.host, plan.remark)] * bool(plan.remark)
    output.of_hosts(told)
    for line in trials.told(plans):
        output.say(line)
    left_out = sorted({name for plan in plans for name in plan.recipe.left_out})
    if left_out:
        output.say(f"left out, because the mirror does not contain it: {', '.join(left_out)}")


def _platform(plan: HostPlan) -> str:
    gpu = plan.recipe.gpu
    if gpu is None:
        return plan.recipe.platform
    cudnn = f", cuDNN {gpu.cudnn} by {gpu.cudnn_mode}" if gpu.cudnn else ""
    return f"{plan.recipe.platform}, {gpu.profile}: CUDA {gpu.cuda} for {gpu.archs}{cudnn}"


def show_end(outcome: FleetOutcome, settings: Settings, output: Output) -> None:
    """Print the last lines: what changed, and how to use it."""
    site, count = outcome.site, len(outcome.site.plans)
    if outcome.status == Status.PAUSED:
        output.say(f"paused: {len(site.activated)} hosts were activated, {len(outcome.untouched)} are left")
    elif not site.activated and not site.work:
        output.say(f"{counted(count)}, nothing to change")
    elif site.check:
        output.say(f"check mode: would {site.work or 'build nothing'}; nothing was changed")
    elif not site.activated:
        output.say(f"staged on {counted(count)}; `provision site --activate` makes it current")
    else:
        output.say(
            f"{len(site.activated)} of {count} hosts have a new current generation, tested before and after its "
            f"activation. To use it on a host: . {settings.stack_root}/current/environment"
        )


def show_verdicts(verdicts: Sequence[Verdict], output: Output) -> None:
    """Print each check of each host with its evidence; what many hosts have in common has one line."""
    told = []
    for verdict in verdicts:
        for check in verdict.checks:
            found = f"{verdict.host} {check.name}: {check.saw}"
            told.append((verdict.host, f"{'ok  ' if check.passed else 'FAIL'} {found}"))
        why = verdict.failure.removeprefix(f"{verdict.host}: ")
        told += [(verdict.host, f"FAIL {verdict.host} {why}")] * bool(why)
    output.of_hosts(told)
