"""The only printer: words and tables for people, or one JSON document.

Whatever is printed may hold what a host, a file or a name says: nothing of it commands the terminal (text.py). A stdout
that takes no more does not stop the work that is told of (streams.py).
"""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from neuraltalk_provision import streams
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.text import of_a_log, visible

MANY_ROWS = 200
"""From more rows on a table is aligned in plain text."""
Advance = Callable[[int], None]

_DEEPEST = 60
"""How many lists in lists a document may have."""


class _Console(Console):
    """A console that outlives its reader: `provision site | head` still does its work and tells by its code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        if not self.stderr:
            streams.hush()

    def print(self, *objects: Any, **options: Any) -> None:
        with suppress(OSError) if self.stderr else streams.outliving():
            super().print(*objects, **options)


class Output:
    """What a verb prints: words as it goes, or with `as_json` one document on stdout at its end."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _Console(quiet=as_json, highlight=False, soft_wrap=True, emoji=False)
        if not self.out.is_terminal:
            self.out.width = 1000  # no table is cut in a file or a pipe
        self.err = _Console(stderr=True, quiet=as_json, highlight=False, soft_wrap=True, emoji=False)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """A line of words."""
        self.out.print(visible(text), markup=False)

    def pass_on(self, text: str) -> None:
        """Text of another program: its log, without colours."""
        if text and not self.as_json:
            _write(of_a_log(text))

    def result(self, document: Mapping[str, Any]) -> None:
        """The verb's result, printed with --json only."""
        if self.as_json:
            _write(json.dumps(_as_json(document), indent=2, allow_nan=False) + "\n")

    def error(self, error: ProvisionError, log: str = "") -> None:
        """What happened, what to do next, and where the log of the command lies."""
        if self.as_json:
            told = {"error": error.message, "advice": error.advice, "kind": type(error).__name__}
            self.result({**error.document, **told, **({"log": log} if log else {})})
            return
        self.warn(error.message, error.advice)
        if log:
            self.remark("log", log)

    def warn(self, message: str, advice: str = "") -> None:
        """What happened, on stderr; nothing with --json."""
        self.err.print(Text.assemble(("error:", "bold red"), " ", visible(message)))
        if advice:
            self.err.print(Text.assemble(("next:", "bold"), " ", visible(advice)))

    def remark(self, label: str, text: str) -> None:
        """A line on stderr beside the outcome, such as `log: FILE`; nothing with --json."""
        self.err.print(Text.assemble((f"{label}:", "bold"), " ", visible(text)))

    def detail(self, text: str) -> None:
        """Lines on stderr of what goes on, for who asked for them."""
        self.err.print(visible(text.rstrip("\n")), markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; the cells are plain text. One of very many rows is only aligned: to fit it takes seconds."""
        rows = list(rows)
        if len(rows) > MANY_ROWS:
            self.say("\n".join([title, *_aligned([list(columns), *rows])]))
            return
        folding = (Column(_cell(name), overflow="fold") for name in columns)
        table = Table(*folding, title=_cell(title), title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(_cell(cell) for cell in row))
        self.out.print(table)

    def step(self, host: str, component: str, what: str, evidence: Any) -> None:
        """One component of one host is done."""
        self.out.print(f"  {_cell(host):<16} {_cell(component):<14} {visible(what)}  [dim]{_cell(_short(evidence))}[/]")

    def diffs(self, diffs: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """What would change, as unified diffs, each once for all hosts that share it."""
        shown: dict[str, list[str]] = {}
        for host, diff in diffs:
            text = _unified(diff)
            if text:
                shown.setdefault(text, []).append(host)
        for text, hosts in shown.items():
            self.say(f"--- on {', '.join(hosts)}\n{text}")

    def busy(self, task: str) -> None:
        """What is being worked on, beside the spinner."""
        if self._status:
            self._status.update(_cell(task))

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A spinner while something runs; none where the output is not a terminal."""
        if not self.err.is_terminal:
            yield
            return
        with self.err.status(_cell(what)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    @contextmanager
    def screen(self) -> Iterator[Callable[[str], None]]:
        """Gives the function that shows a text in the place of the one before; where no terminal is, below it."""
        if self.as_json or not self.out.is_terminal:
            yield self.say
            return
        with Live(console=self.out, auto_refresh=False) as live:
            yield lambda text: live.update(Text.from_ansi(text), refresh=True)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines that a picture may have."""
        return min(self.out.width, 120), max(12, self.out.height - 8)

    @property
    def coloured(self) -> bool:
        """Whether escape codes are understood."""
        return self.out.is_terminal and not self.out.no_color

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """A bar over `total` bytes; gives the function that moves it."""
        if total == 0 or not self.err.is_terminal:
            yield lambda count: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self.err, transient=True) as progress:
            task = progress.add_task(_cell(what), total=total)
            yield lambda count: progress.update(task, advance=count)


def _write(text: str) -> None:
    with streams.outliving():
        sys.stdout.write(text)
        sys.stdout.flush()


def _cell(text: str) -> str:
    """Text from outside as it stands in rich's markup: it is none."""
    return escape(visible(text))


def _as_json(value: Any, depth: int = 0) -> Any:
    """The value in what JSON has: null for NaN, for what is endless and for numbers without measure."""
    if depth > _DEEPEST:
        return "(nested too deeply to be shown)"
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < 4_096 else None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): _as_json(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(entry, depth + 1) for entry in value]
    return str(value)


def _key(key: Any) -> str:
    """A key as JSON's own rules write it."""
    plain = _as_json(key)
    return plain if isinstance(plain, str) else json.dumps(plain, allow_nan=False)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    shown = [[visible(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def _short(evidence: Any) -> str:
    """Evidence in a few words, for the line of one component; a host may tell whatever it likes."""
    try:
        return _known(evidence)
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return repr(evidence)[:100]


def _known(evidence: Any) -> str:
    if isinstance(evidence, Mapping) and "installed" in evidence:
        absent = evidence.get("absent") or ()
        lacking = f", not available: {', '.join(absent)}" if absent else ""
        return f"{len(evidence['installed'])} packages{lacking}"
    if isinstance(evidence, Mapping) and "loads" in evidence:
        return f"in {evidence['seconds']:.0f} s, {_known(evidence['loads'])}"
    if isinstance(evidence, list) and evidence and isinstance(evidence[0], Mapping):
        return "loads " + ", ".join(str(seen.get("module", seen)) for seen in evidence)
    return str(evidence)[:100] if evidence else ""


def _unified(diff: Mapping[str, Any]) -> str:
    before, after = (str(diff.get(side, "")).splitlines(keepends=True) for side in ("before", "after"))
    old, new = (str(diff.get(f"{side}_header", side)) for side in ("before", "after"))
    return "".join(difflib.unified_diff(before, after, old, new, n=1)).rstrip()
