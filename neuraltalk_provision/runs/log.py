"""What train.lua and eval.lua print, read: losses, scores, checkpoints, and what went wrong. Pure.

Lua's lines end in a tab, the scorer's own output stands between them in no fixed order, and a log that is read while
it is written ends in the middle of a line: what is not whole is not taken for a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_ITERATION = re.compile(rf"^iter (\d+): ({_NUMBER})\s*$", re.M)
_VALIDATION = re.compile(rf"^validation loss:\s+({_NUMBER})\s*$", re.M)
_EVALUATION = re.compile(rf"^loss:\s+({_NUMBER})\s*$", re.M)
_SCORES = re.compile(r"^\{\n((?:[ \t]+\w+ : \S+[ \t]*\n)+)\}", re.M)
_SCORE = re.compile(rf"^[ \t]+(\w+) : ({_NUMBER})\s*$", re.M)
_CHECKPOINT = re.compile(r"^wrote checkpoint to (.*?)\s*$", re.M)
_IMAGES = re.compile(r"^assigned (\d+) images to split train\s*$", re.M)
_ERROR = re.compile(
    r"^(?:.*?/luajit: |luajit: )(.*)$|^(\w*Error: .*)$|^(.*not enough memory.*|.*out of memory.*)$", re.M
)
EXPLODING = "loss seems to be exploding"


@dataclass(frozen=True)
class Progress:
    """How far a training got: (iteration, loss) as printed, each validation with the last iteration before it."""

    losses: tuple[tuple[int, float], ...] = ()
    validations: tuple[tuple[int, float], ...] = ()
    scores: tuple[tuple[int, tuple[tuple[str, float], ...]], ...] = ()
    checkpoints: tuple[tuple[int, str], ...] = ()
    """Every model that was written, with the last iteration before it."""
    evaluation: float | None = None
    """The loss that eval.lua ended with; no number for a folder of pictures."""
    images: int | None = None
    """How many images there are to train on."""
    exploding: bool = False
    error: str = ""

    @property
    def iteration(self) -> int | None:
        """The last iteration that was printed; None before the first."""
        return self.losses[-1][0] if self.losses else None

    @property
    def diverged(self) -> bool:
        """Whether the loss is no number any more, or the program itself gave it up."""
        return self.exploding or any(not math.isfinite(loss) for _iteration, loss in self.losses)

    @property
    def backwards(self) -> tuple[int, int] | None:
        """(before, after) where the iterations run backwards: two trainings wrote one log. None where they rise."""
        numbers = [iteration for iteration, _loss in self.losses]
        return next(((before, after) for before, after in pairwise(numbers) if after <= before), None)


def read(text: str) -> Progress:
    """A log, whole or as far as it was written."""
    whole = text[: text.rfind("\n") + 1].replace("\r\n", "\n")
    at = [(match.start(), int(match[1]), float(match[2])) for match in _ITERATION.finditer(whole)]

    def iteration(place: int) -> int:
        return max(((start, number) for start, number, _loss in at if start < place), default=(0, 0))[1]

    error = next(iter(_ERROR.finditer(whole)), None)
    images = _IMAGES.search(whole)
    evaluations = _EVALUATION.findall(whole)
    return Progress(
        losses=tuple((number, loss) for _start, number, loss in at),
        validations=tuple((iteration(m.start()), float(m[1])) for m in _VALIDATION.finditer(whole)),
        scores=tuple(
            (iteration(m.start()), tuple(sorted((name, float(value)) for name, value in _SCORE.findall(m[1]))))
            for m in _SCORES.finditer(whole)
        ),
        checkpoints=tuple((iteration(m.start()), m[1]) for m in _CHECKPOINT.finditer(whole)),
        evaluation=float(evaluations[-1]) if evaluations else None,
        images=int(images[1]) if images else None,
        exploding=EXPLODING in whole,
        error=next((group for group in error.groups() if group), "") if error else "",
    )
