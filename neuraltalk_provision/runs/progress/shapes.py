"""The shapes of what hosts answer about runs, for the door (site/answers.py). Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from neuraltalk_provision.site.answers import Number, Shape, Text, Words


class Queued(Shape):
    """A run that was given to Slurm, with the state of its job."""

    id: Text
    job: Text
    program: Text
    state: Text
    node: Text
    reason: Words
    output: Text
    submitted: Number
    arguments: dict[str, Any]


class FreeCard(Shape):
    """A card that a run could have now."""

    uuid: Text


class Listed(Shape):
    """The result of the module `stack_run` for the state listed; each run is looked at on its own."""

    runs: list[dict[str, Any]] = Field(max_length=100_000)
    queued: list[Queued] = Field(max_length=100_000)
    free: list[FreeCard] = Field(max_length=1000)


class Followed(Shape):
    """What `stack_run` says of one run while it is followed."""

    log: Text
    text: str = Field(max_length=64 << 20)
    offset: Number
    running: bool
    waiting: bool
    exit_code: int | None
    ended: dict[str, Any] | None
    more: bool = False


class FollowedRun(Shape):
    """The result of the module `stack_run` for the state followed."""

    run: Followed


class OneRun(Shape):
    """The result of the module `stack_run` for the other states of one run."""

    run: dict[str, Any]


class Scored(Shape):
    """What `stack_run` says of one run that it has scored."""

    scores: dict[Annotated[str, Field(pattern=r"^\w{1,100}$")], Annotated[float, Field(allow_inf_nan=False)]] = Field(
        min_length=1, max_length=32
    )
    used: Number | None
    of: Number
    annotations: Text
    generation: Text
    source: Text
    file: Text
    remarks: list[Words] = Field(max_length=10)


class ScoredRun(Shape):
    """The result of the module `stack_run` for the state scored."""

    run: Scored
