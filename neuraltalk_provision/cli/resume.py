"""`provision runs resume`: continue a training that ended, was stopped or was killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.cli.run import Detach, GpuAgain, Memory, refuse_without_effect, run_all
from neuraltalk_provision.cli.runs import Host, Id
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules.gpu import AUTO
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import record
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request import lineage, spec, stages


def resume(
    run_id: Id,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Options of train.lua to change.")
    ] = None,
    host: Host = "",
    choose: Annotated[
        Literal["last", "best"],
        typer.Option(
            "--from", help="Continue from the last model, or from the best one of the run and its predecessors."
        ),
    ] = "last",
    new_id: Annotated[str, typer.Option("--id", help="The id of the new run. Default: the old id with -r2.")] = "",
    gpu: GpuAgain = None,
    gpu_memory: Memory = None,
    detach: Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Continue a training from its last or best model as a new run; stages that were to follow are started too.

    -max_iters and all other iteration counts continue. The optimiser starts without its state, because train.lua saves
    only weights.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    everything = hosts.runs(chosen, [host] if host else ())
    run = record.find(run_id, everything, host)
    _refuse(run)
    following = later(run, everything)
    whole = hosts.details([*record.line(run, everything), *following], chosen)
    line, following = whole[: len(whole) - len(following)], list(whole[len(whole) - len(following) :])
    run = line[-1]
    origin, model, which = lineage.origin(line, choose)
    card = gpu if gpu is not None else AUTO if run.card else spec.PROCESSOR
    source, begins = lineage.counted(run, origin, model)
    refuse_without_effect("ssh", None, card, gpu_memory)
    runs = stages.resume(
        replace(lineage.as_spec(source), gpu=card, memory=gpu_memory or 0),
        origin.id,
        begins,
        new_id or stages.next_id(run.id, [other.id for other in everything]),
        which,
        arguments or [],
        [lineage.as_spec(stage) for stage in following],
    )
    options_of = "" if source.id == run.id else f", with the options of {source.id} and not those of {run.id}"
    output.say(
        f"{runs[0].id} continues from {model.file} (iteration {model.iteration} of {origin.id}){options_of}; "
        "the optimiser starts without its state"
    )
    return run_all(runs, run.host, chosen, output, plan, detach)


def _refuse(run: RunState) -> None:
    """UsageError if the run cannot be resumed."""
    if run.program != stages.TRAIN:
        raise UsageError(f"{run.id} ran {run.program}: only a training can be resumed")
    if run.active:
        raise UsageError(f"{run.id} is {run.health}", advice=f"Stop it first: `provision runs stop {run.id}`.")
    if not run.begun:
        before = run.parent.id if run.parent else ""
        advice = f"Resume {before}: its later stages are started too." if before else "Start it again."
        raise UsageError(f"{run.id} never started: {run.health.evidence}", advice=advice)


def later(run: RunState, everything: Sequence[RunState]) -> list[RunState]:
    """The stages that should have followed the run and never started."""
    found: list[RunState] = []
    before = run.id
    while True:
        following = [r for r in everything if r.host == run.host and r.needs == before and not r.begun]
        if not following or following[0] in found:
            return found
        found.append(following[0])
        before = following[0].id
