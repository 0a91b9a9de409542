"""The log of one command: what Ansible printed, with the tracebacks of modules, and of this program where it broke.

A command has one log, which begins with the first text that is written. It is never in the way of the work: where it
cannot be written, `problem` says why and the command goes on.

A log that has reached `PART` bytes is renamed to `….log.1`, in the place of an older one, and goes on in a new file:
the two hold the last bytes. log_files.py has the files, and removes old ones.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType

from neuraltalk_provision import log_files, paths, redaction
from neuraltalk_provision.text import of_a_log

PART = 8 << 20
"""Bytes after which a log goes on in a new file."""
MOST_OF_ONE = 200_000
"""Characters of what is written at once: a host may answer with any number of bytes."""

_MARGIN = 4000
"""Characters that are looked at for secrets beyond what is kept: a secret may stand across the cut."""


def _silent(_text: str) -> None:
    pass


class CommandLog:
    """The log of a command; `path` where it lies (None as long as there is none), `problem` why there is none."""

    def __init__(self, words: Sequence[str], *, verbosity: int = 0, show: Callable[[str], None] = _silent) -> None:
        self.verbosity = verbosity
        self.path: Path | None = None
        self.problem = ""
        self.host_failed = False
        """Whether a host failed in the course of this command."""
        self._words = tuple(words)
        self._show = show
        self._hidden: tuple[str, ...] = ()
        self._handle = -1
        self._size = 0

    def __enter__(self) -> CommandLog:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._close()

    def hide(self, values: Iterable[str]) -> None:
        """These values are secret: they are left out of all that is written from now on."""
        self._hidden = tuple(sorted({*self._hidden, *values}, key=lambda value: (-len(value), value)))

    def redacted(self, text: str) -> str:
        """The text without secrets, those of `hide` among them."""
        return redaction.redact(text, self._hidden)

    def write(self, text: str, shown: str = "") -> None:
        """Append a text to the log, and show `shown` to who watches; both without secrets."""
        if shown:
            self._show(self._fit(shown))
        if not text or self.problem:
            return
        try:
            if self._handle < 0:
                self._begin()
            self._append(self._fit(text))
        except (OSError, RuntimeError) as error:
            self.problem = _told(error, self.path)
            self._close()

    def _fit(self, text: str) -> str:
        """The text without secrets and without what commands a terminal, its end left out where it is very long."""
        fit = of_a_log(self.redacted(text[: MOST_OF_ONE + _MARGIN]))
        if len(text) <= MOST_OF_ONE:
            return fit
        return f"{fit[:MOST_OF_ONE]} ... ({len(text) - MOST_OF_ONE:,} characters left out) ...\n"

    def _begin(self) -> None:
        folder = log_files.directory()
        log_files.prune(folder)
        self.path, self._handle = log_files.create(folder, f"{time.strftime('%Y%m%d-%H%M%S')}-{_command(self._words)}")
        self._append(self._fit(_heading(self._words)))

    def _append(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        if self._size and self._size + len(data) > PART:
            self._turn_over()
        while data:
            written = os.write(self._handle, data)
            self._size += written
            data = data[written:]

    def _turn_over(self) -> None:
        """Go on in a new file; the one before keeps its bytes under another name."""
        assert self.path
        older = self.path.with_name(self.path.name + ".1")
        self.path.rename(older)
        self._close()
        self._handle = log_files.open_new(self.path)
        self._size = 0
        self._append(f"# goes on from {older.name}\n")

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


_current: list[CommandLog] = []


@contextlib.contextmanager
def begin(words: Sequence[str], *, verbosity: int = 0, show: Callable[[str], None] = _silent) -> Iterator[CommandLog]:
    """The log of the command with these words, while it runs."""
    with CommandLog(words, verbosity=verbosity, show=show) as log:
        _current.append(log)
        try:
            yield log
        finally:
            _current.remove(log)


def current() -> CommandLog | None:
    """The log of the command that runs; None where no command does (a test, a library)."""
    return _current[-1] if _current else None


def host_failed() -> None:
    """Note that a host failed: the command's log is named at its end."""
    if log := current():
        log.host_failed = True


def _command(words: Sequence[str]) -> str:
    """The command's name for a file: its first words that are plain ones and stand before anything else."""
    plain: list[str] = []
    for word in words:
        if word.startswith("-") and not plain:
            continue
        if not re.fullmatch(r"[a-z]{1,20}", word) or len(plain) == 2:
            break
        plain.append(word)
    return "-".join(plain) or "provision"


def _heading(words: Sequence[str]) -> str:
    versions = [f"{name} {_version(name)}" for name in ("neuraltalk-provision", "ansible-core", "ansible-runner")]
    machine = f"Python {platform.python_version()}, {platform.platform()}"
    command = shlex.join(["provision", *(redaction.redact(word) for word in words)])
    return f"# {time.strftime('%Y-%m-%d %H:%M:%S %z')} {command}\n# {', '.join(versions)}, {machine}\n"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _told(error: OSError | RuntimeError, path: Path | None) -> str:
    """Where a log cannot be written, and why."""
    if isinstance(error, OSError):
        return f"{error.filename or path or paths.logs_dir()}: {error.strerror or error}"
    return f"the directory of the logs is not known: {error}"
