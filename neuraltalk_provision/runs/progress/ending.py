"""How a run ended, what it wrote, and whether that is what it was started for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision.errors import CheckError
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.one_run import Caption, SetAside
from neuraltalk_provision.results.run import Ending, RunFile
from neuraltalk_provision.rules.run import STAGE_OVER
from neuraltalk_provision.runs.progress.log import Progress


@dataclass(frozen=True)
class RunEnd:
    """The end of a run: its exit code (None: it was killed), checkpoints, captions, and the path of its log."""

    id: str
    host: str
    log: str
    exit_code: int | None
    checkpoints: tuple[RunFile, ...]
    captions: tuple[Caption, ...]
    set_aside: tuple[SetAside, ...]
    losses: tuple[tuple[int, float], ...]
    ended: Ending | None = None
    """Why its supervisor ended it or did not start it: `by` in one word, and the evidence."""
    progress: Progress = field(default_factory=Progress)

    def as_json(self) -> dict[str, Any]:
        """The end as `--json` prints it."""
        return dict(plain(self))


def check(program: str, end: RunEnd) -> None:
    """CheckError if the run did not write what it was started for, whatever its exit code."""
    found = problem(program, end)
    if found:
        raise CheckError(found, advice=f"Read {end.log} on {end.host}.", document=end.as_json())


def problem(program: str, end: RunEnd) -> str:
    """Why the run did not write what it was started for; empty if it did."""
    by = end.ended.by if end.ended else ""
    why = f": {end.ended.evidence}" if end.ended else ""
    # The end of a stage is written before its program is ended, which can take seconds: it may have no exit code yet.
    if by not in STAGE_OVER:
        if end.exit_code is None and by not in ("", "signal", "disk"):
            return f"run {end.id} was not started{why}"
        if end.exit_code is None or end.exit_code < 0:
            return f"run {end.id} was killed before it ended{why}"
        if end.exit_code != 0:
            return f"{program} ended with exit code {end.exit_code}{why}"
    if program == "train.lua" and end.progress.diverged:
        return f"run {end.id} diverged: {end.progress.divergence}"
    if program == "train.lua" and not any(file.file.endswith(".t7") for file in end.checkpoints):
        return f"run {end.id} ended without a model (.t7)"
    if program == "eval.lua" and not end.captions:
        return f"run {end.id} ended without captions"
    return ""
