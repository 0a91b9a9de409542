"""The results of the module stack_run_info that list runs: one row for each run, or all details of some runs. Pure.

`requested` are the options of a run in run.json, `effective` those that its program received (process.json).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field, PlainValidator

from neuraltalk_provision.results import base
from neuraltalk_provision.results.base import Finite, LongText, Many, Result, Text, Whole
from neuraltalk_provision.results.host_state import Card, Digest
from neuraltalk_provision.results.run_log import Iteration, LogResult
from neuraltalk_provision.rules import run as rules

ExitCode = Annotated[int, Field(gt=-(2**31), lt=2**31)]
RunId = Annotated[str, Field(pattern=f"^{rules.ID}$")]
Value = LongText | int | float | bool | None | Annotated[Many[Text], Field(max_length=10_000)]
Options = Annotated[dict[Annotated[str, Field(max_length=200)], Value], Field(max_length=1000)]
MANY = 1_000_000
"""The maximum number of runs of a host, and of captions and files of a run."""


class Parent(Result):
    """The run whose `best` or `last` model a run starts from."""

    id: RunId
    choose: Text


class Ending(Result):
    """Why a run was ended or not started: `by` in one word, and the evidence."""

    by: Text
    evidence: LongText
    iteration: Iteration | None = None


class Scorer(Result):
    """When the scorer last received captions (`given`) and last wrote scores (`scored`), in seconds since 1970."""

    given: Finite | None
    scored: Finite | None


class Process(Result):
    """A process of a run that nvidia-smi reported on a card; memory in MiB."""

    pid: Whole | None
    uuid: Text | None
    memory: Whole | None = None


class Sample(Result):
    """One sample of a run: CPU time in seconds, its processes, and with a card the processes on it and its use."""

    time: Finite
    iteration: Iteration | None = None
    cpu: Finite = 0.0
    pids: Annotated[Many[Whole], Field(max_length=100_000)] = ()
    on: Annotated[Many[Process], Field(max_length=10_000)] = ()
    used: Whole | None = None
    utilization: Whole | None = None
    problem: LongText = ""


class RunFile(Result):
    """A file that a run wrote; `modified` in seconds since 1970."""

    file: Text
    bytes: Whole
    modified: Finite


class SavedModel(RunFile):
    """A model that a run wrote, with its iteration in the run's own count."""

    iteration: Iteration


class RunStatus(Result):
    """The state of a run on its host. A run that has begun, is not running and has no exit code was killed."""

    id: RunId
    path: Text
    log: Text
    pid: Whole | None
    begun: bool
    exit_code: ExitCode | None
    running: bool
    waiting: bool
    ended: Ending | None
    card: Card | None
    elsewhere: Text
    """The host on which the run executes, if several hosts share a disk and it is another one; otherwise empty."""
    unit: Text | None
    job: Text | None
    stopped: bool
    parent: Parent | None
    stage: Text | None
    until: Annotated[dict[Text, Whole], Field(max_length=10)] | None
    needs: Text | None
    sweep: Text | None
    supervisor: Text | None = Field(serialization_alias="conductor")
    """The directory of its supervisor; in documents the key has its old name, conductor."""
    damaged: Annotated[Many[Text], Field(max_length=100)]
    """The names of its files that exist and cannot be read."""


class RunRow(RunStatus):
    """A run in a list: its state, and how far it got by the end of its log."""

    program: Text
    started: Whole
    silent: Finite
    """Seconds since its log last grew."""
    samples: Annotated[Many[Sample], Field(max_length=100_000)]
    progress: LogResult


class RunDetail(RunRow):
    """A run with all its details."""

    requested: Options
    effective: Options | None
    tail: LongText
    begins: Iteration
    checkpoints: Annotated[Many[RunFile], Field(max_length=1000)]
    models: Annotated[Many[SavedModel], Field(max_length=1000)]
    scorer: Scorer


class UnreadableRun(Result):
    """A run whose data cannot be read, and the reason."""

    id: str
    unreadable: str


def _row(value: Any) -> RunRow | UnreadableRun:
    return _readable(RunRow, value)


def _detail(value: Any) -> RunDetail | UnreadableRun:
    return _readable(RunDetail, value)


Row = TypeVar("Row", bound=RunRow)


def _readable(shape: type[Row], value: Any) -> Row | UnreadableRun:
    """The run, or an UnreadableRun if its data are wrong: a damaged run must not affect other runs."""
    if not isinstance(value, Mapping):
        raise ValueError("a run must be an object")
    name = str(value.get("id", "?"))[:128]
    if "unreadable" in value:
        return UnreadableRun(id=name, unreadable=str(value["unreadable"])[:10_000])
    found = base.read(shape, value)
    if isinstance(found, str):
        return UnreadableRun(id=name, unreadable=f"its data are not as expected: {found}")
    return found


class QueuedRun(Result):
    """A run that was submitted to Slurm, with the state of its job."""

    id: RunId
    job: Text
    program: Text
    state: Text
    node: Text
    reason: LongText
    output: Text
    submitted: Whole
    requested: Options
    sweep: Text | None = None
    parent: Parent | None = None


class RunsResult(Result):
    """A host's runs, its jobs in Slurm's queue, and its free cards, the best first.

    Its other cards are in words, with the reason: `unusable` as they are, or `busy`.
    """

    runs: Annotated[Many[Annotated[RunRow | UnreadableRun, PlainValidator(_row)]], Field(max_length=MANY)]
    queued: Annotated[Many[QueuedRun], Field(max_length=MANY)]
    free: Annotated[Many[Card], Field(max_length=1000)]
    unusable: Annotated[Many[LongText], Field(max_length=1000)] = ()
    busy: Annotated[Many[LongText], Field(max_length=1000)] = ()
    machine: Digest = ""
    """The same for all names of one machine; empty if it is not known."""


class RunDetailsResult(RunsResult):
    """Like RunsResult, for runs that were requested by id, with all their details."""

    runs: Annotated[Many[Annotated[RunDetail | UnreadableRun, PlainValidator(_detail)]], Field(max_length=MANY)]
