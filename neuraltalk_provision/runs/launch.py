"""Starting runs on one host, following them to their end, ending them, and reading what they left."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from neuraltalk_provision.errors import CheckError, HostError, UsageError
from neuraltalk_provision.runs import fields, log, shapes
from neuraltalk_provision.runs.log import Progress
from neuraltalk_provision.runs.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, answers, playbook

POLL_SECONDS = 2.0
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


def start(runs: Sequence[RunSpec], host: str, settings: Settings) -> Mapping[str, Any]:
    """Start runs, one after the other on one card; what the host says of the first.

    Raises HostError where they can't be started; then none was.
    """
    asked = {"runs": [run.as_asked() for run in runs], "gpu": runs[0].gpu, "memory": max(run.memory for run in runs)}
    return _call(host, settings, {**asked, "state": "started"})


def submit(runs: Sequence[RunSpec], host: str, words: Sequence[str], settings: Settings) -> Mapping[str, Any]:
    """Give runs to Slurm as one job, by `sbatch` on a host; its job. Raises HostError with Slurm's words."""
    asked = {"runs": [run.as_asked() for run in runs], "gpu": runs[0].gpu, "memory": max(run.memory for run in runs)}
    return _call(host, settings, {**asked, "slurm": list(words), "state": "submitted"})


def follow(run_id: str, host: str, settings: Settings) -> Iterator[Mapping[str, Any]]:
    """What the host says of a run, every few seconds, until it ended; `text` is what its log gained."""
    offset = 0
    while True:
        said = _call(host, settings, {"id": run_id, "offset": offset, "state": "followed"}, shapes.FollowedRun)
        yield said
        if not said["running"] and not said["waiting"] and not said.get("more"):
            return
        offset = said["offset"]
        if not said.get("more"):
            time.sleep(POLL_SECONDS)


def watch(run_id: str, host: str, settings: Settings, show: Callable[[str], None]) -> RunEnd:
    """Follow a run to its end, showing its log as it grows; the memory that it takes does not grow with the log."""
    reader = log.Reader()
    said: Mapping[str, Any] = {}
    for said in follow(run_id, host, settings):
        show(said["text"])
        reader.feed(said["text"])
    progress, wrote = reader.progress(), fields.mapping(said.get("wrote"))
    return RunEnd(
        id=run_id,
        host=host,
        log=said["log"],
        exit_code=said["exit_code"],
        checkpoints=tuple(fields.mappings(wrote.get("checkpoints"))),
        captions=tuple(captions(wrote)),
        set_aside=tuple(fields.mappings(wrote.get("set_aside"))),
        losses=progress.losses,
        ended=said["ended"],
        progress=progress,
    )


def wrote(run_id: str, host: str, settings: Settings) -> list[Mapping[str, Any]]:
    """The captions that a run has written, whatever the size of its log: file, caption, image_id, place."""
    said = _call(host, settings, {"id": run_id, "offset": -1, "state": "followed"}, shapes.FollowedRun)
    return captions(fields.mapping(said.get("wrote")))


def captions(wrote: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The captions of what a run wrote: file, caption, image_id, place."""
    listed = fields.mappings(wrote.get("captions"))
    return [
        {
            "file": fields.text(entry.get("file")),
            "caption": fields.text(entry.get("caption")),
            "image_id": entry.get("image_id"),
            "place": fields.text(entry.get("place")),
        }
        for entry in listed
    ]


def stop(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """End a run with all its processes; whether it was running or waiting. With `plan` nothing is ended."""
    return bool(_answer(host, _request(host, settings, {"id": run_id, "state": "stopped"}, check=plan))["changed"])


def cancel(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """Take the job of a run back from Slurm; whether there was one to take back. With `plan` nothing is."""
    return bool(_answer(host, _request(host, settings, {"id": run_id, "state": "cancelled"}, check=plan))["changed"])


def probe(run_id: str, host: str, settings: Settings) -> tuple[Mapping[str, Any], ...]:
    """The models of a run, each opened on its host: file, bytes, and iteration, words, loss, cider, or `problem`."""
    said = _call(host, settings, {"id": run_id, "state": "probed"})
    return tuple(entry for entry in fields.mappings(said.get("models")) if _is_probed(entry))


def score(run_id: str, host: str, settings: Settings, annotations: str = "") -> Mapping[str, Any]:
    """What a run has captioned, scored on its host: scores by name, how many captions were used, and of what.

    `annotations` is a file on the host; by default those that the run itself would take. Raises HostError with the
    scorer's words where there are no scores.
    """
    return _call(host, settings, {"id": run_id, "annotations": annotations, "state": "scored"}, shapes.ScoredRun)


def _is_probed(entry: Mapping[str, Any]) -> bool:
    told = ("problem",) if "problem" in entry else ("iteration", "words", "loss")
    return isinstance(entry.get("file"), str) and isinstance(entry.get("bytes"), int) and all(k in entry for k in told)


def read(
    run_id: str, host: str, settings: Settings, files: Sequence[str], *, most: int | None = None
) -> dict[str, bytes]:
    """Files of a run by their names; those that are not there, or larger than any answer, are left out.

    With `most` the first of them that have so many bytes together.
    """
    found: dict[str, bytes] = {}
    left = list(files)
    while left:
        bound = {"most": most} if most else {}
        said = _call(host, settings, {"id": run_id, "files": left, "state": "read", **bound})
        pieces, wanted = fields.mapping(said.get("files")), set(left)
        found |= {str(name): base64.b64decode(fields.text(text)) for name, text in pieces.items() if name in wanted}
        waiting = set(said.get("later") or ())
        later = [] if most else [name for name in left if name in waiting]
        if len(later) >= len(left):
            raise HostError(
                f"{host} does not send the files of {run_id} that it says it has", advice="Look at that host."
            )
        left = later
    return found


def judge(program: str, end: RunEnd) -> None:
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


def _call(
    host: str, settings: Settings, run: Mapping[str, Any], shape: type[answers.Shape] = shapes.OneRun
) -> Mapping[str, Any]:
    said: Mapping[str, Any] = _answer(host, _request(host, settings, run), shape)["run"]
    return said


def _request(host: str, settings: Settings, run: Mapping[str, Any], *, check: bool = False) -> playbook.Request:
    return playbook.Request(
        playbook="run.yml",
        inventory=settings.inventory,
        limit=[host],
        check=check,
        variables={
            "provision_stack_root": settings.stack_root,
            "provision_run_user": settings.run_user,
            "provision_run": run,
        },
    )


def _answer(host: str, request: playbook.Request, shape: type[answers.Shape] = shapes.OneRun) -> Mapping[str, Any]:
    results, failures = answers.of(playbook.run(request).told, "stack_run", shape=shape)
    if failures:
        raise advice.host_error(failures)
    if len(results) != 1:
        raise UsageError(f"--host {host} has to name one host; it names {len(results)}")
    return next(iter(results.values()))
