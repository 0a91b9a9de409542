"""Starting a run on one host, and following it to its end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neuraltalk_provision.errors import CheckError, HostError, UsageError
from neuraltalk_provision.runs.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook, question

POLL_SECONDS = 2.0
_NO_ARGUMENTS: dict[str, Any] = {"program": "train.lua", "arguments": {}, "files": [], "gpu": "none", "memory": 0}


@dataclass(frozen=True)
class RunEnd:
    """What a run left: its exit code (None: it was killed), checkpoints, captions, and where its log is."""

    id: str
    host: str
    log: str
    exit_code: int | None
    checkpoints: tuple[Mapping[str, Any], ...]
    captions: tuple[Mapping[str, str], ...]
    set_aside: tuple[Mapping[str, str], ...]
    losses: tuple[tuple[int, float], ...]


def start(spec: RunSpec, host: str, settings: Settings) -> Mapping[str, Any]:
    """Start the run; what the host says of it. Raises HostError where it can't be started."""
    return _call(
        host,
        settings,
        {
            "id": spec.id,
            "program": spec.program,
            "arguments": dict(spec.arguments),
            "files": list(spec.files),
            "gpu": spec.gpu,
            "memory": spec.memory,
            "offset": 0,
            "state": "started",
        },
    )


def follow(run_id: str, host: str, settings: Settings) -> Iterator[Mapping[str, Any]]:
    """What the host says of a run, every few seconds, until it ended; `text` is what its log gained."""
    offset = 0
    while True:
        said = _call(host, settings, {**_NO_ARGUMENTS, "id": run_id, "offset": offset, "state": "followed"})
        yield said
        if not said["running"] and not said.get("more"):
            return
        offset = said["offset"]
        if not said.get("more"):
            time.sleep(POLL_SECONDS)


def watch(spec: RunSpec, host: str, settings: Settings, show: Callable[[str], None]) -> RunEnd:
    """Follow a run to its end, showing its log as it grows."""
    text = ""
    said: Mapping[str, Any] = {}
    for said in follow(spec.id, host, settings):
        show(said["text"])
        text += said["text"]
    return RunEnd(
        id=spec.id,
        host=host,
        log=said["log"],
        exit_code=said["exit_code"],
        checkpoints=tuple(said["wrote"]["checkpoints"]),
        captions=tuple(said["wrote"]["captions"]),
        set_aside=tuple(said["wrote"]["set_aside"]),
        losses=tuple((int(i), float(loss)) for i, loss in re.findall(r"^iter (\d+): (\S+?)\s*$", text, re.M)),
    )


def stop(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """End a run with all its processes; whether it was running. With `plan` nothing is ended."""
    request = _request(host, settings, {**_NO_ARGUMENTS, "id": run_id, "offset": 0, "state": "stopped"}, check=plan)
    return bool(_answer(host, request)["changed"])


def judge(spec: RunSpec, end: RunEnd) -> None:
    """CheckError where the run did not leave what it was started for, whatever its exit code."""
    problem = ""
    if end.exit_code is None:
        problem = f"run {end.id} was killed before it ended"
    elif end.exit_code != 0:
        problem = f"{spec.program} ended with exit code {end.exit_code}"
    elif spec.program == "train.lua" and not any(c["file"].endswith(".t7") for c in end.checkpoints):
        problem = f"run {end.id} ended without a model (.t7)"
    elif spec.program == "eval.lua" and not end.captions:
        problem = f"run {end.id} ended without captions"
    if problem:
        raise CheckError(problem, advice=f"Read {end.log} on {end.host}.", document=asdict(end))


def _call(host: str, settings: Settings, run: Mapping[str, Any]) -> Mapping[str, Any]:
    said: Mapping[str, Any] = _answer(host, _request(host, settings, run))["run"]
    return said


def _request(host: str, settings: Settings, run: Mapping[str, Any], *, check: bool = False) -> playbook.Request:
    return playbook.Request(
        playbook="run.yml",
        inventory=settings.inventory,
        limit=[host],
        check=check,
        variables={"provision_stack_root": settings.stack_root, "provision_run": run},
    )


def _answer(host: str, request: playbook.Request) -> Mapping[str, Any]:
    told = playbook.run(request).told
    if told.failures:
        raise HostError("\n".join(question.explain(failure) for failure in told.failures))
    answers = told.result_of("stack_run")
    if len(answers) != 1:
        raise UsageError(f"--host {host} has to name one host; it names {len(answers)}")
    return next(iter(answers.values()))
