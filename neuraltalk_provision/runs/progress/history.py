"""A training over all its stages, in one count of iterations: with `-start_from` a run counts from 0 again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from neuraltalk_provision.runs.progress.log import Progress

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Stage:
    """One run of a line of runs: `start` is its iteration 0 in the line's count, `end` its last iteration there."""

    id: str
    start: int
    end: int


@dataclass(frozen=True)
class History:
    """A training from its first stage to its last: (iteration, value) in order, counted over the whole line."""

    losses: tuple[tuple[int, float], ...] = ()
    validations: tuple[tuple[int, float], ...] = ()
    scores: tuple[tuple[int, tuple[tuple[str, float], ...]], ...] = ()
    stages: tuple[Stage, ...] = ()

    def score(self, name: str) -> tuple[tuple[int, float], ...]:
        """One score over the iterations, such as CIDEr."""
        return tuple((iteration, dict(scores)[name]) for iteration, scores in self.scores if name in dict(scores))


@dataclass(frozen=True)
class Part:
    """A run as part of a line: its progress, counted from its own 0, and where in its parent it begins."""

    id: str
    progress: Progress
    begins: int = 0
    """The iteration of the parent, in the parent's own count, whose weights this run started from."""


def merge(line: Sequence[Part]) -> History:
    """The history of a line of runs, the first one first.

    Of a parent only the iterations up to the checkpoint are kept: later ones are not part of its child.
    """
    losses: list[tuple[int, float]] = []
    validations: list[tuple[int, float]] = []
    scores: list[tuple[int, tuple[tuple[str, float], ...]]] = []
    stages: list[Stage] = []
    start = 0
    for place, part in enumerate(line):
        start += part.begins
        until = line[place + 1].begins if place + 1 < len(line) else None
        progress = part.progress
        losses += _moved(progress.losses, start, until)
        validations += _moved(progress.validations, start, until)
        scores += _moved(progress.scores, start, until)
        last = progress.iteration or 0
        stages.append(Stage(part.id, start, start + (last if until is None else until)))
    return History(tuple(losses), tuple(validations), tuple(scores), tuple(stages))


def _moved(entries: Sequence[tuple[int, Entry]], start: int, until: int | None) -> list[tuple[int, Entry]]:
    return [(start + iteration, value) for iteration, value in entries if until is None or iteration <= until]
