"""Whether a run is well, from what its host and its log say, with the evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neuraltalk_provision.runs.log import EXPLODING, Progress

State = Literal["running", "hanging", "diverged", "ended", "failed", "killed", "stopped"]
QUIET = 900.0
"""Seconds without a line after which a run is called hanging: an evaluation of 3,200 images prints all the while."""
WELL = ("running", "ended", "stopped")


@dataclass(frozen=True)
class Health:
    """The state of a run in one word, and what was seen that says so."""

    state: State
    evidence: str

    @property
    def well(self) -> bool:
        """Whether nobody has to look after it."""
        return self.state in WELL


def judge(said: Mapping[str, Any], progress: Progress, quiet: float = QUIET) -> Health:
    """The health of a run: `said` is the host's word of it (status, `silent` seconds since its log grew)."""
    if progress.diverged:
        bad = next(((i, loss) for i, loss in progress.losses if loss != loss or abs(loss) == float("inf")), None)
        return Health("diverged", f"loss {bad[1]} at iteration {bad[0]}" if bad else f"its log says: {EXPLODING}")
    if said["running"]:
        silent = float(said["silent"])
        if silent > quiet:
            return Health("hanging", f"pid {said['pid']} lives, and its log has not grown for {silent:.0f} s")
        return Health("running", f"pid {said['pid']}, its log grew {silent:.0f} s ago")
    code = said["exit_code"]
    if said.get("stopped"):
        return Health("stopped", "by `provision runs stop`")
    if code is None:
        return Health("killed", f"pid {said['pid']} is gone and left no exit code")
    if code != 0:
        return Health("failed", f"exit code {code}" + (f": {progress.error}" if progress.error else ""))
    return Health("ended", "exit code 0")
