"""The points of a curve: those that can be drawn, a remark about the others, and fewer points of many. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from neuraltalk_provision.rules.run import VALIDATION_LOSS
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.verdict.envelope import Envelope

Points: TypeAlias = Sequence[tuple[int, float]]

LOSS = "loss"
VALIDATION = VALIDATION_LOSS
MAIN_SCORE = "CIDEr"
"""The most important score."""

_LARGEST = 1e30  # with larger values the axes overflow


def series(history: History, what: str) -> Points:
    """All points of a history with that name: `loss`, `validation loss` or a score."""
    if what == LOSS:
        return history.losses
    if what == VALIDATION:
        return history.validations
    return history.score(what)


def names(history: History) -> tuple[str, ...]:
    """The names of the scores in a history; CIDEr is the first, if there is one."""
    found = list(dict.fromkeys(name for _iteration, scores in history.scores for name, _value in scores))
    return tuple(sorted(found, key=lambda name: name != MAIN_SCORE))


def drawable(points: Points) -> list[tuple[int, float]]:
    """The points that can be drawn: not NaN, not infinite and not too large."""
    return [(iteration, value) for iteration, value in points if _fits(value)]


def remark(what: str, points: Points) -> str:
    """A sentence about the points that cannot be drawn; empty if all can be drawn."""
    left_out = [(iteration, value) for iteration, value in points if not _fits(value)]
    if not left_out:
        return ""
    is_what = "too large to draw" if all(math.isfinite(value) for _iteration, value in left_out) else "not a number"
    first = left_out[0][0]
    if all(not _fits(value) for iteration, value in points if iteration >= first):
        return f"{what} is {is_what} from iteration {first:,} on"
    return f"{what} is {is_what} at {len(left_out):,} of {len(points):,} points, first at iteration {first:,}"


def last(history: History) -> int:
    """The last iteration in a history."""
    known = [iteration for part in (history.losses, history.validations, history.scores) for iteration, _value in part]
    return max([0, *known, *(stage.end for stage in history.stages)])


def thin(points: Points, count: int) -> list[tuple[int, float]]:
    """About `count` points: of each section of the curve the lowest and the highest, so that no peak is lost."""
    if len(points) <= count:
        return list(points)
    kept: list[tuple[int, float]] = []
    for section in _sections(points, max(count // 2, 1)):
        least = min(range(len(section)), key=lambda place: section[place][1])
        most = max(range(len(section)), key=lambda place: section[place][1])
        kept += [section[place] for place in sorted({least, most})]
    return kept


def means(points: Points, count: int) -> list[tuple[float, float]]:
    """The means of `count` sections of the curve, each at its middle; the points themselves if there are not more."""
    if len(points) <= count:
        return [(float(iteration), value) for iteration, value in points]
    return [
        ((section[0][0] + section[-1][0]) / 2, sum(value for _iteration, value in section) / len(section))
        for section in _sections(points, count)
    ]


def band(envelope: Envelope | None, what: str, end: int, count: int = 200) -> list[tuple[int, float, float]]:
    """(iteration, least, most) of an envelope from 0 to `end`: at each of its iterations, and about `count` others."""
    if envelope is None:
        return []
    corners = {entry.iteration for entry in envelope.ranges.get(what, ()) if entry.iteration <= end}
    places = sorted(corners | {round(end * step / count) for step in range(count + 1)})
    known = [(place, envelope.at(what, place)) for place in places]
    return [(place, ends[0], ends[1]) for place, ends in known if ends and _fits(ends[0]) and _fits(ends[1])]


def plain(text: str, length: int = 40) -> str:
    """A text of a host or user as one line without control characters, cut to `length` characters."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return line if len(line) <= length else line[: length - 1] + "…"


def _fits(value: float) -> bool:
    return abs(value) < _LARGEST  # also False for NaN


def _sections(points: Points, count: int) -> Iterator[Points]:
    """The points in `count` sections of nearly the same number of points."""
    ends = [len(points) * step // count for step in range(count + 1)]
    return (points[start:end] for start, end in pairwise(ends) if end > start)
