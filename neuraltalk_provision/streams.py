"""Makes stdin, stdout and stderr safe to use if one is closed, narrow, on a full disk, or has lost its reader."""

from __future__ import annotations

import contextlib
import io
import locale
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TextIO, cast

_NARROWEST = 40
"""Columns of a terminal into which tables and help still fit."""
_unwritten: list[OSError] = []
"""The errors because of which a part of the output on stdout was lost."""


def prepare() -> bool:
    """Open closed ones of stdin, stdout and stderr on /dev/null; return whether stdout was open.

    Otherwise the next file that is opened would get the number of the closed stream. Characters that the encoding of
    stdout or stderr lacks are then written as escapes.
    """
    was_open = sys.stdout is not None
    if shutil.get_terminal_size().columns < _NARROWEST:
        os.environ["COLUMNS"] = "80"  # the terminal breaks the lines; tables would lose their text
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(nowhere, True)
    os.close(nowhere)
    restarted = "utf8" in sys._xoptions and "PYTHONIOENCODING" not in os.environ
    encoding = locale.getencoding() if restarted else None
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w", errors="backslashreplace", closefd=False))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    return was_open


def use_utf8_names() -> None:
    """Start this program again in Python's UTF-8 mode if it would look for names of files in another encoding.

    The bytes of its arguments stay the same, and `prepare` keeps the encoding of the terminal.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def discard_stdout() -> None:
    """Redirect stdout to /dev/null, because nothing reads it any more."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def flush() -> OSError | None:
    """Flush stdout; return the error if a part of the output could not be written, None if its reader has ended."""
    with ignoring_write_errors():
        sys.stdout.flush()
    return _unwritten.pop() if _unwritten else None


def finish_stderr() -> None:
    """Flush stderr and ignore errors; without this, Python 3.13 would end with exit code 120."""
    try:
        sys.stderr.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


@contextmanager
def ignoring_write_errors() -> Iterator[None]:
    """Ignore errors of stdout in the block: after the first error its output is discarded."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        _unwritten.append(error)
        discard_stdout()


class _Safe:
    """stdout or stderr, except that errors are ignored, by one of the ways to ignore them."""

    def __init__(self, stream: TextIO, ignoring: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream, self._ignoring = stream, ignoring

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._ignoring():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._ignoring():
            self._stream.flush()


@contextmanager
def safe_output() -> Iterator[None]:
    """Ignore write errors in the block, also of other libraries: Typer's help, and spinners on a closed terminal."""
    out = cast("TextIO", _Safe(sys.stdout, ignoring_write_errors))
    err = cast("TextIO", _Safe(sys.stderr, partial(contextlib.suppress, OSError)))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield
