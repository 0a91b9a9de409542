"""`provision runs watch`: a run's loss curve, rate and GPU, until it ends."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.cli.runs import Host, Id, Quiet
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, InterruptError
from neuraltalk_provision.output import Output
from neuraltalk_provision.report import terminal
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import health, pace, record
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.verdict import verify
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.text import visible


def watch(
    run_id: Id,
    host: Host = "",
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two updates.")] = 5,
    once: Annotated[bool, typer.Option("--once", help="Show it once and return.")] = False,
    quiet: Quiet = health.QUIET,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Show a run's loss curve, rate, time left, scores and GPU until it ends.

    Several stages are shown as one curve; the display continues with the next stage. The exit code is 1 if the run is
    not well.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    try:
        with output.screen() as show:
            while True:
                line, following = read(run_id, host, chosen, quiet)
                run = line[-1]
                # From now on only its host is asked. A job in a queue of Slurm can start on another one.
                host = run.host if run.supervisor and not run.elsewhere else host
                if not as_json:
                    show(picture(line, output))
                over = not run.active
                if once or (over and not following):
                    break
                if over:
                    run_id = following
                else:
                    time.sleep(every)
    except KeyboardInterrupt:
        raise InterruptError(f"no longer watching; {run_id} continues") from None
    output.result({**run.as_json(), "pace": pace.of(run).as_json()})
    return EXIT_FINE if run.health.well else EXIT_FAILED


def read(run_id: str, host: str, settings: Settings, quiet: float) -> tuple[tuple[RunState, ...], str]:
    """(the runs that the run continues and the run itself, in order; the id of the next stage if it ended well)."""
    site = hosts.query(settings, [host] if host else (), quiet, some=True)
    everything = site.runs
    line = hosts.details(record.line(hosts.named(run_id, site, host), everything), settings, quiet)
    run = line[-1]
    following = [other.id for other in everything if other.host == run.host and other.needs == run.id]
    return line, following[0] if following and run.health.state == "ended" else ""


def picture(line: Sequence[RunState], output: Output) -> str:
    """The text to show: the state, the curves (only on a terminal), and the progress."""
    run, (width, height) = line[-1], output.size
    head = visible(f"{run.id} on {run.host}: {run.health}")
    progress = visible(pace.summary(pace.of(run), run))
    if not output.coloured:
        return f"{head}\n{progress}"
    history = record.history(line)
    curves = terminal.curves(history, verify.known(line, history), width, height, True)
    return f"{textwrap.fill(head, width)}\n{curves}\n{textwrap.fill(progress, width)}"
