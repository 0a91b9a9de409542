"""What the module stack_run returns of one run: its start, its log, its end, its models and scores. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Discriminator, Field, PlainValidator, Tag

from neuraltalk_provision.results.base import Finite, Many, Result, Text, Whole, Words
from neuraltalk_provision.results.run import (
    MANY,
    Ending,
    ExitCode,
    Options,
    RunFile,
    RunId,
    RunStatus,
)
from neuraltalk_provision.results.run_log import Iteration

OfRun = TypeVar("OfRun", bound=Result)


class OneRunResult(Result, Generic[OfRun]):
    """The result of the module stack_run for one run."""

    run: OfRun


class ChangedResult(Result):
    """Whether a run was ended, or its job taken back."""

    changed: bool


class SetAside(Result):
    """A file that was left out of a captioning, and why."""

    file: Words
    reason: Words


class StartedRun(RunStatus):
    """A run that was started, with what its program got and what was left out."""

    effective: Options = Field(serialization_alias="arguments")
    set_aside: Annotated[Many[SetAside], Field(max_length=MANY)]
    images: Whole
    remarks: Annotated[Many[Words], Field(max_length=1000)]


class SubmittedRun(Result):
    """A run that was given to Slurm, and the number of its job."""

    id: RunId
    job: Text


class Caption(Result):
    """What eval.lua said of an image: `file` as its user knows it, `place` where it is below the run's directory."""

    file: Words
    caption: Words
    image_id: int | Finite | Text | None
    place: Text


class Written(Result):
    """What a run that has ended wrote."""

    checkpoints: Annotated[Many[RunFile], Field(max_length=1000)]
    captions: Annotated[Many[Caption], Field(max_length=MANY)]
    set_aside: Annotated[Many[SetAside], Field(max_length=MANY)]


class FollowedRun(Result):
    """The next piece of a run's log, up to `offset`, and how the run is; `more` says that the log goes on already."""

    log: Text
    text: Annotated[str, Field(max_length=64 << 20)]
    offset: Whole
    running: bool
    waiting: bool
    exit_code: ExitCode | None
    ended: Ending | None
    more: bool = False
    wrote: Written | None = None
    """None while it goes on."""


class OpenedModel(Result):
    """A model that was opened on its host: the iteration, words and scores that it says of itself."""

    file: Text
    bytes: Whole
    iteration: Iteration
    words: Whole
    loss: float | None
    cider: float | None


class BrokenModel(Result):
    """A model that could not be opened, and why."""

    file: Text
    bytes: Whole
    problem: Words


def _kind(value: Any) -> str:
    return "broken" if isinstance(value, BrokenModel) or (isinstance(value, dict) and "problem" in value) else "opened"


ProbedModel = Annotated[
    Annotated[OpenedModel, Tag("opened")] | Annotated[BrokenModel, Tag("broken")], Discriminator(_kind)
]


class ProbedRun(Result):
    """The models of a run, each opened."""

    models: Annotated[Many[ProbedModel], Field(max_length=1000)]


class ScoredRun(Result):
    """The scores of what a run has captioned: of how many captions, against which annotations, kept in which file."""

    scores: Annotated[dict[Annotated[str, Field(pattern=r"^\w{1,100}$")], Finite], Field(min_length=1, max_length=32)]
    used: Whole | None
    of: Whole
    annotations: Text
    generation: Text
    source: Text
    file: Text
    time: Whole = 0
    remarks: Annotated[Many[Words], Field(max_length=10)]


def _from_base64(value: Any) -> bytes:
    """The bytes that a host sent as base64."""
    if not isinstance(value, str):
        raise ValueError("base64 is text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is no base64") from None


class FilesOfRun(Result):
    """Files of a run by name, and the names of those that are sent when they are asked for again."""

    files: Annotated[dict[Text, Annotated[bytes, PlainValidator(_from_base64)]], Field(max_length=MANY)]
    later: Annotated[Many[Text], Field(max_length=MANY)] = ()
