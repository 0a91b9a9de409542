"""Whether a run is healthy, from its host's result and its log, with the evidence. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

from neuraltalk_provision.results.run import RunRow
from neuraltalk_provision.rules.run import STAGE_OVER
from neuraltalk_provision.runs.progress.log import Progress

State = Literal[
    "waiting",
    "running",
    "hanging",
    "misplaced",
    "diverged",
    "ended",
    "failed",
    "killed",
    "stopped",
    "skipped",
    "unreadable",
]
QUIET = 900.0
"""Seconds without a new log line after which a run counts as hanging. Even an evaluation of 3,200 images keeps
printing."""
WELL = ("waiting", "running", "ended", "stopped")
ALIVE = ("waiting", "running", "hanging", "misplaced")


@dataclass(frozen=True)
class Health:
    """The state of a run in one word, and the evidence for it."""

    state: State
    evidence: str

    def __str__(self) -> str:
        return f"{self.state} ({self.evidence})"

    @property
    def well(self) -> bool:
        """Whether the run needs no attention."""
        return self.state in WELL


def assess(run: RunRow, progress: Progress, quiet: float = QUIET) -> Health:
    """The health of a run, from its host's result and the progress in its log; `quiet` in seconds."""
    if run.damaged and not run.running:
        return Health("unreadable", f"{', '.join(run.damaged)} in {run.path} cannot be read")
    if progress.diverged:
        goes_on = f"; {_pid(run.pid)} is still running" if run.running else ""
        return Health("diverged", progress.divergence + goes_on)
    if run.waiting and run.stopped:
        return Health("stopped", 'by "provision runs stop", before it started')
    if run.waiting:
        before = f"it starts after {run.needs or 'the runs before it'}"
        checks = run.program == "eval.lua" and not run.needs
        return Health("waiting", f"its images are being checked (see its log), or {before}" if checks else before)
    if run.running:
        return misplaced(run) or _alive(run, quiet)
    return _over(run, progress)


def _alive(run: RunRow, quiet: float) -> Health:
    if run.silent > quiet:
        return Health("hanging", f"{_pid(run.pid)} is alive, but its log has not grown for {run.silent:.0f} s")
    return Health("running", f"{_pid(run.pid)}, its log grew {run.silent:.0f} s ago")


def misplaced(run: RunRow) -> Health | None:
    """`misplaced` if nvidia-smi last reported a process of the run on another card than its own; else None."""
    for sample in reversed(run.samples if run.card else ()):
        found = [process for process in sample.on if process.uuid]
        wrong = [process for process in found if run.card and process.uuid != run.card.uuid]
        if wrong and run.card:
            return Health("misplaced", f"{_pid(wrong[0].pid)} is on card {wrong[0].uuid}, not on {run.card.uuid}")
        if found:
            return None
    return None


def _over(run: RunRow, progress: Progress) -> Health:
    """The health of a run that is neither running nor waiting."""
    code = run.exit_code
    evidence = run.ended.evidence if run.ended else ""
    if run.stopped:
        return Health("stopped", 'by "provision runs stop"')
    match run.ended.by if run.ended else "":
        case by if by in STAGE_OVER:
            return Health("ended", evidence)
        case "skipped":
            return Health("skipped", evidence)
        case "refused" | "disk":
            return Health("failed", evidence)
        case "signal":
            return Health("killed", f"{evidence}: its host was shut down, or its job was cancelled")
    if not run.begun:
        return Health("killed", "it was never started, and the supervisor that should start it is no longer running")
    if code is None:
        return Health("killed", f"{_pid(run.pid)} no longer exists and left no exit code")
    if code < 0:
        hint = ". If nobody killed it, the kernel ran out of memory: see dmesg" if -code == signal.SIGKILL else ""
        return Health("killed", f"{_pid(run.pid)} was ended by signal {-code} ({_name(-code)}){hint}")
    if code != 0:
        return Health("failed", f"exit code {code}" + (f": {progress.error}" if progress.error else ""))
    return Health("ended", "exit code 0")


def _pid(pid: int | None) -> str:
    return "its process" if pid is None else f"pid {pid}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
