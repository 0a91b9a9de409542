"""`provision train` and `provision eval`: start runs and follow them to their end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, InterruptError, ProvisionError, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.one_run import SetAside
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import ending
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.request import document, spec, stages
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import inventory_names

SHOWN = 20
"""The maximum number of files set aside that are printed."""
Host = Annotated[
    str, typer.Option("--host", "-H", help="The host to run on; with --launcher slurm the host that has sbatch.")
]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Start the run and return; use `provision runs` to follow it later.")
]
Id = Annotated[str, typer.Option("--id", help="The run's id, which names its directory. Default: made from the time.")]
_GPU = "The GPU: auto (a free one), an index, a UUID, or none to use the CPU. Default: "
Gpu = Annotated[str | None, typer.Option("--gpu", help=f"{_GPU}that of the file, otherwise none.")]
GpuAgain = Annotated[str | None, typer.Option("--gpu", help=f"{_GPU}auto if the run used a GPU, otherwise none.")]
Memory = Annotated[
    int | None,
    typer.Option("--gpu-memory", min=0, help="MiB that must be free on the GPU. Default: an estimate."),
]


def _arguments(fields: str, example: str) -> Any:
    return typer.Argument(
        metavar="[SPEC.yml] [-- OPTIONS]",
        help=f"A file with {fields}. After --, options of the program itself, such as {example}; they take precedence "
        "over those in the file. Paths are paths on the host.",
    )


Training = Annotated[list[str] | None, _arguments("host, id, gpu, gpu_memory, options and stages", "-max_iters 1000")]
Evaluation = Annotated[list[str] | None, _arguments("host, id, gpu, gpu_memory and options", "-num_images 100")]
Stages = Annotated[
    str,
    typer.Option(
        "--stages", help="Stages to run one after the other, such as base,finetune. Default: all in the file."
    ),
]


def train(
    arguments: Training = None,
    host: Host = "",
    run_id: Id = "",
    gpu: Gpu = None,
    gpu_memory: Memory = None,
    stage_names: Stages = "",
    launcher: options.Launcher = "ssh",
    slurm: options.Slurm = None,
    detach: Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start train.lua on a host, in one or several stages, follow its log, and check that it wrote a model."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    file, given = document.split(arguments or [])
    written = document.read(file).with_gpu(gpu, gpu_memory)
    refuse_without_effect(launcher, slurm, str(written.gpu), gpu_memory)
    runs = stages.plan(
        written,
        options.names(stage_names),
        run_id or written.id or new_id("train"),
        given,
        str(written.gpu),
        written.gpu_memory,
    )
    where = required_host(host or written.host)
    output = Output(as_json=as_json)
    if launcher == "slurm":
        return submit([runs], where, slurm or [], chosen, output, plan)
    return run_all(runs, where, chosen, output, plan, detach)


def evaluate(
    arguments: Evaluation = None,
    host: Host = "",
    run_id: Id = "",
    gpu: Gpu = None,
    gpu_memory: Memory = None,
    launcher: options.Launcher = "ssh",
    slurm: options.Slurm = None,
    detach: Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start eval.lua on a host and print the captions; files that are not images are set aside."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    file, given = document.split(arguments or [])
    written = document.read(file).with_gpu(gpu, gpu_memory)
    if written.stages:
        raise UsageError(f"{file}: only a training has stages; an evaluation has none")
    refuse_without_effect(launcher, slurm, str(written.gpu), gpu_memory)
    run = spec.parse(
        "eval.lua",
        run_id or written.id or new_id("eval"),
        written.arguments(given),
        str(written.gpu),
        written.gpu_memory,
    )
    where = required_host(host or written.host)
    output = Output(as_json=as_json)
    if launcher == "slurm":
        return submit([(run,)], where, slurm or [], chosen, output, plan)
    return run_all((run,), where, chosen, output, plan, detach)


def refuse_without_effect(
    launcher: options.Launcher, sbatch: Sequence[str] | None, gpu: str, memory: int | None
) -> None:
    """UsageError for options that would be ignored."""
    if sbatch and launcher != "slurm":
        raise UsageError("--sbatch has an effect only with --launcher slurm", advice="Add it, or leave out --sbatch.")
    if memory is not None and gpu == spec.PROCESSOR:
        raise UsageError("--gpu-memory has an effect only with --gpu", advice="Add --gpu auto, or leave it out.")


def new_id(verb: str) -> str:
    """An id made from the current time, such as train-20260131-120000."""
    return time.strftime(f"{verb}-%Y%m%d-%H%M%S")


def required_host(host: str) -> str:
    """The host. Raises UsageError if it is empty."""
    if not host:
        raise UsageError("no host is given", advice="Give it with --host, or as `host:` in the run's file.")
    return host


def show_plan(runs: Sequence[RunSpec], where: str, output: Output) -> None:
    """Print the runs that would be started."""
    for run in runs:
        given = " ".join(f"-{name} {value}" for name, value in sorted(run.arguments.items()))
        card = "" if run.gpu == spec.PROCESSOR else f" on GPU {run.gpu}, with {run.memory} MiB free"
        after = f" after {run.needs}" if run.needs else ""
        origin = f", from the {run.parent['choose']} model of {run.parent['id']}" if run.parent else ""
        until = "".join(f", until {what} {number}" for what, number in (run.until or {}).items())
        output.say(f"would run on {where} as {run.id}{card}{after}{origin}{until}: th {run.program} {given}")


def submit(
    sets: Sequence[Sequence[RunSpec]], host: str, sbatch: list[str], settings: Settings, output: Output, plan: bool
) -> int:
    """Submit each set of runs to Slurm as one job; return the exit code."""
    jobs: list[dict[str, object]] = []
    if plan:
        inventory_names.refuse_unknown(settings, host)
    for runs in sets:
        if plan:
            show_plan(runs, f"a Slurm node, submitted from {host},", output)
            continue
        try:
            submitted = hosts.submit(runs, host, sbatch, settings)
        except (KeyboardInterrupt, InterruptError):
            if not jobs:
                raise
            every = [run for one in sets for run in one]
            raise interrupted(every, [str(job["id"]) for job in jobs], {"jobs": jobs}) from None
        except ProvisionError as error:
            raise (not_all_submitted(error, runs[0], len(sets), jobs) if jobs else error) from None
        jobs.append({"id": submitted.id, "job": submitted.job, "host": host})
        output.say(f"{submitted.id} is Slurm job {submitted.job}")
    if not plan:
        output.say(f"next: provision runs list; provision runs watch {sets[0][0].id}")
    output.result({"jobs": jobs, "plan": [asdict(run) for runs in sets for run in runs] if plan else None})
    return EXIT_FINE


def interrupted(every: Sequence[RunSpec], done: Sequence[str], document: Mapping[str, object]) -> InterruptError:
    """The error for a sweep that was interrupted while its runs were started one after the other."""
    sweep = every[0].sweep
    verb = "was" if len(done) == 1 else "were"
    return InterruptError(
        f"of {len(every)} runs of the sweep {sweep}, {len(done)} {verb} started before the interruption"
        f"{': ' * bool(done)}{', '.join(done)}; one more may have been started",
        advice=f"`provision runs list` shows which there are; `provision runs stop {sweep}` ends all of them.",
        document=document,
    )


def not_all_submitted(
    error: ProvisionError, failed: RunSpec, total: int, jobs: Sequence[Mapping[str, object]]
) -> ProvisionError:
    """The error for a sweep of which some jobs were submitted to Slurm before that of `failed`."""
    done = ", ".join(f"{job['id']} (Slurm job {job['job']})" for job in jobs)
    were = "was" if len(jobs) == 1 else "were"
    stop = f"`provision runs list` shows the runs; `provision runs stop {failed.sweep}` ends all of them."
    return type(error)(
        f"{failed.id}: {error.message}\nOf {total} jobs of the sweep {failed.sweep}, {len(jobs)} {were} submitted "
        f"before: {done}. After this error, no other one was submitted.",
        advice=f"{error.advice} {stop}".strip(),
        document={**error.document, "jobs": jobs},
    )


def run_all(runs: Sequence[RunSpec], host: str, settings: Settings, output: Output, plan: bool, detach: bool) -> int:
    """Start runs one after the other on one card, and follow them to their end, unless `detach` is set."""
    if plan:
        inventory_names.refuse_unknown(settings, host)
        show_plan(runs, host, output)
        output.result({"plan": [asdict(run) for run in runs], "host": host})
        return EXIT_FINE
    started = hosts.start(runs, host, settings)
    _show_set_aside(started.set_aside, host, started.log, output)
    for remark in started.remarks:
        output.say(remark)
    card = started.card
    where = f", GPU {card.index} ({card.name}, {card.uuid})" if card else ""
    unit = f", unit {started.unit}" if started.unit else ""
    if started.begun:
        output.say(f"{runs[0].id} runs on {host}{where} (pid {started.pid}{unit}), log {started.log}")
    else:
        output.say(f"{runs[0].id} first checks its pictures on {host}, log {started.log}")
    for run in runs[1:]:
        output.say(f"{run.id} waits for {run.needs or 'its turn'}")
    if detach:
        output.say(f"next: provision runs watch {runs[0].id}")
        output.result({"id": runs[0].id, "host": host, "runs": [run.id for run in runs], **plain(started)})
        return EXIT_FINE
    ends = [_checked(run, followed(run, host, started.log, settings, output)) for run in runs]
    if not started.begun:
        _show_set_aside(ends[0].set_aside, host, started.log, output)
    results = [end.as_json() for end in ends]
    output.result({**results[-1], "stages": results} if len(runs) > 1 else results[-1])
    for end in ends:
        _show(end, output)
    return EXIT_FINE


def _show_set_aside(aside: Sequence[SetAside], host: str, log: str, output: Output) -> None:
    """Print the first of the files that were set aside, and the path of the complete list."""
    for file in aside[:SHOWN]:
        output.say(f"set aside {file.file}: {file.reason}")
    if len(aside) > SHOWN:
        output.say(f"{len(aside) - SHOWN} more were set aside: all are listed in images.json beside {log} on {host}")


def followed(run: RunSpec, host: str, log: str, settings: Settings, output: Output) -> RunEnd:
    """Follow a run to its end and print its log. Raises InterruptError after Ctrl-C; the run itself continues."""
    try:
        return hosts.watch(run.id, host, settings, output.pass_on)
    except KeyboardInterrupt:
        raise InterruptError(
            f"no longer following; {run.id} continues",
            advice=f"`provision runs watch {run.id}`; its log on {host}: {log}",
        ) from None


def _checked(run: RunSpec, end: RunEnd) -> RunEnd:
    """The end of a run. Raises CheckError if the run did not write what it was started for."""
    ending.check(run.program, end)
    return end


def _show(end: RunEnd, output: Output) -> None:
    for caption in end.captions:
        output.say(f"{caption.file or caption.image_id}: {caption.caption}")
    for checkpoint in end.checkpoints:
        output.say(f"wrote {checkpoint.file} ({checkpoint.bytes:,} bytes)")
    if end.losses:
        (first, before), (last, after) = end.losses[0], end.losses[-1]
        output.say(f"loss {before:.3f} at iteration {first}, {after:.3f} at iteration {last}")
    if end.progress.evaluation is not None and end.progress.evaluation == end.progress.evaluation:
        output.say(f"loss {end.progress.evaluation:.4f} over {len(end.captions)} images")
    for _iteration, scores in end.progress.scores[-1:]:
        output.say(", ".join(f"{name} {value:.3f}" for name, value in scores))
    why = f" ({end.ended.evidence})" if end.ended else ""
    output.say(f"{end.id} ended well on {end.host}{why}; its log: {end.log}")
