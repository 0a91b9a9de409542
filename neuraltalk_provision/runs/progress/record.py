"""The runs of a site: find one by its id, and the line of runs that it continues. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.progress.history import History, Part, merge
from neuraltalk_provision.runs.progress.state import RunState


def find(run_id: str, all_runs: Sequence[RunState], host: str = "") -> RunState:
    """The run with that id. Raises UsageError if no host has it, or several hosts have it."""
    found = [run for run in all_runs if run.id == run_id and host in ("", run.host)]
    if not found:
        there = ", ".join(run.id for run in all_runs[:10]) or "none"
        raise UsageError(f"no host has a run called {run_id}; the latest runs are: {there}")
    if len(found) > 1:
        hosts = ", ".join(run.host for run in found)
        raise UsageError(f"run {run_id} exists on several hosts: {hosts}", advice="Choose one with --host.")
    return found[0]


def line(run: RunState, all_runs: Sequence[RunState]) -> tuple[RunState, ...]:
    """The run and the runs that it continues, the first one first."""
    found = [run]
    while (parent := found[0].parent) is not None:
        before = [other for other in all_runs if other.id == parent.id and other.host == run.host]
        if not before or before[0] in found:
            break
        found.insert(0, before[0])
    return tuple(found)


def history(runs_of_line: Sequence[RunState]) -> History:
    """The history of a line of runs, in one count of iterations."""
    return merge([Part(run.id, run.progress, run.begins) for run in runs_of_line])
