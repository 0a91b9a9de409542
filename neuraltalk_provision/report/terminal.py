"""Curves for a terminal: the losses, and below them the main score."""

from __future__ import annotations

import math
import textwrap

from neuraltalk_provision.report import points
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.text import without_sequences

_NARROWEST, _LOWEST = 30, 8
_PER_COLUMN = 4
# The colour, the marker and its character of each curve: without colours, the markers distinguish the curves.
_LOOKS = {points.LOSS: ("blue+", "braille", "⣿"), points.VALIDATION: ("orange", "●", "●"), "": ("green+", "●", "●")}
_FAINT = (240, "·")


def curves(history: History, envelope: Envelope | None, width: int, height: int, colour: bool) -> str:
    """A plot of the losses, and below it one of CIDEr (or the first score), in at most `width` columns, `height` lines.

    Notes below name the envelope and values that cannot be drawn. If there is nothing to draw, only a sentence.
    """
    score = next(iter(points.names(history)), None)
    groups = [(points.LOSS, [points.LOSS, points.VALIDATION]), *([(score, [score])] if score else [])]
    shown = [
        (title, [what for what in series if points.drawable(points.series(history, what))]) for title, series in groups
    ]
    shown = [(title, series) for title, series in shown if series]
    drawn = [what for _title, series in groups for what in series]
    notes = [points.remark(points.plain(what, 20), points.series(history, what)) for what in drawn]
    if envelope and any(points.band(envelope, title, points.last(history)) for title, _series in shown):
        notes.append(f"{_FAINT[1]} expected range: {points.plain(envelope.name, 80)}")
    if not shown:
        return _sentences(["Nothing to draw yet: there is no loss and no score.", *notes], width)
    if width < _NARROWEST or height < _LOWEST:
        return _sentences(["There is not enough space to draw curves.", *notes], width)
    below = _sentences(notes, width).splitlines()[: height - _LOWEST]
    room = height - len(below)
    if room < _LOWEST * len(shown):
        shown = shown[:1]
    first = room if len(shown) == 1 else max(_LOWEST, min(room - _LOWEST, math.ceil(room * 0.6)))
    heights = (first, room - first)
    plots = [
        _plot(history, envelope, title, series, (width, lines))
        for (title, series), lines in zip(shown, heights, strict=False)
    ]
    text = "\n".join([*plots, *below])
    return text if colour else without_sequences(text)


def _sentences(sentences: list[str], width: int) -> str:
    """The sentences that are not empty, each on its own lines."""
    return "\n".join(line for sentence in sentences for line in textwrap.wrap(sentence, max(width, 1)))


def _plot(history: History, envelope: Envelope | None, title: str, series: list[str], size: tuple[int, int]) -> str:
    """One plot of that size. plotext has one global figure, so it is cleared before and after."""
    import plotext  # imported here, because most commands draw nothing

    end = max(points.last(history), 1)
    band = points.band(envelope, title, end, size[0])
    lines = {what: points.drawable(points.series(history, what)) for what in series}
    values = [value for line in lines.values() for _iteration, value in line]
    values += [edge for _iteration, least, most in band for edge in (least, most)]
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plotsize(size[0], size[1] - 1)
    for edge in (1, 2):
        if band:
            plotext.plot([row[0] for row in band], [row[edge] for row in band], color=_FAINT[0], marker=_FAINT[1])
    legend = []
    for what, line in lines.items():
        colour, marker, sign = _LOOKS.get(what, _LOOKS[""])
        legend.append(plotext.colorize(f"{sign} {points.plain(what, 20)}", colour))
        few = points.thin(line, _PER_COLUMN * size[0])
        draw = plotext.plot if what == points.LOSS and len(few) > 1 else plotext.scatter
        where = [[entry[axis] for entry in few] for axis in (0, 1)]
        draw(*where, color=colour, marker=marker)
    plotext.xlim(0, end)
    places = _ticks(0, end, min(max(size[0] // 16, 1), end))
    plotext.xticks(places, [f"{place:,.0f}" for place in places])
    low, high = _limits(values)
    plotext.ylim(low, high)
    places = _ticks(low, high, max((size[1] - 4) // 2, 2))
    plotext.yticks(places, [f"{place:>7.4g}" for place in places])
    drawn = str(plotext.build()).rstrip("\n")
    plotext.clear_figure()
    return f"  {'  '.join(legend)}\n{drawn}"


def _limits(values: list[float]) -> tuple[float, float]:
    """The lowest and the highest value; a little apart if they are equal."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - abs(low) / 10 - 0.1, high + abs(high) / 10 + 0.1)


def _ticks(low: float, high: float, count: int) -> list[float]:
    """At most about `count` round numbers from low to high."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
