"""How a run ended, what it left, and whether that is what it was started for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from neuraltalk_provision.errors import CheckError
from neuraltalk_provision.runs.progress.log import Progress

OVER = ("plateau", "iterations")
"""Why a conductor ends a stage that went well."""


@dataclass(frozen=True)
class RunEnd:
    """What a run left: its exit code (None: it was killed), checkpoints, captions, and where its log is."""

    id: str
    host: str
    log: str
    exit_code: int | None
    checkpoints: tuple[Mapping[str, Any], ...]
    captions: tuple[Mapping[str, Any], ...]
    set_aside: tuple[Mapping[str, str], ...]
    losses: tuple[tuple[int, float], ...]
    ended: Mapping[str, Any] | None = None
    """Why its conductor ended it, or did not begin it: `by` in one word, and the evidence."""
    progress: Progress = field(default_factory=Progress)


def check(program: str, end: RunEnd) -> None:
    """CheckError where the run did not leave what it was started for, whatever its exit code."""
    problem = ""
    by = (end.ended or {}).get("by")
    if end.ended and end.exit_code is None and by != "signal":
        problem = f"run {end.id} was not begun: {end.ended['evidence']}"
    elif end.exit_code is None or (end.exit_code < 0 and by not in OVER):
        why = f": {end.ended['evidence']}" if end.ended else ""
        problem = f"run {end.id} was killed before it ended{why}"
    elif end.exit_code != 0 and by not in OVER:
        full = f": {end.ended['evidence']}" if end.ended and by == "disk" else ""
        problem = f"{program} ended with exit code {end.exit_code}{full}"
    elif program == "train.lua" and not any(c["file"].endswith(".t7") for c in end.checkpoints):
        problem = f"run {end.id} ended without a model (.t7)"
    elif program == "eval.lua" and not end.captions:
        problem = f"run {end.id} ended without captions"
    if problem:
        raise CheckError(problem, advice=f"Read {end.log} on {end.host}.", document=asdict(end))
