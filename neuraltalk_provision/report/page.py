"""A report as one HTML page that needs no network, no script and no other file. Pure."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from neuraltalk_provision.report import figures, points
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.runs.verdict.gates import Verdict

_IMAGE = re.compile(r"image/[a-z0-9.+-]+")
# Characters that are not allowed in HTML or UTF-8, or that reorder the characters next to them.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Captioned:
    """An image and its caption; `kind` is the MIME type, `image` is None if it was not fetched from the host."""

    file: str
    caption: str
    image: bytes | None
    kind: str

    @property
    def uri(self) -> str:
        """The image as a data URI; "" without one, or if `kind` is not an image type."""
        if self.image is None or not _IMAGE.fullmatch(self.kind):
            return ""
        return f"data:{self.kind};base64,{base64.b64encode(self.image).decode()}"


@dataclass(frozen=True)
class Comparison:
    """One run of a sweep: the options that differ, its last loss, its lowest validation loss and its best score."""

    id: str
    host: str
    state: str
    options: tuple[tuple[str, str], ...]
    loss: float | None
    validation: float | None
    score: float | None


@dataclass(frozen=True)
class Report:
    """The contents of a page; empty parts are left out. `made` is the time for the footer."""

    title: str
    facts: tuple[tuple[str, str], ...]
    made: str
    history: History | None = None
    envelope: Envelope | None = None
    verdict: Verdict | None = None
    captions: tuple[Captioned, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    """(file, caption) of the pictures that are not shown on this page."""
    pages: tuple[tuple[str, str], ...] = ()
    """(label, file) of the links to the other pages of a large report."""
    comparison: tuple[Comparison, ...] = ()
    histories: Mapping[str, History] = field(default_factory=dict)
    log_tail: str = ""


@dataclass(frozen=True)
class _Figure:
    """A figure and the caption below it; `svg` is empty if there was nothing to draw."""

    svg: str
    caption: str


def render(report: Report) -> str:
    """The page. The same report gives the same text, byte for byte."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here, because most commands render no page

    environment = Environment(
        loader=PackageLoader("neuraltalk_provision.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _number
    page = environment.get_template("report.html.j2").render(
        report=report,
        curves=_curves(report),
        overlays=_overlays(report.histories),
        rows=ordered(report.comparison),
        options=tuple(dict.fromkeys(name for row in report.comparison for name, _value in row.options)),
    )
    return _UNFIT.sub("\ufffd", page.replace("\r\n", "\n").replace("\r", "\n"))


def ordered(rows: tuple[Comparison, ...]) -> tuple[Comparison, ...]:
    """The rows sorted by score (highest first), then by validation loss; rows without these numbers come last."""

    def key(row: Comparison) -> tuple[float, float, str]:
        score, validation = (
            value if value is not None and math.isfinite(value) else None for value in (row.score, row.validation)
        )
        return -score if score is not None else math.inf, validation if validation is not None else math.inf, row.id

    return tuple(sorted(rows, key=key))


def _curves(report: Report) -> list[_Figure]:
    """The figures of losses and scores, with the name of the envelope, or the reason why one cannot be drawn."""
    if report.history is None:
        return []
    history, end = report.history, points.last(report.history)
    names = points.names(history)
    drawn = [
        (figures.losses(history, report.envelope), points.LOSS, (points.LOSS, points.VALIDATION)),
        (figures.scores(history, report.envelope), names[0] if names else "", names),
    ]
    found = []
    for svg, banded, series in drawn:
        remarks = [] if svg else [points.remark(what, points.series(history, what)) for what in series]
        if svg and report.envelope and points.band(report.envelope, banded, end):
            remarks.insert(0, f"The band is the expected range of {banded}: {report.envelope.name}")
        caption = " ".join(f"{sentence}." for sentence in remarks if sentence)
        if svg or caption:
            found.append(_Figure(svg, caption))
    return found or [_Figure("", "Nothing to draw yet: there is no loss and no score.")]


def _overlays(histories: Mapping[str, History]) -> list[_Figure]:
    """The figures that compare runs: losses, validation losses, and the main score."""
    scores = [name for history in histories.values() for name in points.names(history)]
    wanted = [points.LOSS, points.VALIDATION, *sorted(set(scores), key=lambda name: name != points.MAIN_SCORE)[:1]]
    drawn = [_Figure(figures.overlay(histories, what), f"The {what} of each run.") for what in wanted]
    return [figure for figure in drawn if figure.svg]


def _number(value: float | None) -> str:
    if value is None:
        return "none yet"
    return f"{value:.3f}" if math.isfinite(value) else "not a number"
