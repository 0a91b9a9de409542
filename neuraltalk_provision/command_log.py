"""The log of one command: the output of Ansible with the tracebacks of modules, and the traceback of a bug of ours.

Each command has one log. The file is created when the first text is written. If it cannot be written, `problem` is the
reason, and the command continues without a log.

A log that reaches `PART` bytes is renamed to `….log.1`, which replaces an older one, and a new file is started: the two
files contain the last bytes. log_files.py creates the files and removes old ones.
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
from neuraltalk_provision.text import log_text

PART = 8 << 20
"""Size in bytes after which a log continues in a new file."""
MOST_OF_ONE = 200_000
"""The most characters of one text that are written: a host can return any number of bytes."""

_ANSIBLE = ("ansible-core", "ansible-runner")
_MARGIN = 4000
"""Characters after the cut that are searched for secrets too: a secret can begin before the cut."""


def _silent(_text: str) -> None:
    pass


class CommandLog:
    """The log of a command; `path` is None before the file exists, `problem` is why it cannot be written."""

    def __init__(self, arguments: Sequence[str], *, verbosity: int = 0, show: Callable[[str], None] = _silent) -> None:
        self.verbosity = verbosity
        self.path: Path | None = None
        self.problem = ""
        self.host_failed = False
        """Whether a host failed during this command."""
        self._arguments = tuple(arguments)
        self._show = show
        self._hidden: tuple[str, ...] = ()
        self._written: set[str] = set()
        self._handle = -1
        self._size = 0

    def __enter__(self) -> CommandLog:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._close()

    def hide(self, values: Iterable[str]) -> None:
        """Remove these secret values from everything that is written from now on."""
        self._hidden = tuple(sorted({*self._hidden, *values}, key=lambda value: (-len(value), value)))

    def redacted(self, text: str) -> str:
        """The text without secrets, including the values that were given to `hide`."""
        return redaction.redact(text, self._hidden)

    def write(self, text: str, shown: str = "") -> None:
        """Append a text to the log, and show `shown` to the user; both without secrets."""
        if shown:
            self._show(self._fit(shown))
        if not text or self.problem:
            return
        try:
            if self._handle < 0:
                self._begin()
            self._append(self._fit(text))
        except (OSError, RuntimeError) as error:
            self.problem = _reason(error, self.path)
            self._close()

    def write_once(self, text: str) -> None:
        """Append a text to the log and show it, unless that was done before."""
        if text not in self._written:
            self._written.add(text)
            self.write(text, shown=text)

    def _fit(self, text: str) -> str:
        """The text without secrets and terminal control characters; the end of a very long text is left out."""
        fit = log_text(self.redacted(text[: MOST_OF_ONE + _MARGIN]))
        if len(text) <= MOST_OF_ONE:
            return fit
        return f"{fit[:MOST_OF_ONE]} ... ({len(text) - MOST_OF_ONE:,} characters left out) ...\n"

    def _begin(self) -> None:
        folder = log_files.directory()
        log_files.prune(folder)
        self.path, self._handle = log_files.create(
            folder, f"{time.strftime(log_files.DATE)}-{_command(self._arguments)}"
        )
        self._append(self._fit(_heading(self._arguments)))

    def _append(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        if self._size and self._size + len(data) > PART:
            self._start_new_file()
        while data:
            written = os.write(self._handle, data)
            self._size += written
            data = data[written:]

    def _start_new_file(self) -> None:
        """Rename the current file and continue in a new one."""
        assert self.path
        older = self.path.with_name(self.path.name + ".1")
        self.path.rename(older)
        self._close()
        self._handle = log_files.open_new(self.path)
        self._size = 0
        self._append(f"# continues {older.name}\n")

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


_current: list[CommandLog] = []


@contextlib.contextmanager
def begin(
    arguments: Sequence[str], *, verbosity: int = 0, show: Callable[[str], None] = _silent
) -> Iterator[CommandLog]:
    """The log of the command with these arguments, as `current` while the command runs."""
    with CommandLog(arguments, verbosity=verbosity, show=show) as log:
        _current.append(log)
        try:
            yield log
        finally:
            _current.remove(log)


def current() -> CommandLog | None:
    """The log of the running command; None if no command is running (in a test, or if used as a library)."""
    return _current[-1] if _current else None


def host_failed() -> None:
    """Record that a host failed: the path of the log is then printed at the end of the command."""
    if log := current():
        log.host_failed = True


def _command(arguments: Sequence[str]) -> str:
    """The command's name for the file name: its first one or two arguments without options, such as `runs-list`."""
    plain: list[str] = []
    for word in arguments:
        if word.startswith("-") and not plain:
            continue
        if not re.fullmatch(r"[a-z]{1,20}", word) or len(plain) == 2:
            break
        plain.append(word)
    return "-".join(plain) or "provision"


def _heading(arguments: Sequence[str]) -> str:
    found = {"neuraltalk-provision": paths.version()} | {name: _version(name) for name in _ANSIBLE}
    versions = [f"{name} {version}" for name, version in found.items()]
    machine = f"Python {platform.python_version()}, {platform.platform()}"
    command = shlex.join(["provision", *(redaction.redact(argument) for argument in arguments)])
    return f"# {time.strftime('%Y-%m-%d %H:%M:%S %z')} {command}\n# {', '.join(versions)}, {machine}\n"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(unknown version)"


def _reason(error: OSError | RuntimeError, path: Path | None) -> str:
    """The path of a log that cannot be written, and the reason."""
    if isinstance(error, OSError):
        return f"{error.filename or path or paths.logs_dir()}: {error.strerror or error}"
    return f"the directory of the logs is not known: {error}"
