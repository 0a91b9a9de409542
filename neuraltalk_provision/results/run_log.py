"""What a host reads in the log of a run, as its reader (neuraltalk_log) reports it. Pure."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict

from neuraltalk_provision.results.base import Many, Result, Text, Words

POINTS = 4_000_000
"""Entries of a series at most: as many as the controller's own reader can keep."""


def _printed(value: Any) -> Any:
    """A number as a program printed it; JSON has no word for NaN and infinity, so these come as text."""
    if isinstance(value, str) and len(value) <= 10:
        number = float(value)
        if math.isfinite(number):
            raise ValueError("text is for what is no finite number")
        return number
    return value


Iteration = Annotated[int, Field(ge=0, le=2**53)]
Printed = Annotated[float, BeforeValidator(_printed)]
Point = Annotated[tuple[Iteration, Printed], Strict(False)]
Scores = Annotated[dict[Annotated[str, Field(max_length=100)], Printed], Field(max_length=100)]
Series = Annotated[Many[Point], Field(max_length=POINTS)]


class LogResult(Result):
    """Losses, validations, scores and written files, each with its iteration; `evaluation` is eval.lua's last loss."""

    losses: Series
    validations: Series
    scores: Annotated[Many[Annotated[tuple[Iteration, Scores], Strict(False)]], Field(max_length=POINTS)]
    checkpoints: Annotated[Many[Annotated[tuple[Iteration, Text], Strict(False)]], Field(max_length=POINTS)]
    evaluation: Printed | None
    images: Iteration | None
    exploding: bool
    error: Words
    backwards: Annotated[tuple[Iteration, Iteration], Strict(False)] | None
    """(before, after) where the iterations run backwards."""
    not_finite: Point | None
    """The first loss that is NaN or infinite."""
