"""Runs as hosts return them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from neuraltalk_provision.results.one_run import StartedRun
from neuraltalk_provision.results.run import RunDetailsResult, RunsResult
from neuraltalk_provision.rules import log as rules
from neuraltalk_provision.runs.progress import health, log, state
from neuraltalk_provision.runs.progress.log import Progress
from neuraltalk_provision.runs.progress.state import RunState


def read(text: str) -> dict[str, Any]:
    """A log as a host reports it."""
    reader = rules.Reader(10_000)
    reader.feed(text)
    result: dict[str, Any] = reader.result()
    return result


def progress_of(text: str) -> Progress:
    """A log as the controller reads it."""
    reader = log.Reader()
    reader.feed(text)
    return reader.progress()


def row(run_id: str = "base", **more: Any) -> dict[str, Any]:
    """A row of a training that has ended well, as stack_run returns it."""
    return {
        "id": run_id, "path": f"/r/{run_id}", "log": f"/r/{run_id}/log", "pid": 7, "begun": True, "exit_code": 0,
        "running": False, "waiting": False, "ended": None, "card": None, "elsewhere": "", "unit": "", "job": "",
        "stopped": False, "parent": None, "stage": None, "until": None, "needs": None, "sweep": None,
        "supervisor": "/r/base", "damaged": [], "program": "train.lua", "generation": "g", "started": 1, "silent": 3.0,
        "samples": [], "progress": read(""), **more,
    }  # fmt: skip


def detail(run_id: str = "base", **more: Any) -> dict[str, Any]:
    """The same in full."""
    return {
        **row(run_id), "requested": {}, "effective": None, "tail": "", "begins": 0, "checkpoints": [],
        "models": [], "scorer": {"given": None, "scored": None}, **more,
    }  # fmt: skip


def job(run_id: str, state: str, **more: Any) -> dict[str, Any]:
    """A run whose job Slurm has."""
    return {
        "id": run_id, "job": "41", "state": state, "node": "n2", "reason": "Priority", "submitted": 9,
        "output": "/r/.job-41.out", "program": "train.lua", "requested": {}, **more,
    }  # fmt: skip


def of_row(given: dict[str, Any], host: str = "h", quiet: float = health.QUIET) -> RunState:
    """The run that a host returns as a row."""
    result = RunsResult.model_validate({"runs": [given], "queued": [], "free": []})
    return state.of(host, result.runs[0], quiet)


def of_detail(given: dict[str, Any], host: str = "h", quiet: float = health.QUIET) -> RunState:
    """The run that a host returns in full."""
    result = RunDetailsResult.model_validate({"runs": [given], "queued": [], "free": []})
    return state.of(host, result.runs[0], quiet)


def started_run(log: str, **more: Any) -> StartedRun:
    """A run that was started, as stack_run returns it."""
    given = {**row(), "log": log, "exit_code": None, "running": True, "effective": {}, "set_aside": [], "images": 0}
    return StartedRun.model_validate({**given, "remarks": [], **more})
