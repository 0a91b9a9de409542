"""Figures as SVG text for an HTML page, drawn by matplotlib: losses, scores, and comparisons of runs. Pure."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from neuraltalk_provision.report import points, svg
from neuraltalk_provision.runs.progress.history import History, Stage
from neuraltalk_provision.runs.verdict.envelope import Envelope

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    Legend: TypeAlias = list[tuple[Artist, str]]

# Colours that are readable on white and on black, and for colour-blind people.
_COLOURS = ("#2f7fd0", "#d9720d", "#1f9e77", "#c0519a", "#8c7ae6", "#a08a00", "#c8443c", "#3aa6b9")
_LINES = ("-", "--", ":", "-.")
_BAND = "#1f9e77"
_WIDTH, _HEIGHT = 8.0, 3.6
_MANY = 600
_STYLE: dict[str, Any] = {
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), svg.INK),
}


def losses(history: History, envelope: Envelope | None) -> str:
    """Loss and validation loss over the iterations of all stages, with the envelope as a band; "" without values."""
    training, validation = points.drawable(history.losses), points.drawable(history.validations)

    def paint(axes: Axes) -> Legend:
        legend = _band(axes, envelope, points.LOSS, points.last(history))
        if training:
            many = len(training) > _MANY
            if many:
                axes.plot(*_split(points.thin(training, _MANY)), color=_COLOURS[0], alpha=0.35, linewidth=0.6)
            marker = "." if len(training) == 1 else ""
            line = axes.plot(*_split(points.means(training, _MANY // 3)), color=_COLOURS[0], marker=marker)
            legend.append((line[0], "loss, and its mean as a thick line" if many else points.LOSS))
        if validation:
            line = axes.plot(*_split(validation), color=_COLOURS[1], marker="o", markersize=3.5, linewidth=1.2)
            legend.append((line[0], points.VALIDATION))
        return legend

    if not training and not validation:
        return ""
    remarks = [points.remark(what, points.series(history, what)) for what in (points.LOSS, points.VALIDATION)]
    return _figure(paint, "loss", points.last(history), remarks, history.stages, ("losses", history, envelope))


def scores(history: History, envelope: Envelope | None) -> str:
    """Every score over the iterations, with the envelope of CIDEr (or the first score) as a band; "" without scores."""
    lines = {name: points.drawable(history.score(name)) for name in points.names(history)}

    def paint(axes: Axes) -> Legend:
        main = next(iter(lines))
        legend = _band(axes, envelope, main, points.last(history)) if lines[main] else []
        for place, (name, line) in enumerate(lines.items()):
            look: dict[str, Any] = {"linewidth": 1.0, "alpha": 0.75, "markersize": 2.5, "zorder": 2}
            if name == main:
                look = {"linewidth": 2.4, "markersize": 4.5, "zorder": 3}
            if line:
                legend.append((axes.plot(*_split(line), marker="o", **_look(place), **look)[0], name))
        return legend

    if not any(lines.values()):
        return ""
    remarks = [points.remark(name, history.score(name)) for name in lines]
    return _figure(paint, "score", points.last(history), remarks, history.stages, ("scores", history, envelope))


def overlay(histories: Mapping[str, History], what: str) -> str:
    """One curve for each run: `loss`, `validation loss` or a score by its name; "" if no run has values of it.

    The legend gives the run's id, and a remark about values that are not numbers.
    """
    given = {id: points.series(history, what) for id, history in histories.items()}
    remarks = {id: points.remark(id, line) for id, line in given.items()}
    lines = {id: points.drawable(line) for id, line in given.items()}

    def paint(axes: Axes) -> Legend:
        legend: Legend = []
        for place, (id, line) in enumerate(lines.items()):
            if line:
                shown = _split(points.means(line, _MANY // 3))
                marker = "o" if len(line) <= 60 else ""
                drawn = axes.plot(*shown, marker=marker, markersize=3, **_look(place))
                legend.append((drawn[0], remarks[id] or id))
        return legend

    if not any(lines.values()):
        return ""
    end = max(iteration for line in lines.values() for iteration, _value in line)
    not_drawn = [remarks[id] for id, line in lines.items() if not line]
    return _figure(paint, what, end, not_drawn, (), ("overlay", what, dict(histories)))


def _figure(
    paint: Callable[[Axes], Legend],
    what: str,
    end: int,
    remarks: Sequence[str],
    stages: Sequence[Stage],
    data: object,
) -> str:
    """The figure that `paint` draws, with stages, legend and remarks; `data` is everything that it depends on."""
    import matplotlib
    import matplotlib.style
    from matplotlib.figure import Figure

    salt = "f" + hashlib.sha256(repr(data).encode("utf-8", "replace")).hexdigest()[:12]
    sentences = [points.plain(sentence, 110) for sentence in remarks if sentence]
    # The user's matplotlibrc is ignored, so that the same data give the same text everywhere. Warnings about characters
    # that matplotlib's font lacks are ignored too, because the browser has its own fonts.
    style: Any = {**_STYLE, "svg.hashsalt": salt}
    with (
        matplotlib.style.context("default"),
        matplotlib.rc_context(style),
        warnings.catch_warnings(action="ignore"),
    ):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        legend = paint(axes)
        for line in axes.get_lines():
            line.set_gid("is-curve")
        axes.grid(alpha=0.2, color=svg.INK, linewidth=0.5)
        axes.set_xlim(0, max(end, 1))
        axes.locator_params(axis="x", integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel(points.plain(what), parse_math=False)
        axes.set_xlabel("\n".join(["iteration", *sentences]), parse_math=False)
        _stages(axes, stages)
        labels = [points.plain(label, 90) for _artist, label in legend]
        columns = _columns(labels)
        # The labels are set later, because matplotlib leaves out labels that begin with an underscore.
        box = figure.legend(
            [artist for artist, _ in legend], ["."] * len(labels), loc="outside lower center", ncols=columns
        )
        for text, label in zip(box.get_texts(), labels, strict=True):
            text.set_parse_math(False)
            text.set_text(label)
        lines = -(-len(labels) // columns) + len(sentences) + min(len(stages), 3)
        figure.set_size_inches(_WIDTH, _HEIGHT + 0.2 * lines)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return svg.embedded(
        drawn.getvalue(), salt, f"{points.plain(what)} over iterations: {'; '.join([*labels, *sentences])}"
    )


def _columns(labels: Sequence[str]) -> int:
    """The largest number of columns with which a legend fits the figure; the first columns can be one label longer."""
    for columns in range(min(5, len(labels)), 1, -1):
        rows, longer = divmod(len(labels), columns)
        starts = [rows * column + min(column, longer) for column in range(columns + 1)]
        widest = [max(map(len, labels[start:end])) for start, end in pairwise(starts)]
        if sum(widest) + 8 * columns <= 105:
            return columns
    return 1


def _band(axes: Axes, envelope: Envelope | None, what: str, end: int) -> Legend:
    """Draw the envelope as a band behind the curves."""
    band = points.band(envelope, what, end)
    if envelope is None or not band:
        return []
    where, least, most = zip(*band, strict=True)
    filled = axes.fill_between(where, least, most, color=_BAND, alpha=0.18, linewidth=0, zorder=1, gid="is-band")
    return [(filled, f"expected range: {points.plain(envelope.name, 60)}")]


def _stages(axes: Axes, stages: Sequence[Stage]) -> None:
    """Draw a line with the id where each stage begins, at three heights so that the ids do not overlap."""
    for place, stage in enumerate(stages):
        axes.axvline(stage.start, color=svg.INK, alpha=0.45, linewidth=0.8, linestyle=(0, (2, 2)))
        right = stage.start > axes.get_xlim()[1] / 2
        axes.annotate(
            points.plain(stage.id),
            (stage.start, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-2 if right else 2, 3 + 11 * (place % 3)),
            textcoords="offset points",
            horizontalalignment="right" if right else "left",
            fontsize=8,
            parse_math=False,
        )


def _look(place: int) -> dict[str, Any]:
    """The colour and line style of a curve; when all colours are used, the line style changes."""
    return {"color": _COLOURS[place % len(_COLOURS)], "linestyle": _LINES[place // len(_COLOURS) % len(_LINES)]}


def _split(line: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [where for where, _value in line], [value for _where, value in line]
