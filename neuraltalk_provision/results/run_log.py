"""The contents of a run's log, as the reader on the host returns them (rules/log.py). Pure."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict

from neuraltalk_provision.results.base import LongText, Many, Result, Text

POINTS = 4_000_000
"""The maximum number of entries of a series: as many as the controller's own reader can keep."""


def _printed(value: Any) -> Any:
    """A number as a program printed it. NaN and infinity are text, because JSON has no form for them."""
    if isinstance(value, str) and len(value) <= 10:
        number = float(value)
        if math.isfinite(number):
            raise ValueError("text is only for NaN and infinity")
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
    error: LongText
    backwards: Annotated[tuple[Iteration, Iteration], Strict(False)] | None
    """(before, after) at the first place where the iterations decrease; otherwise None."""
    not_finite: Point | None
    """The first loss that is NaN or infinite."""
