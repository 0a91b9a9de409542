"""The only printer: words and tables for people, or one JSON document."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from neuraltalk_provision.errors import ProvisionError

Advance = Callable[[int], None]


def hush() -> None:
    """Send what is still to be written to stdout nowhere, for nobody reads it any more."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Console(Console):
    """A console that outlives its reader: `provision site | head` still does its work and tells by its code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        hush()


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
        self.out.print(text, markup=False)

    def pass_on(self, text: str) -> None:
        """Text of another program, as it is."""
        if text and not self.as_json:
            _write(text)

    def result(self, document: Mapping[str, Any]) -> None:
        """The verb's result, printed with --json only."""
        if self.as_json:
            _write(json.dumps(document, indent=2, default=str) + "\n")

    def error(self, error: ProvisionError) -> None:
        """What happened, and what to do next."""
        if self.as_json:
            told = {"error": error.message, "advice": error.advice, "kind": type(error).__name__}
            self.result({**error.document, **told})
            return
        self.err.print(Text.assemble(("error:", "bold red"), " ", error.message))
        if error.advice:
            self.err.print(Text.assemble(("next:", "bold"), " ", error.advice))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; the cells are plain text."""
        folding = (Column(name, overflow="fold") for name in columns)
        table = Table(*folding, title=escape(title), title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.out.print(table)

    def step(self, host: str, component: str, what: str, evidence: Any) -> None:
        """One component of one host is done."""
        self.out.print(f"  {escape(host):<16} {escape(component):<14} {what}  [dim]{escape(_short(evidence))}[/]")

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
            self._status.update(escape(task))

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A spinner while something runs; none where the output is not a terminal."""
        if not self.err.is_terminal:
            yield
            return
        with self.err.status(escape(what)) as status:
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
            task = progress.add_task(escape(what), total=total)
            yield lambda count: progress.update(task, advance=count)


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        hush()


def _short(evidence: Any) -> str:
    """Evidence in a few words, for the line of one component."""
    if isinstance(evidence, Mapping) and "installed" in evidence:
        absent = evidence.get("absent") or ()
        lacking = f", not to be had: {', '.join(absent)}" if absent else ""
        return f"{len(evidence['installed'])} packages{lacking}"
    if isinstance(evidence, Mapping) and "loads" in evidence:
        return f"in {evidence['seconds']:.0f} s, {_short(evidence['loads'])}"
    if isinstance(evidence, list) and evidence and isinstance(evidence[0], Mapping):
        return "loads " + ", ".join(str(seen.get("module", seen)) for seen in evidence)
    return str(evidence)[:100] if evidence else ""


def _unified(diff: Mapping[str, Any]) -> str:
    before, after = (str(diff.get(side, "")).splitlines(keepends=True) for side in ("before", "after"))
    old, new = (str(diff.get(f"{side}_header", side)) for side in ("before", "after"))
    return "".join(difflib.unified_diff(before, after, old, new, n=1)).rstrip()
