"""`provision train` and `provision eval`: start on one host, follow, end."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, InterruptError, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.runs import document, launch, spec
from neuraltalk_provision.runs.launch import RunEnd
from neuraltalk_provision.settings import Settings

Host = Annotated[str, typer.Option("--host", "-H", help="The host that runs it.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Start it and end: `provision runs` tells of it later.")]
Id = Annotated[str, typer.Option("--id", help="The run's id, the name of its directory. Default: by the clock.")]
Gpu = Annotated[
    str | None,
    typer.Option(
        "--gpu", help="The card: auto (one that is free), an index, a UUID, or none for the processor (default)."
    ),
]
Memory = Annotated[
    int | None,
    typer.Option("--gpu-memory", min=0, help="MiB that have to be free on the card. Default: an estimate."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SPEC.yml] [-- OPTIONS]",
        help="A file with host, id, gpu, gpu_memory and options; and after -- options of the program itself, such as "
        "-max_iters 1000, which win over the file's. Paths are the host's.",
    ),
]


def train(
    words: Words = None,
    host: Host = "",
    run_id: Id = "",
    gpu: Gpu = None,
    gpu_memory: Memory = None,
    detach: Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start train.lua on a host, follow its log, and check that it left a model."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run, where = _asked("train.lua", "train", words or [], host, run_id, gpu, gpu_memory)
    return _run(run, where, chosen, Output(as_json=as_json), plan, detach)


def evaluate(
    words: Words = None,
    host: Host = "",
    run_id: Id = "",
    gpu: Gpu = None,
    gpu_memory: Memory = None,
    detach: Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start eval.lua on a host, with files that are no images set aside, and print the captions."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run, where = _asked("eval.lua", "eval", words or [], host, run_id, gpu, gpu_memory)
    return _run(run, where, chosen, Output(as_json=as_json), plan, detach)


def _id(verb: str) -> str:
    return time.strftime(f"{verb}-%Y%m%d-%H%M%S")


def _asked(
    program: str, verb: str, words: list[str], host: str, run_id: str, gpu: str | None, memory: int | None
) -> tuple[spec.RunSpec, str]:
    """The run and its host, from the command line, and what that leaves open from the file."""
    file, given = document.split(words)
    written = document.read(file)
    where = host or written.host
    if not where:
        raise UsageError("no host is named", advice="Say it with --host, or as `host:` in the run's file.")
    run = spec.parse(
        program,
        run_id or written.id or _id(verb),
        written.words(given),
        str(written.gpu) if gpu is None else gpu,
        written.gpu_memory if memory is None else memory,
    )
    return run, where


def _run(run: spec.RunSpec, host: str, settings: Settings, output: Output, plan: bool, detach: bool) -> int:
    if plan:
        given = " ".join(f"-{name} {value}" for name, value in sorted(run.arguments.items()))
        card = "" if run.gpu == spec.PROCESSOR else f" on card {run.gpu}, {run.memory} MiB of it"
        output.say(f"would run on {host} as {run.id}{card}: th {run.program} {given}")
        output.result({"plan": asdict(run), "host": host})
        return EXIT_FINE
    started = launch.start(run, host, settings)
    for file in started["set_aside"]:
        output.say(f"set aside {file['file']}: {file['reason']}")
    for remark in started["remarks"]:
        output.say(remark)
    card = started["card"]
    where = f", card {card['index']} ({card['name']}, {card['uuid']})" if card else ""
    output.say(f"{run.id} runs on {host}{where} (pid {started['pid']}), log {started['log']}")
    if detach:
        output.say(f"next: provision runs show {run.id}")
        output.result({"id": run.id, "host": host, **started})
        return EXIT_FINE
    try:
        end = launch.watch(run, host, settings, output.pass_on)
    except KeyboardInterrupt:
        raise InterruptError(
            f"no longer following; {run.id} goes on", advice=f"Its log on {host}: {started['log']}"
        ) from None
    launch.judge(run, end)
    output.result(asdict(end))
    _show(end, output)
    return EXIT_FINE


def _show(end: RunEnd, output: Output) -> None:
    for caption in end.captions:
        output.say(f"{caption['file']}: {caption['caption']}")
    for checkpoint in end.checkpoints:
        output.say(f"wrote {checkpoint['file']} ({checkpoint['bytes']:,} bytes)")
    if end.losses:
        (first, before), (last, after) = end.losses[0], end.losses[-1]
        output.say(f"loss {before:.3f} at iteration {first}, {after:.3f} at iteration {last}")
    output.say(f"{end.id} ended well on {end.host}; its log: {end.log}")
