"""A run of a host: a row of a list, or all that is known of it. Pure."""

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
    """One run on one host; `started` in seconds since 1970, `card` None for one on the processor."""

    host: str
    id: str
    program: str
    effective: Options
    """The options that the program got; empty before it began, and in a row of a list."""
    started: int
    card: Card | None
    log: str
    tail: str
    progress: Progress
    health: Health
    samples: tuple[Sample, ...] = ()
    """What the run took, oldest first."""
    checkpoints: tuple[RunFile, ...] = ()
    """The models and reports that it wrote."""
    models: tuple[SavedModel, ...] = ()
    """The models among them, each with its iteration too, in the run's own count."""
    requested: Options = field(default_factory=dict)
    """The options as they were asked for; empty in a row of a list."""
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

    def as_json(self) -> dict[str, Any]:
        """The run as `--json` prints it."""
        names = {"effective": "arguments", "requested": "asked", "supervisor": "conductor"}
        return {names.get(name, name): value for name, value in plain(self).items()}


def of(host: str, run: RunRow | UnreadableRun, quiet: float = health.QUIET) -> RunState:
    """A run from what its host returned, a row or all; one that cannot be made sense of is `unreadable`."""
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
    """A run of which no more is known than that it is there."""
    word = Health("unreadable", run.unreadable)
    return RunState(
        host=host, id=run.id, program="", effective={}, started=0, card=None, log="", tail="",
        progress=Progress(), health=word, supervisor="?",
    )  # fmt: skip


def queued(host: str, run: QueuedRun) -> RunState:
    """A run that was given to Slurm and of which no node has a directory."""
    job = f"Slurm job {run.job}"
    if run.state in slurm.ACTIVE:
        word = Health("waiting", f"{job}: {run.state} ({run.reason})")
    elif run.state == slurm.SILENT:
        word = Health("waiting", f"{job}, but Slurm does not answer: {run.reason}")
    elif run.state.startswith("CANCELLED"):
        word = Health("stopped", f"{job}: {run.state}")
    else:
        seen = "Slurm no longer knows it" if run.state == slurm.GONE else f"{run.state} on {run.node or 'no node'}"
        word = Health("failed", f"{job} left no run on any host: {seen}. See {run.output} there")
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
        health=word,
        job=run.job,
    )
