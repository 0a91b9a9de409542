"""What the module stack_run returns of runs that are listed: a row of each, or all that is known of some. Pure.

The options of a run are `requested` as run.json keeps them, and `effective` as its program got them (process.json).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field, PlainValidator

from neuraltalk_provision.results import base
from neuraltalk_provision.results.base import Finite, Many, Result, Text, Whole, Words
from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.run_log import Iteration, LogResult
from neuraltalk_provision.rules import run as rules

ExitCode = Annotated[int, Field(gt=-(2**31), lt=2**31)]
RunId = Annotated[str, Field(pattern=f"^{rules.ID}$")]
Value = Words | int | float | bool | None | Annotated[Many[Text], Field(max_length=10_000)]
Options = Annotated[dict[Annotated[str, Field(max_length=200)], Value], Field(max_length=1000)]
MANY = 1_000_000
"""Runs of a host, captions and files of a run, at most."""


class Parent(Result):
    """The run whose `best` or `last` model a run starts from."""

    id: RunId
    choose: Text


class Ending(Result):
    """Why a run was ended, or was not begun: `by` in one word, and the evidence."""

    by: Text
    evidence: Words
    iteration: Iteration | None = None


class Scorer(Result):
    """When the scorer was last given captions, and when it last wrote scores; seconds since 1970."""

    given: Finite | None
    scored: Finite | None


class Process(Result):
    """A process of a run as nvidia-smi sees it on a card; memory in MiB."""

    pid: Whole | None
    uuid: Text | None
    memory: Whole | None = None


class Sample(Result):
    """What a run took at one time: `cpu` in seconds, its processes, and with a card where they were and its use."""

    time: Finite
    iteration: Iteration | None = None
    cpu: Finite = 0.0
    pids: Annotated[Many[Whole], Field(max_length=100_000)] = ()
    on: Annotated[Many[Process], Field(max_length=10_000)] = ()
    used: Whole | None = None
    utilization: Whole | None = None
    problem: Words = ""


class RunFile(Result):
    """A file that a run wrote; `modified` in seconds since 1970."""

    file: Text
    bytes: Whole
    modified: Finite


class SavedModel(RunFile):
    """A model that a run has left, with its iteration in the run's own count."""

    iteration: Iteration


class RunStatus(Result):
    """What a host says of every run. Begun, not running and without an exit code means that it was killed."""

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
    """The host that computes, where several share a disk and it is another one."""
    unit: Text | None
    job: Text | None
    stopped: bool
    parent: Parent | None
    stage: Text | None
    until: Annotated[dict[Text, Whole], Field(max_length=10)] | None
    needs: Text | None
    sweep: Text | None
    supervisor: Text | None = Field(serialization_alias="conductor")
    """The directory of the process that executes it; documents keep the name that they had for it."""
    damaged: Annotated[Many[Text], Field(max_length=100)]
    """The names of its files that are there and cannot be read."""


class RunRow(RunStatus):
    """A run in a list: its state, and how far it got by the end of its log."""

    program: Text
    started: Whole
    silent: Finite
    """Seconds since its log grew."""
    samples: Annotated[Many[Sample], Field(max_length=100_000)]
    progress: LogResult


class RunDetail(RunRow):
    """A run in full."""

    requested: Options
    effective: Options | None
    tail: Words
    begins: Iteration
    checkpoints: Annotated[Many[RunFile], Field(max_length=1000)]
    models: Annotated[Many[SavedModel], Field(max_length=1000)]
    scorer: Scorer


class UnreadableRun(Result):
    """A run of which no more is known than that it is there, and why."""

    id: str
    unreadable: str


def _row(value: Any) -> RunRow | UnreadableRun:
    return _readable(RunRow, value)


def _detail(value: Any) -> RunDetail | UnreadableRun:
    return _readable(RunDetail, value)


Row = TypeVar("Row", bound=RunRow)


def _readable(shape: type[Row], value: Any) -> Row | UnreadableRun:
    """The run; an unreadable one where its files are damaged: what one run's account wrote costs no other run."""
    if not isinstance(value, Mapping):
        raise ValueError("a run is an object")
    name = str(value.get("id", "?"))[:128]
    if "unreadable" in value:
        return UnreadableRun(id=name, unreadable=str(value["unreadable"])[:10_000])
    found = base.read(shape, value)
    if isinstance(found, str):
        return UnreadableRun(id=name, unreadable=f"what its host says of it is not as expected: {found}")
    return found


class QueuedRun(Result):
    """A run that was given to Slurm, with the state of its job."""

    id: RunId
    job: Text
    program: Text
    state: Text
    node: Text
    reason: Words
    output: Text
    submitted: Whole
    requested: Options


class RunsResult(Result):
    """The rows of a host's runs, its jobs in Slurm's queue, and the cards that are free, the best first."""

    runs: Annotated[Many[Annotated[RunRow | UnreadableRun, PlainValidator(_row)]], Field(max_length=MANY)]
    queued: Annotated[Many[QueuedRun], Field(max_length=MANY)]
    free: Annotated[Many[Card], Field(max_length=1000)]


class RunDetailsResult(RunsResult):
    """The same of runs that were asked for by id, in full."""

    runs: Annotated[Many[Annotated[RunDetail | UnreadableRun, PlainValidator(_detail)]], Field(max_length=MANY)]
