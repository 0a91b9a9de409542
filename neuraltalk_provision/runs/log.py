"""What train.lua and eval.lua print, read: losses, scores, checkpoints, and what went wrong. Pure.

Lua's lines end in a tab, the scorer's own output stands between them in no fixed order, and a log that is read while
it is written ends in the middle of a line: what is not whole is not taken for a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_ITERATION = re.compile(rf"^iter (\d+): ({_NUMBER})\s*$", re.M)
_VALIDATION = re.compile(rf"^validation loss:\s+({_NUMBER})\s*$", re.M)
_SCORES = re.compile(r"^\{\n((?:[ \t]+\w+ : \S+[ \t]*\n)+)\}", re.M)
_SCORE = re.compile(rf"^[ \t]+(\w+) : ({_NUMBER})\s*$", re.M)
_CHECKPOINT = re.compile(r"^wrote checkpoint to (.*?)\s*$", re.M)
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
    checkpoints: tuple[str, ...] = ()
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


def read(text: str) -> Progress:
    """A log, whole or as far as it was written."""
    whole = text[: text.rfind("\n") + 1].replace("\r\n", "\n")
    at = [(match.start(), int(match[1]), float(match[2])) for match in _ITERATION.finditer(whole)]

    def iteration(place: int) -> int:
        return max((number for start, number, _loss in at if start < place), default=0)

    error = next(iter(_ERROR.finditer(whole)), None)
    return Progress(
        losses=tuple((number, loss) for _start, number, loss in at),
        validations=tuple((iteration(m.start()), float(m[1])) for m in _VALIDATION.finditer(whole)),
        scores=tuple(
            (iteration(m.start()), tuple(sorted((name, float(value)) for name, value in _SCORE.findall(m[1]))))
            for m in _SCORES.finditer(whole)
        ),
        checkpoints=tuple(m[1] for m in _CHECKPOINT.finditer(whole)),
        exploding=EXPLODING in whole,
        error=next((group for group in error.groups() if group), "") if error else "",
    )
