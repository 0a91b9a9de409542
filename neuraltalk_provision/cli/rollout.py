"""`provision rollout`: what the journal says of rollouts, and a request to pause the one that runs."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, UsageError
from neuraltalk_provision.fleet import busy, rollback
from neuraltalk_provision.fleet.drained_nodes import DrainedNodes
from neuraltalk_provision.fleet.journal import Journal, describe
from neuraltalk_provision.fleet.records import Outcome, Phase, Record, Rollout, Status, Step, Summary
from neuraltalk_provision.output import Output
from neuraltalk_provision.site import controller

app = typer.Typer(help="Rollouts: what was done on which host, and a pause.", no_args_is_help=True)


@app.command()
def status(
    rollout: Annotated[str, typer.Argument(help="The id of a rollout. Default: the last one.")] = "",
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Show where a rollout stands: its waves, and its hosts by what was done on them."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings)
    with Journal.read(chosen.journal) as journal:
        found = journal.rollout(rollout)
        is_newest = found is not None and [one.id for one in journal.rollouts(1)] == [found.id]
        holder, request = (journal.holder(), journal.pause_requested()) if is_newest else (None, None)
    if found is None:
        advice = "`provision rollout list` lists them." if rollout else "`provision site` begins one."
        raise UsageError(f"{chosen.journal} contains no rollout {rollout}".rstrip(), advice=advice)
    _show(found, output)
    has_ended = holder is not None and controller.is_dead(holder.holder)
    if holder:
        output.say(f"controller: {describe(holder)}{' (it has ended)' if has_ended else ''}")
    if request:
        output.say(f"a pause is requested: by {request.by}, {_moment(request.since)}")
    output.result(
        {
            "rollout": found.model_dump(mode="json", exclude={"records"}),
            "controller": holder and {**holder.model_dump(), "has_ended": has_ended},
            "pause": request and request.model_dump(),
            "hosts": _hosts(found),
        }
    )
    return EXIT_FINE


def _show(found: Rollout, output: Output) -> None:
    output.say(f"rollout {found.id} ({found.phase}), begun {_moment(found.begun)}: {found.status}")
    waves = {wave.number: f"wave {wave.number} ({wave.name})" for wave in found.options.waves}
    for number, name in (waves or {1: "hosts"}).items():  # `provision rollback` has no waves
        states = Counter(_state(found, entry.host) for entry in found.hosts if entry.wave == number)
        output.say(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(states.items()))}")
    told = ((record.host, _told(record, found.id)) for record in found.records.values())
    output.of_hosts((host, f"{host}: {words}") for host, words in told if words)


def _told(record: Record, rollout: str) -> str:
    """What went wrong in a step on a host; empty if nothing did."""
    lost = _lost_nodes(record)
    if not lost and record.outcome not in (Outcome.FAILED, Outcome.LOST, Outcome.SET_ASIDE):
        return ""
    return f"{record.step} {Outcome.LOST if lost else record.outcome}: {_reason(record, rollout)}"


def _reason(record: Record, rollout: str) -> str:
    """The reason of a step's outcome. The journal has only the names of nodes whose drain is lost."""
    lost = _lost_nodes(record)
    return busy.lost_drains(lost, rollout, ()) if lost else record.reason


def _lost_nodes(record: Record) -> tuple[str, ...]:
    return DrainedNodes.of(record.outcome, record.reason).lost if record.step is Step.DRAIN else ()


def _state(found: Rollout, host: str) -> str:
    """What a host last did, in a few words."""
    for step in (Step.GIVE_BACK, Step.ACTIVATE, Step.STAGE):
        outcome = found.outcome(host, step)
        if outcome:
            return f"{_DONE[step]}" if outcome is Outcome.DONE else f"{step} {outcome}"
    return "not begun"


_DONE = {Step.STAGE: "staged", Step.ACTIVATE: "activated", Step.GIVE_BACK: "returned"}


def _hosts(found: Rollout) -> list[dict[str, object]]:
    return [
        {
            "host": entry.host,
            "wave": entry.wave,
            "target": entry.target,
            "former": entry.former,
            "state": _state(found, entry.host),
            "steps": [
                {**record.model_dump(mode="json"), "reason": _reason(record, found.id)}
                for step in Step
                if (record := found.records.get((entry.host, step)))
            ],
        }
        for entry in found.hosts
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


@app.command("list")
def list_(settings: options.SettingsFile = None, as_json: options.Json = False) -> int:
    """List the rollouts in the journal, the newest first."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings)
    with Journal.read(chosen.journal) as journal:
        found = journal.rollouts()
    rows = [
        [
            one.id,
            _moment(one.begun),
            str(one.phase),
            str(one.status),
            str(one.size),
            str(one.counts.get((Step.ACTIVATE, Outcome.DONE), 0)),
        ]
        for one in found
    ]
    output.table("rollouts", ("id", "begun", "phase", "status", "hosts", "activated"), rows)
    output.result({"rollouts": [_summary(one) for one in found]})
    return EXIT_FINE


def _summary(one: Summary) -> dict[str, object]:
    counts: dict[str, dict[str, int]] = {}
    for (step, outcome), number in one.counts.items():
        counts.setdefault(step, {})[outcome] = number
    return {**one.model_dump(mode="json", exclude={"counts"}), "counts": counts}


@app.command()
def pause(settings: options.SettingsFile = None, as_json: options.Json = False) -> int:
    """Ask the rollout that runs to pause before its next wave. `provision site --resume` continues it."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings)
    found = Journal.request_pause(chosen.journal, controller.name(), controller.is_dead)
    with Journal.read(chosen.journal) as journal:
        running = next((one for one in journal.rollouts(1) if one.status is Status.RUNNING), Summary())
    if running.phase is Phase.STAGE_ONLY:
        raise UsageError(
            f"the rollout {running.id} is not paused: it only stages, so it has no waves and does not pause",
            advice="Staging disturbs nobody. After Ctrl-C, `provision site --resume` continues it.",
        )
    if found.what == rollback.WHAT or any(step is Step.GIVE_BACK for step, _outcome in running.counts):
        output.say(f"{describe(found)}: its hosts return: no host in use is waited for any more")
    else:
        output.say(f"{describe(found)}: it pauses before its next wave; `provision site --resume` continues it")
    output.result({"controller": found.model_dump()})
    return EXIT_FINE
