"""`provision runs`: list, show, read and stop runs."""

from __future__ import annotations

import tempfile
import time
from typing import Annotated

import typer

from neuraltalk_provision import catalogue
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, TEMPORARY, HostError, InterruptError, UsageError, naming
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules import run as rules
from neuraltalk_provision.rules.texts import moment
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import health, pace, record
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice

app = typer.Typer(
    help="Manage runs: list, watch, stop, resume, verify and report trainings and evaluations.", no_args_is_help=True
)


def is_id(given: str) -> str:
    """The id as it was given. UsageError if it is not a valid id of a run or of a sweep."""
    if not rules.is_id(given):
        raise UsageError(
            f"{given[:140]!r} is not the id of a run or of a sweep", advice="`provision runs list` lists the runs."
        )
    return given


Id = Annotated[str, typer.Argument(metavar="ID", help="The run's id.", callback=is_id)]
Host = Annotated[str, typer.Option("--host", "-H", help="The host, if several hosts have a run with that id.")]
Quiet = Annotated[
    float, typer.Option("--quiet", min=1, help="Seconds without log output after which a run counts as hanging.")
]
SHOWN = 15
"""The number of log lines that `show` prints."""
_IN_MEMORY = 1 << 20
"""Bytes of a log that are kept in memory until they are printed."""


@app.command("list")
def list_(
    active: Annotated[bool, typer.Option("--active", help="List only runs that have not ended.")] = False,
    quiet: Quiet = health.QUIET,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """List every run of every host with its state.

    The exit code is 1 if a run is not well and no other run resumed it, or if a host did not answer.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    site = hosts.query(chosen, limit or (), quiet, some=True)
    found = [run for run in site.runs if run.active or not active]
    columns = ("run", "host", "program", "state", "iteration", "loss", "CIDEr", "card", "started")
    output.table("runs", columns, [_row(run) for run in found])
    resumed = {(run.host, run.parent.id) for run in site.runs if run.parent}
    unwell = [run for run in found if not run.health.well and (run.host, run.id) not in resumed]
    for run in unwell:
        output.say(f"{run.id} on {run.host} is {run.health.state}: {run.health.evidence}")
    document = {"runs": [run.as_json() for run in found], "unwell": [run.id for run in unwell]}
    if site.failures:
        raise advice.host_error(site.failures, advice=hosts.LEAVE_OUT, document=document)
    output.result(document)
    return EXIT_FAILED if unwell else EXIT_FINE


@app.command()
def show(
    run_id: Id,
    host: Host = "",
    quiet: Quiet = health.QUIET,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Show one run: its options, its progress, and the end of its log.

    The exit code is 1 if the run is not well.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run = hosts.find(run_id, chosen, host, quiet)
    output.say(f"{run.id} on {run.host}: {run.health}")
    given = " ".join(f"-{name} {value}" for name, value in sorted(run.effective.items()))
    output.say(f"{run.program} {given}")
    output.say(f"started {when(run)}; {_card(run) or 'on the CPU'}; log {run.log}")
    if run.parent:
        begins = f"{run.parent.choose} model, of its iteration {run.begins}"
        output.say(f"continues {run.parent.id} ({begins})")
    output.say(pace.summary(pace.of(run), run))
    for iteration, loss in run.progress.validations:
        output.say(f"validation loss {loss:.4f} after iteration {iteration}")
    for iteration, scores in run.progress.scores:
        output.say(f"after iteration {iteration}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores))
    for iteration, file in run.progress.checkpoints:
        output.say(f"wrote {file} after iteration {iteration}")
    output.say("the last lines of its log:")
    output.pass_on("".join(f"  {line}\n" for line in run.tail.splitlines()[-SHOWN:]))
    output.result(run.as_json())
    return EXIT_FINE if run.health.well else EXIT_FAILED


@app.command()
def logs(
    run_id: Id,
    host: Host = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until the run ends.")] = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Print a run's whole log; with -f, follow it until the run ends."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    run = hosts.find(run_id, chosen, host)
    # With --json all of it is printed at the end, and a log can be larger than the memory. Only then is a file made.
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="") as text:
        try:
            for piece in hosts.follow(run.id, run.host, chosen):
                output.pass_on(piece.text)
                if as_json:
                    with naming(TEMPORARY, "written"):
                        text.write(piece.text)
                if not follow and not piece.more:
                    break
        except KeyboardInterrupt:
            raise InterruptError(
                f"no longer following; {run.id} continues", advice=f"Its log on {run.host}: {run.log}"
            ) from None
        with naming(TEMPORARY, "written"):
            text.seek(0)
        output.result_with_text({"id": run.id, "host": run.host, "log": run.log}, "text", text)
    return EXIT_FINE


@app.command()
def stop(
    run_id: Id,
    host: Host = "",
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Stop a run with all its processes, or all runs of a sweep; checkpoints are kept."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    limit = [host] if host else ()
    alone = [run for run in hosts.query(chosen, limit, ids=[run_id]).runs if run.id == run_id]
    if alone:
        output.result(_end(record.find(run_id, alone, host), chosen, output, plan))
        return EXIT_FINE
    everything = hosts.runs(chosen, limit)
    swept = [run for run in everything if run.sweep == run_id and run.active]
    if swept:
        output.result({"runs": _end_all(swept, chosen, output, plan)})
    else:
        output.result(_end(record.find(run_id, everything, host), chosen, output, plan))
    return EXIT_FINE


def _end_all(runs: list[RunState], settings: Settings, output: Output, plan: bool) -> list[dict[str, object]]:
    """End each of these runs. Raises HostError that names those that could not be ended, after all were tried."""
    results, failures = [], []
    for run in runs:
        try:
            results.append(_end(run, settings, output, plan))
        except HostError as error:
            failures.append({"run": run.id, "host": run.host, "error": error.message})
    if failures:
        raise HostError(
            "\n".join(f"{one['run']} on {one['host']} was not stopped: {one['error']}" for one in failures),
            advice="Run the same command again when these hosts answer.",
            document={"runs": results, "failures": failures},
        )
    return results


def _end(run: RunState, settings: Settings, output: Output, plan: bool) -> dict[str, object]:
    # Without a directory on any node, the run is still in Slurm's queue.
    end = hosts.stop if run.supervisor else hosts.cancel
    running = end(run.id, run.host, settings, plan=plan)
    what = ("would be stopped" if plan else "stopped") if running else "was not running"
    output.say(f"{run.id} on {run.host} {what}")
    return {"id": run.id, "host": run.host, "running": running, "stopped": running and not plan}


@app.command("options")
def options_(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="train.lua or eval.lua.")],
    as_json: options.Json = False,
) -> int:
    """List every option of a program with its type, default and meaning."""
    output = Output(as_json=as_json)
    if program not in ("train.lua", "eval.lua"):
        raise UsageError(f"{program} is neither train.lua nor eval.lua")
    known = catalogue.program_options(program)
    rows = [(f"-{name}", o.type, str(o.default), o.what) for name, o in known.items()]
    output.table(program, ("option", "type", "default", "meaning"), rows)
    output.result({"program": program, "options": {name: option.model_dump() for name, option in known.items()}})
    return EXIT_FINE


def _row(run: RunState) -> tuple[str, ...]:
    progress = run.progress
    loss = f"{progress.losses[-1][1]:.3f}" if progress.losses else ""
    cider = f"{dict(progress.scores[-1][1]).get('CIDEr', float('nan')):.3f}" if progress.scores else ""
    iteration = "" if progress.iteration is None else str(progress.iteration)
    return (run.id, run.host, run.program, run.health.state, iteration, loss, cider, _card(run), when(run))


def _card(run: RunState) -> str:
    return f"{run.card.index} {run.card.name}" if run.card else ""


def when(run: RunState) -> str:
    """When a run was started, in the time of this machine. The account of the run can write any number there."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    except (OverflowError, ValueError, OSError):
        return moment(run.started)
