"""All output of commands: lines and tables for people, or one JSON document. No other module prints.

Text from hosts and files is printed without control characters (text.py). If stdout can no longer be written, the
command continues its work (streams.py).
"""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from neuraltalk_provision import streams
from neuraltalk_provision.again import completed
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.text import log_text, visible

if TYPE_CHECKING:
    from rich.status import Status

MANY_ROWS = 200
"""A table with more rows than this is printed as aligned plain text, which is much faster."""
Advance = Callable[[int], None]

_BLOCK = 1 << 20
_DEEPEST = 60
"""The maximum nesting depth of a JSON document."""


class _Console(Console):
    """A console that ignores write errors: in `provision site | head` the command still finishes its work."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        if not self.stderr:
            streams.discard_stdout()

    def print(self, *objects: Any, **options: Any) -> None:
        with suppress(OSError) if self.stderr else streams.ignoring_write_errors():
            super().print(*objects, **options)


class Output:
    """The output of a command: text while it runs, or with `as_json` one document on stdout at the end."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _Console(quiet=as_json, highlight=False, soft_wrap=True, emoji=False)
        if not self.out.is_terminal:
            self.out.width = 1000  # in a file or a pipe no table is cut off
        self.err = _Console(stderr=True, quiet=as_json, highlight=False, soft_wrap=True, emoji=False)
        self._status: Status | None = None

    @property
    def _lines(self) -> Console:
        """Where lines for stdout go: above the spinner, if both are on a terminal."""
        return self.err if self._status and self.out.is_terminal else self.out

    def say(self, text: str) -> None:
        """Print a line of text on stdout; nothing with --json."""
        self._lines.print(visible(completed(text)), markup=False)

    def of_hosts(self, told: Iterable[tuple[str, str]], begin: str = "") -> None:
        """Print what is told of hosts, as (host, text); many hosts of which the same is told have one line."""
        for line in lines(told):
            self.say(f"{begin}{line}")

    def pass_on(self, text: str) -> None:
        """Print the output of another program without colours; nothing with --json."""
        if text and not self.as_json:
            _write(log_text(text))

    def result(self, document: Mapping[str, Any]) -> None:
        """Print the result of the command; only with --json."""
        if self.as_json:
            _write(json.dumps(_as_json(document), indent=2, allow_nan=False) + "\n")

    def result_with_text(self, document: Mapping[str, Any], name: str, text: IO[str]) -> None:
        """Print the result with one more field, a text of any length that is read from a file; only with --json."""
        if self.as_json:
            begin, _, end = json.dumps(_as_json({**document, name: ""}), indent=2, allow_nan=False).rpartition('""')
            _write(f'{begin}"')
            while block := text.read(_BLOCK):
                _write(json.dumps(block)[1:-1])
            _write(f'"{end}\n')

    def error(self, error: ProvisionError, log: str = "") -> None:
        """Print an error, the advice, and the path of the command's log; with --json as one document."""
        if self.as_json:
            fields = {"error": error.message, "advice": error.advice, "kind": type(error).__name__}
            self.result({**error.document, **fields, **({"log": log} if log else {})})
            return
        self.warn(error.message, error.advice)
        if log:
            self.remark("log", log)

    def warn(self, message: str, advice: str = "") -> None:
        """Print an error and the advice on stderr; nothing with --json."""
        self.err.print(Text.assemble(("error:", "bold red"), " ", visible(completed(message))))
        if advice:
            self.err.print(Text.assemble(("next:", "bold"), " ", visible(completed(advice))))

    def remark(self, label: str, text: str) -> None:
        """Print a line such as `log: FILE` on stderr; nothing with --json."""
        self.err.print(Text.assemble((f"{label}:", "bold"), " ", visible(completed(text))))

    def detail(self, text: str) -> None:
        """Print lines of the log on stderr (for -v). While a spinner is shown, rich prints them above it."""
        if not self.as_json:
            with suppress(OSError):
                sys.stderr.write(visible(text.rstrip("\n")) + "\n")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table of plain text. A table with very many rows is only aligned: fitting it would take seconds."""
        rows = list(rows)
        if len(rows) > MANY_ROWS:
            self.say("\n".join([title, *_aligned([list(columns), *rows])]))
            return
        from rich.table import Column, Table

        folding = (Column(_cell(name), overflow="fold") for name in columns)
        table = Table(*folding, title=_cell(title), title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(_cell(cell) for cell in row))
        self._lines.print(table)

    def step(self, host: str, component: str, what: str, evidence: Any) -> None:
        """Print that one component of one host was built."""
        self._lines.print(
            f"  {_cell(host):<16} {_cell(component):<14} {visible(what)}  [dim]{_cell(_short(evidence))}[/]"
        )

    def diffs(self, diffs: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Print changes as unified diffs; equal diffs of several hosts are printed once."""
        shown: dict[str, list[str]] = {}
        for host, diff in diffs:
            text = _unified(diff)
            if text:
                shown.setdefault(text, []).append(host)
        for text, hosts in shown.items():
            self.say(f"--- on {', '.join(hosts)}\n{text}")

    def busy(self, task: str) -> None:
        """Show the current task next to the spinner."""
        if self._status:
            self._status.update(_cell(task))

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show a spinner while the block runs; nothing with --json, or if stderr is not a terminal."""
        if self.as_json or not self.err.is_terminal:
            yield
            return
        self.err.file = self.err.file  # the same one also while a playbook runs, which redirects stderr
        with self.err.status(_cell(what)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    @contextmanager
    def screen(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that shows a text and replaces the previous one; without a terminal it appends the text."""
        if self.as_json or not self.out.is_terminal:
            yield self.say
            return
        from rich.live import Live

        with Live(console=self.out, auto_refresh=False) as live:
            yield lambda text: live.update(Text.from_ansi(text), refresh=True)

    @property
    def size(self) -> tuple[int, int]:
        """(columns, lines) that are available for a plot."""
        return min(self.out.width, 120), max(12, self.out.height - 8)

    @property
    def coloured(self) -> bool:
        """Whether stdout is a terminal with colours."""
        return self.out.is_terminal and not self.out.no_color

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """Show a progress bar of `total` bytes; yield the function that advances it by a number of bytes."""
        if total == 0 or self.as_json or not self.err.is_terminal:
            yield lambda count: None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self.err, transient=True) as progress:
            task = progress.add_task(_cell(what), total=total)
            yield lambda count: progress.update(task, advance=count)


def _write(text: str) -> None:
    with streams.ignoring_write_errors():
        sys.stdout.write(text)
        sys.stdout.flush()


def _cell(text: str) -> str:
    """Text without control characters, escaped so that rich does not read it as markup."""
    return escape(visible(text))


def _as_json(value: Any, depth: int = 0) -> Any:
    """The value in JSON's types: null for NaN, infinity and integers of 4096 bits or more; other objects as text.

    Command lines in texts are complete, as in what is printed for people.
    """
    if depth > _DEEPEST:
        return "(nested too deeply to be shown)"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return completed(value)
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
    """A key as `json` would write it."""
    plain = _as_json(key)
    return plain if isinstance(plain, str) else json.dumps(plain, allow_nan=False)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    shown = [[visible(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def _short(evidence: Any) -> str:
    """Evidence as a short text, for the line of one component. A host can return evidence of any form."""
    try:
        return _describe(evidence)
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return repr(evidence)[:100]


def _describe(evidence: Any) -> str:
    if isinstance(evidence, Mapping) and "installed" in evidence:
        absent = evidence.get("absent") or ()
        lacking = f", not available: {', '.join(absent)}" if absent else ""
        return f"{len(evidence['installed'])} packages{lacking}"
    if isinstance(evidence, Mapping) and "loads" in evidence:
        return f"in {evidence['seconds']:.0f} s, {_describe(evidence['loads'])}"
    if isinstance(evidence, list) and evidence and isinstance(evidence[0], Mapping):
        return "loads " + ", ".join(str(entry.get("module", entry)) for entry in evidence)
    if isinstance(evidence, list):
        return ", ".join(str(entry) for entry in evidence)[:100]
    return str(evidence)[:100] if evidence else ""


def _unified(diff: Mapping[str, Any]) -> str:
    before, after = (str(diff.get(side, "")).splitlines(keepends=True) for side in ("before", "after"))
    old, new = (str(diff.get(f"{side}_header", side)) for side in ("before", "after"))
    return "".join(difflib.unified_diff(before, after, old, new, n=1)).rstrip()
