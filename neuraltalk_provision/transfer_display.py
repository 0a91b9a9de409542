"""Shows transfers that run at the same time: one line each, and one for all of them with the time left."""

from __future__ import annotations

import time
from threading import Lock
from types import TracebackType

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from neuraltalk_provision.output import Output
from neuraltalk_provision.text import visible

NOMINAL = 2_000_000
"""The size, in bytes, that a transfer of unknown size counts as."""


def time_left(fraction: float, elapsed: float) -> str:
    """The time that the rest will take if it takes as long as what is done, as m:ss; empty if it cannot be told yet."""
    if fraction <= 0 or elapsed <= 0:
        return ""
    seconds = round(elapsed * (1 - min(fraction, 1.0)) / fraction)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


class TransferDisplay:
    """The lines of some transfers. On a terminal they move; otherwise each transfer gets a line when it has ended."""

    def __init__(self, output: Output, count: int, size: int) -> None:
        """`count` transfers, of `size` bytes together, where an unknown size counts as NOMINAL."""
        self._output, self._count, self._size = output, count, max(size, 1)
        self._lock, self._ended, self._begin = Lock(), 0, time.monotonic()
        self._running: dict[str, tuple[float, int, float]] = {}  # name: (begin, size, fraction)
        self._done = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}"),
        )
        self._progress = Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._all = self._progress.add_task("all", total=1.0, words="")

    def __enter__(self) -> TransferDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str, size: int) -> None:
        """A transfer began; `size` in bytes is 0 if it is not known."""
        with self._lock:
            self._running[name] = (time.monotonic(), size or NOMINAL, 0.0)
            self._tasks[name] = self._progress.add_task(escape(visible(name)), total=1.0, words="")

    def at(self, name: str, fraction: float, words: str) -> None:
        """A transfer got so far; `fraction` never goes back."""
        with self._lock:
            begin, size, before = self._running[name]
            self._running[name] = (begin, size, max(before, min(fraction, 1.0)))
            shown = escape(visible(words))
            self._progress.update(self._tasks[name], completed=self._running[name][2], words=shown)
            self._progress.update(self._all, completed=self._fraction(), words=self._words())

    def end(self, name: str, words: str) -> None:
        """A transfer ended."""
        with self._lock:
            begin, size, _fraction = self._running.pop(name)
            self._done += size
            self._ended += 1
            self._progress.remove_task(self._tasks.pop(name))
            self._progress.update(self._all, completed=self._fraction(), words=self._words())
            seconds = time.monotonic() - begin
            line = f"{words} {name} in {seconds:.1f} s ({self._words()})"
            if self._output.err.is_terminal:
                self._output.err.print(visible(line), markup=False)  # the moving lines are on stderr too
            else:
                self._output.say(line)

    def _fraction(self) -> float:
        running = sum(size * fraction for _begin, size, fraction in self._running.values())
        return min((self._done + running) / self._size, 1.0)

    def _words(self) -> str:
        left = time_left(self._fraction(), time.monotonic() - self._begin)
        return f"{self._ended} of {self._count}" + (f", {left} left" if left else "")
