"""Errors that a user sees, and the exit codes that go with them.

ProvisionError              exit code
├── UsageError              2   the command line, a setting, an inventory or the machine is not as needed
├── MirrorError             2   the mirror is incomplete, altered or unreadable
├── HostError               1   a host failed; the message names the host, the task and the log
├── CheckError              1   a check ran and found something wrong
├── BugError                3   any other exception
└── InterruptError        130   the user pressed Ctrl-C
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

TEMPORARY = "the directory for temporary files"
"""The place in the words of `naming` where no path says more."""


class ProvisionError(Exception):
    """`message` says what happened and why, `advice` what to do next; `document` is the result so far, for --json."""

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
    """The mirror does not contain what its lock lists or what is needed."""

    exit_code = EXIT_USAGE


class HostError(ProvisionError):
    """One or more hosts failed."""


class CheckError(ProvisionError):
    """A check ran and found something wrong."""


class BugError(ProvisionError):
    """An unexpected exception; its traceback is in the log of the command."""

    exit_code = EXIT_BUG


class InterruptError(ProvisionError):
    """The user pressed Ctrl-C."""

    exit_code = EXIT_INTERRUPTED


EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO}
)
"""Error numbers of a machine that has no more space, memory, file handles or processes, or a broken disk."""

_LIMITS = {
    errno.EMFILE: ("open files", "ulimit -n", "nofile", "LimitNOFILE"),
    errno.EAGAIN: ("processes", "ulimit -u", "nproc", "TasksMax"),
}
"""{error number: what is limited for the processes of a user, and where}."""
_NO_THREAD = "can't start new thread"


def limit_reached(error: BaseException | None) -> str:
    """What to do if an error is a limit of this machine for the processes of a user; empty for all other errors."""
    number = error.errno if isinstance(error, OSError) else errno.EAGAIN if str(error) == _NO_THREAD else None
    # A process that cannot be started names no file; a file that is in use somewhere else does.
    of_file = number == errno.EAGAIN and isinstance(error, OSError) and error.filename is not None
    if number not in _LIMITS or of_file:
        return ""
    return f"{raise_limit(number, hard=False)}."


def raise_limit(number: int, *, hard: bool) -> str:
    """How to raise the limit behind EMFILE or EAGAIN, without a full stop; `ulimit` cannot raise a hard one."""
    what, command, limit, unit = _LIMITS[number]
    first = "" if hard else f"`{command}`, "
    return (
        f"Raise the limit of {what}: {first}{limit} in /etc/security/limits.conf, or {unit} of the systemd unit that "
        "runs the command"
    )


@contextmanager
def naming(
    place: object, what: str, kind: type[ProvisionError] = UsageError, *, only: Collection[int] = ()
) -> Iterator[None]:
    """Convert an OSError in the block to `kind`, with the path and the cause: `PLACE cannot be WHAT: CAUSE`.

    Use it for operations that can fail because of this machine or a path of the user. Any other OSError that reaches
    the command line is a bug. With `only`, just these error numbers are converted. BrokenPipeError is never converted.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if only and error.errno not in only:
            raise
        message = f"{error.filename or place} cannot be {what}: {error.strerror or error}"
        raise kind(message, advice=limit_reached(error)) from error
