"""Whether a run is well, from what its host and its log say, with the evidence. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neuraltalk_provision.runs.progress import fields
from neuraltalk_provision.runs.progress.log import EXPLODING, Progress

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
"""Seconds without a line after which a run is called hanging: an evaluation of 3,200 images prints all the while."""
WELL = ("waiting", "running", "ended", "stopped")
ALIVE = ("waiting", "running", "hanging", "misplaced")


@dataclass(frozen=True)
class Health:
    """The state of a run in one word, and what was seen that says so."""

    state: State
    evidence: str

    @property
    def well(self) -> bool:
        """Whether nobody has to look after it."""
        return self.state in WELL


def assess(said: Mapping[str, Any], progress: Progress, quiet: float = QUIET) -> Health:
    """The health of a run: `said` is the host's word of it (status, samples, `silent` seconds since its log grew).

    What is missing there, or of another type, counts as not said.
    """
    if progress.diverged:
        bad = next(((i, loss) for i, loss in progress.losses if loss != loss or abs(loss) == float("inf")), None)
        return Health("diverged", f"loss {bad[1]} at iteration {bad[0]}" if bad else f"its log says: {EXPLODING}")
    if said.get("waiting") and said.get("stopped"):
        return Health("stopped", "by `provision runs stop`, before its turn came")
    if said.get("waiting"):
        before = "its turn comes after " + (fields.text(said.get("needs")) or "the runs before it")
        looks = said.get("program") == "eval.lua" and not said.get("needs")
        return Health("waiting", f"its pictures are looked at (its log says how far), or {before}" if looks else before)
    if said.get("running"):
        return misplaced(said) or _alive(said, quiet)
    return _over(said, progress)


def _alive(said: Mapping[str, Any], quiet: float) -> Health:
    silent = fields.number(said.get("silent"))
    if silent is None:
        return Health("running", f"{_pid(said)}; its host does not say when its log last grew")
    if silent > quiet:
        return Health("hanging", f"{_pid(said)} lives, and its log has not grown for {silent:.0f} s")
    return Health("running", f"{_pid(said)}, its log grew {silent:.0f} s ago")


def misplaced(said: Mapping[str, Any]) -> Health | None:
    """`misplaced` where nvidia-smi last saw a process of the run on another card than its own; else None."""
    own = fields.text(fields.mapping(said.get("card")).get("uuid"))
    for sample in reversed(fields.mappings(said.get("samples")) if own else []):
        seen = [entry for entry in fields.mappings(sample.get("on")) if fields.text(entry.get("uuid"))]
        wrong = [entry for entry in seen if entry["uuid"] != own]
        if wrong:
            return Health("misplaced", f"{_pid(wrong[0])} is on card {wrong[0]['uuid']}, not on {own}")
        if seen:
            return None
    return None


def _over(said: Mapping[str, Any], progress: Progress) -> Health:
    """The health of a run that neither runs nor waits."""
    code, ended = said.get("exit_code"), fields.mapping(said.get("ended"))
    evidence = fields.text(ended.get("evidence")) or "its host does not say why"
    if said.get("stopped"):
        return Health("stopped", "by `provision runs stop`")
    match ended.get("by"):
        case "plateau" | "iterations":
            return Health("ended", evidence)
        case "skipped":
            return Health("skipped", evidence)
        case "refused" | "disk":
            return Health("failed", evidence)
        case "signal":
            return Health("killed", f"{evidence}: its host was shut down, or its job was cancelled")
    if not said.get("begun"):
        return Health("killed", "it never began, and who would have begun it is gone")
    if code is None:
        return Health("killed", f"{_pid(said)} is gone and left no exit code")
    if isinstance(code, bool) or not isinstance(code, int) or abs(code) >= 1 << 31:
        return Health("failed", f"{_pid(said)} is gone, and what was left as its exit code is none")
    if code < 0:
        hint = ". Nobody did? The kernel, for want of memory: see dmesg" if -code == signal.SIGKILL else ""
        return Health("killed", f"{_pid(said)} was ended by signal {-code} ({_name(-code)}){hint}")
    if code != 0:
        return Health("failed", f"exit code {code}" + (f": {progress.error}" if progress.error else ""))
    return Health("ended", "exit code 0")


def _pid(said: Mapping[str, Any]) -> str:
    pid = fields.whole(said.get("pid"))
    return "its process" if pid is None else f"pid {pid}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
