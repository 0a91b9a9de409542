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
    problem = ""
    by = end.ended.by if end.ended else ""
    if end.ended and end.exit_code is None and by != "signal":
        problem = f"run {end.id} was not started: {end.ended.evidence}"
    elif end.exit_code is None or (end.exit_code < 0 and by not in STAGE_OVER):
        why = f": {end.ended.evidence}" if end.ended else ""
        problem = f"run {end.id} was killed before it ended{why}"
    elif end.exit_code != 0 and by not in STAGE_OVER:
        full = f": {end.ended.evidence}" if end.ended and by == "disk" else ""
        problem = f"{program} ended with exit code {end.exit_code}{full}"
    elif program == "train.lua" and not any(file.file.endswith(".t7") for file in end.checkpoints):
        problem = f"run {end.id} ended without a model (.t7)"
    elif program == "eval.lua" and not end.captions:
        problem = f"run {end.id} ended without captions"
    if problem:
        raise CheckError(problem, advice=f"Read {end.log} on {end.host}.", document=end.as_json())
