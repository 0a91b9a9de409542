"""`provision sweep`: many trainings with different options, on the free GPUs of the site or through Slurm."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options, run
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, HostError, InterruptError, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules.gpu import AUTO
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.request import document, spec
from neuraltalk_provision.runs.request import sweep as sweeps
from neuraltalk_provision.runs.request.sweep import Share, Slot, SweepDocument
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice

CUDNN = "cudnn"
"""The value of -backend for which the stack needs the cudnn rock."""


def sweep(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP.yml",
            help="A run's file with `grid:` (option: values), `draw:` (option: least, most, log), `draws` and `seed`.",
        ),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Options of train.lua that apply to all runs.")
    ] = None,
    host: run.Host = "",
    run_id: Annotated[
        str, typer.Option("--id", help="The id of the sweep; its runs get a number too. Default: made from the time.")
    ] = "",
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            help="auto for the free GPUs, or none to use the CPU. Default: that of the file, otherwise auto.",
        ),
    ] = None,
    gpu_memory: run.Memory = None,
    stage_names: run.Stages = "",
    launcher: options.Launcher = "ssh",
    slurm: options.Slurm = None,
    limit: options.Limit = None,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Start many trainings with different options, distributed over the free GPUs of all hosts.

    Each GPU executes its share one after the other, also without a connection to this machine. With --gpu none each
    host executes one share. `provision runs report ID` compares the runs.
    """
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    output = Output(as_json=as_json)
    written = document.read_as(SweepDocument, file).with_gpu(gpu, gpu_memory)
    card = str(written.gpu) if "gpu" in written.model_fields_set else AUTO
    _refuse(card, launcher, slurm, host, limit, gpu_memory)
    chance = random.Random(written.seed).random
    sets = sweeps.plan(
        written,
        sweeps.combinations(written, chance),
        options.names(stage_names),
        run_id or written.id or run.new_id("sweep"),
        arguments or [],
        card,
        written.gpu_memory,
    )
    where = host or written.host
    if launcher == "slurm":
        return run.submit(sets, run.required_host(where), slurm or [], chosen, output, plan)
    site = asked([one for stages in sets for one in stages], chosen, limit or ([where] if where else []))
    every = {name: (*result.unusable, *result.busy) for name, result in site.results.items()}
    shares = sweeps.spread(sets, slots(sets[0][0], site), left_out(every))
    for line in left_out({name: result.unusable for name, result in site.results.items()}):
        output.say(line)
    return _start(shares, chosen, output, plan)


def _refuse(
    card: str,
    launcher: options.Launcher,
    sbatch: list[str] | None,
    host: str,
    limit: list[str] | None,
    memory: int | None,
) -> None:
    """UsageError for options that would be ignored, or that exclude each other."""
    run.refuse_without_effect(launcher, sbatch, card, memory)
    if launcher == "slurm" and limit:
        raise UsageError("--limit has no effect with --launcher slurm", advice="Slurm chooses the nodes: see --sbatch.")
    if host and limit:
        raise UsageError("--host and --limit exclude each other", advice="Give all hosts with --limit.")
    if launcher != "slurm" and card not in (AUTO, spec.PROCESSOR):
        raise UsageError(
            f"--gpu {card}: a sweep takes the free GPUs of its hosts",
            advice=f"Give `{AUTO}`, or `{spec.PROCESSOR}` for the CPU; --limit chooses the hosts.",
        )


def asked(runs: Sequence[spec.RunSpec], settings: Settings, limit: list[str]) -> hosts.Site:
    """The hosts with the cards that any of these runs can use. Raises HostError if one does not answer."""
    memory = max(one.memory for one in runs)
    backend = CUDNN if any(one.arguments.get("backend") == CUDNN for one in runs) else ""
    site = hosts.query(settings, limit, gpu=runs[0].gpu, memory=memory, backend=backend, some=True)
    if site.failures:
        raise advice.host_error(site.failures, advice=hosts.LEAVE_OUT)
    return site


def slots(first: spec.RunSpec, site: hosts.Site) -> list[Slot]:
    """The free cards of the hosts, one of each host in turn; with --gpu none, every host once."""
    if first.gpu == spec.PROCESSOR:
        return [Slot(host, spec.PROCESSOR) for host in site.results]
    free = {host: result.free for host, result in site.results.items()}
    rounds = max((len(cards) for cards in free.values()), default=0)
    return [Slot(host, cards[turn].uuid) for turn in range(rounds) for host, cards in free.items() if turn < len(cards)]


def left_out(cards: Mapping[str, tuple[str, ...]]) -> list[str]:
    """One line for each host with cards that are not used."""
    return [f"{host}: not used: {'; '.join(reasons)}" for host, reasons in cards.items() if reasons]


def _start(shares: tuple[Share, ...], settings: Settings, output: Output, plan: bool) -> int:
    failures: list[dict[str, Any]] = []
    started: list[dict[str, Any]] = []
    for share in shares:
        if plan:
            run.show_plan(share.runs, share.slot.host, output)
            continue
        try:
            # Until then another process can begin on a card that was free.
            result = hosts.start(share.runs, share.slot.host, settings, only_idle=True)
        except (KeyboardInterrupt, InterruptError):
            every = [one for all_runs in shares for one in all_runs.runs]
            done = [name for one in started for name in one["runs"]]
            document = {"started": started, "failures": failures}
            raise run.interrupted(every, done, document) from None
        except HostError as error:
            failures.append({"host": share.slot.host, "runs": [one.id for one in share.runs], "error": error.message})
            output.say(f"{share.runs[0].id} was not started: {error.message}")
            continue
        ids = [one.id for one in share.runs]
        started.append({"host": share.slot.host, "gpu": share.slot.gpu, "runs": ids, "pid": result.pid})
        output.say(
            f"{share.slot.host}, {share.slot.gpu}: {ids[0]} runs" + f", then {', '.join(ids[1:])}" * (len(ids) > 1)
        )
    if not plan and started:
        sweep_id = shares[0].runs[0].sweep
        output.say(f"next: provision runs list; provision runs report {sweep_id} --out {sweep_id}.html")
    planned = [{"slot": asdict(share.slot), "runs": [asdict(one) for one in share.runs]} for share in shares]
    output.result({"started": started, "failures": failures, "plan": planned if plan else None})
    return EXIT_FAILED if failures else EXIT_FINE
