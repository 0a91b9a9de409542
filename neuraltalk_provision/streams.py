"""stdin, stdout and stderr as somebody left them: closed, on a full disk, with a reader that goes away."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_unwritten: list[OSError] = []
"""Why a part of what was printed on stdout got lost."""


def prepare() -> bool:
    """Make stdin, stdout and stderr fit to be used, and say whether somebody left stdout open.

    In the place of a closed one no other file shall be opened, and a letter that stdout's encoding lacks is escaped.
    """
    given = sys.stdout is not None
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(nowhere, True)
    os.close(nowhere)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w", errors="backslashreplace", closefd=False))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return given


def hush() -> None:
    """Send what is still to be written to stdout nowhere, for nobody reads it any more."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def flush() -> OSError | None:
    """Write all that was printed; why a part of it could not be written, or None, also where its reader went away."""
    with outliving():
        sys.stdout.flush()
    return _unwritten.pop() if _unwritten else None


def leave() -> None:
    """Let nothing that stderr did not take change the exit code: Python 3.13 makes it 120."""
    try:
        sys.stderr.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


@contextmanager
def outliving() -> Iterator[None]:
    """What is printed inside goes nowhere from the moment on at which stdout takes no more."""
    try:
        yield
    except BrokenPipeError:
        hush()
    except OSError as error:
        _unwritten.append(error)
        hush()


class _Outliving:
    """stdout, but for what it does when it takes no more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with outliving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with outliving():
            self._stream.flush()


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, also what others print (Typer its help) goes nowhere from the moment on at which stdout takes no more."""
    with contextlib.redirect_stdout(cast("TextIO", _Outliving(sys.stdout))):
        yield
