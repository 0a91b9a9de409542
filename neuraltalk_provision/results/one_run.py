"""The results of the modules stack_run and stack_run_info for one run: start, log, end, models, scores. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Discriminator, Field, PlainValidator, Tag

from neuraltalk_provision.results.base import Finite, LongText, Many, Result, Text, Whole
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
    """The result of a module for one run."""

    run: OfRun


class ChangedResult(Result):
    """Whether a run was ended, or its Slurm job cancelled."""

    changed: bool


class SetAside(Result):
    """A file that was left out of an evaluation, and the reason."""

    file: LongText
    reason: LongText


class StartedRun(RunStatus):
    """A run that was started, with the options that its program received and the files that were left out."""

    effective: Options = Field(serialization_alias="arguments")
    set_aside: Annotated[Many[SetAside], Field(max_length=MANY)]
    images: Whole
    remarks: Annotated[Many[LongText], Field(max_length=1000)]


class SubmittedRun(Result):
    """A run that was submitted to Slurm, and the number of its job."""

    id: RunId
    job: Text


class Caption(Result):
    """The caption of an image: `file` is the user's name for it, `place` its path in the run's directory."""

    file: LongText
    caption: LongText
    image_id: int | Finite | Text | None
    place: Text


class Written(Result):
    """The files that an ended run wrote."""

    checkpoints: Annotated[Many[RunFile], Field(max_length=1000)]
    captions: Annotated[Many[Caption], Field(max_length=MANY)]
    set_aside: Annotated[Many[SetAside], Field(max_length=MANY)]


class FollowedRun(Result):
    """The next part of a run's log, up to `offset`, and the state of the run; `more`: the log already has more text."""

    log: Text
    text: Annotated[str, Field(max_length=64 << 20)]
    offset: Whole
    running: bool
    waiting: bool
    exit_code: ExitCode | None
    ended: Ending | None
    more: bool = False
    wrote: Written | None = None
    """None until the run has ended."""


class OpenedModel(Result):
    """A model that was opened on its host: its iteration, number of words, loss and CIDEr."""

    file: Text
    bytes: Whole
    iteration: Iteration
    words: Whole
    loss: float | None
    cider: float | None


class BrokenModel(Result):
    """A model that could not be opened, and the reason."""

    file: Text
    bytes: Whole
    problem: LongText


def _kind(value: Any) -> str:
    return "broken" if isinstance(value, BrokenModel) or (isinstance(value, dict) and "problem" in value) else "opened"


ProbedModel = Annotated[
    Annotated[OpenedModel, Tag("opened")] | Annotated[BrokenModel, Tag("broken")], Discriminator(_kind)
]


class ProbedRun(Result):
    """The models of a run, each opened."""

    models: Annotated[Many[ProbedModel], Field(max_length=1000)]


class ScoredRun(Result):
    """The scores of a run's captions: `used` of `of` captions were compared with `annotations`; saved in `file`."""

    scores: Annotated[dict[Annotated[str, Field(pattern=r"^\w{1,100}$")], Finite], Field(min_length=1, max_length=32)]
    used: Whole | None
    of: Whole
    annotations: Text
    generation: Text
    source: Text
    file: Text
    time: Whole = 0
    remarks: Annotated[Many[LongText], Field(max_length=10)]


def _from_base64(value: Any) -> bytes:
    """The bytes that a host sent as base64."""
    if not isinstance(value, str):
        raise ValueError("base64 must be text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64") from None


class FilesOfRun(Result):
    """{name: content} of files of a run; `later` lists the files that must be requested again."""

    files: Annotated[dict[Text, Annotated[bytes, PlainValidator(_from_base64)]], Field(max_length=MANY)]
    later: Annotated[Many[Text], Field(max_length=MANY)] = ()
