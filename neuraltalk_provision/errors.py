"""Errors that a user sees, and the exit codes that go with them.

ProvisionError              exit code
├── UsageError              2   the command line, a setting, an inventory or the machine is not as needed
├── MirrorError             2   the mirror is incomplete, altered or unreadable
├── HostError               1   a host failed; says which, at what, and where its log lies
└── CheckError              1   a check ran and found something wrong

Anything else that escapes is our bug (3). Interrupted is 130.
"""

from __future__ import annotations

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class ProvisionError(Exception):
    """What happened and why; `advice` says what to do next."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


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
