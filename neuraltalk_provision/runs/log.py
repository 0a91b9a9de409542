"""What train.lua and eval.lua print, read: losses, scores, checkpoints, and what went wrong. Pure.

Lua's lines end in a tab, the scorer's own output stands between them in no fixed order, and a log that is read while
it is written ends in the middle of a line: what is not whole is not taken for a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from neuraltalk_provision import text as foreign

LONGEST = 8192
"""Characters of a line that are looked at: what a path can have, and more than any number."""
_ERROR_SHOWN = 500
# Every repetition is bounded: a number of 5,000 digits is none of ours, and int() would not take it.
_NUMBER = r"[-+]?(?:[0-9]{1,330}(?:\.[0-9]{0,60})?(?:[eE][-+]?[0-9]{1,4})?|nan|inf)"
_WHOLE = r"[0-9]{1,15}"
_ITERATION = re.compile(rf"iter ({_WHOLE}): ({_NUMBER})")
_VALIDATION = re.compile(rf"validation loss:[ \t]{{1,20}}({_NUMBER})")
_EVALUATION = re.compile(rf"loss:[ \t]{{1,20}}({_NUMBER})")
_ENTRY = re.compile(r"[ \t]{1,20}(\w{1,100}) : (\S{1,400})")
_SCORE = re.compile(_NUMBER)
_IMAGES = re.compile(rf"assigned ({_WHOLE}) images to split train")
_CHECKPOINT = "wrote checkpoint to "
_PYTHON_ERROR = re.compile(r"\w{0,100}Error: ")
_MEMORY = ("not enough memory", "out of memory")
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
    """A log, whole or as far as it was written; in one pass, so that its length is all that it costs."""
    found = _Reader()
    for line, whole in lines(text if isinstance(text, str) else ""):
        found.take(line, whole)
    return found.progress()


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line of a log that has ended, as a terminal would leave it, and whether that is all of it.

    At most `LONGEST` characters of it. Colours are gone, and what was written over from a carriage return on.
    """
    start = 0
    while (end := text.find("\n", start)) >= 0:
        last = end
        while last > start and text[last - 1] == "\r":
            last -= 1
        first = max(start, text.rfind("\r", start, last) + 1)
        yield foreign.without_sequences(text[first : min(last, first + LONGEST)]), last - first <= LONGEST
        start = end + 1


class _Reader:
    """What has been read of a log so far."""

    def __init__(self) -> None:
        self.iteration = 0
        self.losses: list[tuple[int, float]] = []
        self.validations: list[tuple[int, float]] = []
        self.scores: list[tuple[int, tuple[tuple[str, float], ...]]] = []
        self.checkpoints: list[tuple[int, str]] = []
        self.evaluation: float | None = None
        self.images: int | None = None
        self.exploding = False
        self.error = ""
        self._table: list[tuple[str, str]] | None = None
        """The entries of the table that is open."""

    def take(self, line: str, whole: bool) -> None:
        """Look at the next line; one that is not whole has no number, only words."""
        self.exploding = self.exploding or EXPLODING in line
        self.error = self.error or _error(line)[:_ERROR_SHOWN]
        self._tabulate(line if whole else "")
        if not whole:
            return
        if line.startswith("iter "):
            if match := _ITERATION.fullmatch(line.rstrip()):
                self.iteration = int(match[1])
                self.losses.append((self.iteration, float(match[2])))
        elif line.startswith("validation loss:"):
            if match := _VALIDATION.fullmatch(line.rstrip()):
                self.validations.append((self.iteration, float(match[1])))
        elif line.startswith("loss:"):
            if match := _EVALUATION.fullmatch(line.rstrip()):
                self.evaluation = float(match[1])
        elif line.startswith(_CHECKPOINT):
            self.checkpoints.append((self.iteration, line.removeprefix(_CHECKPOINT).strip()))
        elif self.images is None and (match := _IMAGES.fullmatch(line.rstrip())):
            self.images = int(match[1])

    def _tabulate(self, line: str) -> None:
        """Scores stand in a table, from a line with `{` to one with `}`; one with anything else between is none."""
        if line == "{":
            self._table = []
        elif self._table is None:
            return
        elif match := _ENTRY.fullmatch(line.rstrip()):
            self._table.append((match[1], match[2]))
        else:
            if line.startswith("}") and self._table:
                scores = ((name, float(value)) for name, value in self._table if _SCORE.fullmatch(value))
                self.scores.append((self.iteration, tuple(sorted(scores))))
            self._table = None

    def progress(self) -> Progress:
        """All of it."""
        return Progress(
            losses=tuple(self.losses),
            validations=tuple(self.validations),
            scores=tuple(self.scores),
            checkpoints=tuple(self.checkpoints),
            evaluation=self.evaluation,
            images=self.images,
            exploding=self.exploding,
            error=self.error,
        )


def _error(line: str) -> str:
    """What went wrong, where a line says so."""
    before, found, after = line.partition("luajit: ")
    if found and (not before or before.endswith("/")):
        return after.strip()
    if _PYTHON_ERROR.match(line) or any(words in line for words in _MEMORY):
        return line.strip()
    return ""
