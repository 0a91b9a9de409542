"""Errors that a user sees, and the exit codes that go with them.

ProvisionError              exit code
├── UsageError              2   the command line, a setting, an inventory or the machine is not as needed
├── MirrorError             2   the mirror is incomplete, altered or unreadable
├── HostError               1   a host failed; says which, at what, and where its log lies
├── CheckError              1   a check ran and found something wrong
├── BugError                3   anything else that escaped
└── InterruptError        130   somebody pressed Ctrl-C
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class ProvisionError(Exception):
    """What happened and why; `advice` says what to do next, `document` is the result so far, for --json."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, advice: str = "", document: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.document = document or {}


class UsageError(ProvisionError):
    """The command, a setting, an inventory or this machine is not as needed."""

    exit_code = EXIT_USAGE


class MirrorError(ProvisionError):
    """The mirror does not hold what its lock says, or what was asked of it."""

    exit_code = EXIT_USAGE


class HostError(ProvisionError):
    """One or more hosts failed."""


class CheckError(ProvisionError):
    """A check ran and did not like what it saw."""


class BugError(ProvisionError):
    """Something that nobody thought of; its traceback is in the log of the command."""

    exit_code = EXIT_BUG


class InterruptError(ProvisionError):
    """Somebody pressed Ctrl-C."""

    exit_code = EXIT_INTERRUPTED


EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO}
)
"""What a machine lacks, whatever the program does: space, memory, handles, processes, a disk that works."""


@contextmanager
def naming(
    place: object, what: str, kind: type[ProvisionError] = UsageError, *, only: Collection[int] = ()
) -> Iterator[None]:
    """An OSError inside becomes an error with its place and its cause: `PLACE cannot be WHAT: CAUSE`.

    It stands around what may fail for reasons of this machine or of a path that a user named. An OSError that reaches
    the command line without it is a bug. With `only` these numbers of errors alone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if only and error.errno not in only:
            raise
        raise kind(f"{error.filename or place} cannot be {what}: {error.strerror or error}") from error
