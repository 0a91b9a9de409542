"""`provision train` and `provision eval`: start on one host, follow, end."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, InterruptError
from neuraltalk_provision.output import Output
from neuraltalk_provision.runs import launch, spec
from neuraltalk_provision.runs.launch import RunEnd
from neuraltalk_provision.settings import Settings

Host = Annotated[str, typer.Option("--host", "-H", help="The host that runs it.")]
Id = Annotated[str, typer.Option("--id", help="The run's id, the name of its directory. Default: by the clock.")]
Gpu = Annotated[
    str,
    typer.Option("--gpu", help="The card: auto (one that is free), an index, a UUID, or none for the processor."),
]
Memory = Annotated[
    int | None,
    typer.Option("--gpu-memory", min=0, help="MiB that have to be free on the card. Default: an estimate."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(help="After --: options of the program itself, such as -max_iters 1000. Paths are the host's."),
]


def train(
    host: Host,
    words: Words = None,
    run_id: Id = "",
    gpu: Gpu = spec.PROCESSOR,
    gpu_memory: Memory = None,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start train.lua on a host, follow its log, and check that it left a model."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run = spec.parse("train.lua", run_id or _id("train"), words or [], gpu, gpu_memory)
    return _run(run, host, chosen, Output(as_json=as_json), plan)


def evaluate(
    host: Host,
    words: Words = None,
    run_id: Id = "",
    gpu: Gpu = spec.PROCESSOR,
    gpu_memory: Memory = None,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start eval.lua on a host, with files that are no images set aside, and print the captions."""
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run = spec.parse("eval.lua", run_id or _id("eval"), words or [], gpu, gpu_memory)
    return _run(run, host, chosen, Output(as_json=as_json), plan)


def _id(verb: str) -> str:
    return time.strftime(f"{verb}-%Y%m%d-%H%M%S")


def _run(run: spec.RunSpec, host: str, settings: Settings, output: Output, plan: bool) -> int:
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
