"""The points that a curve is drawn through: what can be drawn, what to say of the rest, and fewer of many. Pure."""

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
FAVOURITE = "CIDEr"
"""The score that says most."""

_LARGEST = 1e30  # beyond it the axes themselves overflow


def series(history: History, what: str) -> Points:
    """Everything of a history under that name: `loss`, `validation loss` or a score, whether it can be drawn or not."""
    if what == LOSS:
        return history.losses
    if what == VALIDATION:
        return history.validations
    return history.score(what)


def names(history: History) -> tuple[str, ...]:
    """The scores of a history, the one that says most first: CIDEr, else the first there is."""
    found = list(dict.fromkeys(name for _iteration, scores in history.scores for name, _value in scores))
    return tuple(sorted(found, key=lambda name: name != FAVOURITE))


def drawable(points: Points) -> list[tuple[int, float]]:
    """The points that have a place on paper: neither NaN nor endless nor beyond all measure."""
    return [(iteration, value) for iteration, value in points if _fits(value)]


def remark(what: str, points: Points) -> str:
    """One sentence on the points that cannot be drawn, and from where on; nothing where all can."""
    left_out = [(iteration, value) for iteration, value in points if not _fits(value)]
    if not left_out:
        return ""
    is_what = "too large to draw" if all(math.isfinite(value) for _iteration, value in left_out) else "not a number"
    first = left_out[0][0]
    if all(not _fits(value) for iteration, value in points if iteration >= first):
        return f"{what} is {is_what} from iteration {first:,} on"
    return f"{what} is {is_what} at {len(left_out):,} of {len(points):,} points, first at iteration {first:,}"


def last(history: History) -> int:
    """The last iteration of which anything is known."""
    known = [iteration for part in (history.losses, history.validations, history.scores) for iteration, _value in part]
    return max([0, *known, *(stage.end for stage in history.stages)])


def thin(points: Points, count: int) -> list[tuple[int, float]]:
    """At most about that many points of them; no peak is lost: of each stretch the least and the most stay."""
    if len(points) <= count:
        return list(points)
    kept: list[tuple[int, float]] = []
    for stretch in _stretches(points, max(count // 2, 1)):
        least = min(range(len(stretch)), key=lambda place: stretch[place][1])
        most = max(range(len(stretch)), key=lambda place: stretch[place][1])
        kept += [stretch[place] for place in sorted({least, most})]
    return kept


def means(points: Points, count: int) -> list[tuple[float, float]]:
    """The mean of each of that many stretches, at its middle; the points themselves where there are not more."""
    if len(points) <= count:
        return [(float(iteration), value) for iteration, value in points]
    return [
        ((stretch[0][0] + stretch[-1][0]) / 2, sum(value for _iteration, value in stretch) / len(stretch))
        for stretch in _stretches(points, count)
    ]


def band(envelope: Envelope | None, what: str, end: int, count: int = 200) -> list[tuple[int, float, float]]:
    """(iteration, least, most) of an envelope from 0 to `end`, where it says something: at every corner and between."""
    if envelope is None:
        return []
    corners = {entry.iteration for entry in envelope.ranges.get(what, ()) if entry.iteration <= end}
    places = sorted(corners | {round(end * step / count) for step in range(count + 1)})
    known = [(place, envelope.at(what, place)) for place in places]
    return [(place, ends[0], ends[1]) for place, ends in known if ends and _fits(ends[0]) and _fits(ends[1])]


def plain(text: str, length: int = 40) -> str:
    """A name from outside in one line that moves no cursor and breaks no XML, cut where it is long."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return line if len(line) <= length else line[: length - 1] + "…"


def _fits(value: float) -> bool:
    return abs(value) < _LARGEST  # which NaN is not either


def _stretches(points: Points, count: int) -> Iterator[Points]:
    """The points in that many stretches of nearly the same number of points."""
    ends = [len(points) * step // count for step in range(count + 1)]
    return (points[start:end] for start, end in pairwise(ends) if end > start)
