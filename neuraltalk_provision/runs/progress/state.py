"""A run of a host: a row of a list, or all that is known about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.run import (
    Options,
    Parent,
    QueuedRun,
    RunDetail,
    RunFile,
    RunRow,
    Sample,
    SavedModel,
    Scorer,
    UnreadableRun,
)
from neuraltalk_provision.rules import slurm
from neuraltalk_provision.runs.progress import health, log
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.runs.progress.log import Progress


@dataclass(frozen=True)
class RunState:
    """One run on one host; `started` in seconds since 1970, `card` None for a run on the CPU."""

    host: str
    id: str
    program: str
    effective: Options
    """The options that the program received; empty before it started, and in a row of a list."""
    started: int
    card: Card | None
    log: str
    tail: str
    progress: Progress
    health: Health
    samples: tuple[Sample, ...] = ()
    """CPU time, processes and card use, oldest first."""
    checkpoints: tuple[RunFile, ...] = ()
    """The models and reports that it wrote."""
    models: tuple[SavedModel, ...] = ()
    """The models among them, each with its iteration in the run's own count."""
    requested: Options = field(default_factory=dict)
    """The options as they were requested; empty in a row of a list."""
    begun: bool = False
    begins: int = 0
    """The iteration of its parent, in the parent's own count, that it started from."""
    parent: Parent | None = None
    stage: str = ""
    until: Mapping[str, int] | None = None
    needs: str = ""
    sweep: str = ""
    supervisor: str = ""
    job: str = ""
    unit: str = ""
    scorer: Scorer | None = None
    elsewhere: str = ""
    running: bool = False
    """Whether its process is alive."""

    @property
    def active(self) -> bool:
        """Whether it has not ended. train.lua goes on after a loss that is not a number."""
        return self.running or self.health.state in health.ALIVE

    def as_json(self) -> dict[str, Any]:
        """The run as `--json` prints it."""
        names = {"effective": "arguments", "requested": "asked", "supervisor": "conductor"}
        return {names.get(name, name): value for name, value in plain(self).items()}


def of(host: str, run: RunRow | UnreadableRun, quiet: float = health.QUIET) -> RunState:
    """A run from what its host returned, a row or all of it. A run with damaged files is `unreadable`."""
    if isinstance(run, UnreadableRun):
        return _unreadable(host, run)
    progress = log.progress(run.progress)
    state = RunState(
        host=host,
        id=run.id,
        program=run.program,
        effective={},
        started=run.started,
        card=run.card,
        log=run.log,
        tail="",
        progress=progress,
        health=health.assess(run, progress, quiet),
        samples=run.samples,
        begun=run.begun,
        running=run.running,
        parent=run.parent,
        stage=run.stage or "",
        until=run.until,
        needs=run.needs or "",
        sweep=run.sweep or "",
        supervisor=run.supervisor or "",
        job=run.job or "",
        unit=run.unit or "",
        elsewhere=run.elsewhere,
    )
    return _in_full(state, run) if isinstance(run, RunDetail) else state


def _in_full(state: RunState, run: RunDetail) -> RunState:
    return replace(
        state,
        requested=run.requested,
        effective=run.effective or run.requested,
        tail=run.tail,
        begins=run.begins,
        checkpoints=run.checkpoints,
        models=run.models,
        scorer=run.scorer,
    )


def _unreadable(host: str, run: UnreadableRun) -> RunState:
    """A run about which nothing else is known."""
    condition = Health("unreadable", run.unreadable)
    return RunState(
        host=host, id=run.id, program="", effective={}, started=0, card=None, log="", tail="",
        progress=Progress(), health=condition, supervisor="?",
    )  # fmt: skip


def queued(host: str, run: QueuedRun) -> RunState:
    """A run that was submitted to Slurm and that has no directory on any node."""
    job = f"Slurm job {run.job}"
    if run.state in slurm.ACTIVE:
        condition = Health("waiting", f"{job}: {run.state} ({run.reason})")
    elif run.state == slurm.SILENT:
        condition = Health("waiting", f"{job}, but Slurm does not answer: {run.reason}")
    elif run.state.startswith(slurm.CANCELLED):
        condition = Health("stopped", f"{job}: {run.state}")
    else:
        forgotten = run.state == slurm.GONE
        found = "Slurm no longer knows the job" if forgotten else f"{run.state} on {run.node or 'no node'}"
        condition = Health("failed", f"{job} left no run on any host: {found}. See {run.output} there")
    return RunState(
        host=host,
        id=run.id,
        program=run.program,
        effective=run.requested,
        started=run.submitted,
        card=None,
        log="",
        tail="",
        progress=Progress(),
        health=condition,
        parent=run.parent,
        sweep=run.sweep or "",
        job=run.job,
    )
