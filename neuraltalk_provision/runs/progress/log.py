"""The output of train.lua and eval.lua, read with the same rules as on hosts (rules/log.py). Pure.

A host returns a log as a `LogResult`; here that becomes a `Progress`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from neuraltalk_provision.results.run_log import LogResult
from neuraltalk_provision.rules import log as rules

POINTS = 1_000_000
"""How many losses of a log are kept at most when it is read here; they are spread evenly."""
EXPLODING: str = rules.EXPLODING


@dataclass(frozen=True)
class Progress:
    """How far a training got: (iteration, loss) as printed, each validation with the last iteration before it."""

    losses: tuple[tuple[int, float], ...] = ()
    """If there are very many, an even selection, always with the last one and the first that is not a number."""
    validations: tuple[tuple[int, float], ...] = ()
    scores: tuple[tuple[int, tuple[tuple[str, float], ...]], ...] = ()
    checkpoints: tuple[tuple[int, str], ...] = ()
    """Every model that was written, with the last iteration before it."""
    evaluation: float | None = None
    """The loss that eval.lua ended with; NaN for a folder of images."""
    images: int | None = None
    """How many images there are to train on."""
    exploding: bool = False
    error: str = ""
    went_back: tuple[int, int] | None = None

    @property
    def iteration(self) -> int | None:
        """The last iteration that was printed; None before the first."""
        return self.losses[-1][0] if self.losses else None

    @property
    def divergence(self) -> str:
        """The first loss that is NaN or infinite, or that the program itself stopped because of it; else empty."""
        bad = next(((number, loss) for number, loss in self.losses if not math.isfinite(loss)), None)
        if bad:
            return f"loss {bad[1]} at iteration {bad[0]}"
        return f"its log says: {EXPLODING}" if self.exploding else ""

    @property
    def diverged(self) -> bool:
        """Whether a loss is NaN or infinite, or the program itself stopped because of it."""
        return bool(self.divergence)

    @property
    def backwards(self) -> tuple[int, int] | None:
        """(before, after) where the iterations decrease: two trainings wrote to one log. None where they increase."""
        numbers = [iteration for iteration, _loss in self.losses]
        return self.went_back or next(((before, after) for before, after in pairwise(numbers) if after <= before), None)


class Reader:
    """Reads a log piece by piece, in bounded memory whatever its size."""

    def __init__(self) -> None:
        self._reader = rules.Reader(POINTS, POINTS)

    def feed(self, text: str) -> None:
        """Read the next piece."""
        self._reader.feed(text)

    def progress(self) -> Progress:
        """The progress up to here."""
        return progress(LogResult.model_validate(self._reader.result()))


def progress(result: LogResult) -> Progress:
    """How far a training got, from what its host read in its log."""
    losses = result.losses
    bad = result.not_finite
    if bad and not any(not math.isfinite(loss) for _number, loss in losses):
        losses = tuple(sorted((*losses, bad), key=lambda entry: entry[0]))
    return Progress(
        losses=losses,
        validations=result.validations,
        scores=tuple((number, tuple(sorted(table.items()))) for number, table in result.scores),
        checkpoints=result.checkpoints,
        evaluation=result.evaluation,
        images=result.images,
        exploding=result.exploding,
        error=result.error,
        went_back=result.backwards,
    )
