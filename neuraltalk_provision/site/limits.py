"""Limits of this machine: hosts of --limit that are given to Ansible in a file, empty ones, and open files."""

from __future__ import annotations

import contextlib
import errno
import re
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from neuraltalk_provision.errors import UsageError, raise_limit
from neuraltalk_provision.host_names import counted

LONGEST_LIMIT = 65536
"""Bytes of a list of hosts that is given on Ansible's command line."""
FILES_OF_A_FORK, OTHER_FILES = 4, 100
"""How many files ansible-playbook has open for each fork, which are pipes, and for all else (ansible-core 2.19)."""
FEWEST_FILES = 64
"""The open files that a playbook needs on one host. With fewer than 20, Ansible was seen to fail without a reason."""


def is_long(limit: Sequence[str]) -> bool:
    """Whether the hosts are too many for one argument of a program (128 KiB in Linux)."""
    plain = not any(one.startswith("@") or "," in one for one in limit)
    return plain and sum(len(one.encode()) + 1 for one in limit) > LONGEST_LIMIT


def refuse_empty(limit: Sequence[str]) -> None:
    """UsageError for a --limit that names nothing. Ansible takes it as all hosts: an unset variable of a script."""
    for one in limit:
        patterns = [pattern.strip() for pattern in re.split("[,;]", one)]
        empty = next((pattern for pattern in patterns if pattern in ("!", "&", "~", "@")), None)
        if empty is not None:
            raise UsageError(f"--limit {one}: there is no name after {empty}", advice="Nothing was done on any host.")
        is_file = patterns[0].startswith("@") and len(patterns) == 1
        with contextlib.suppress(OSError, RuntimeError):  # Ansible says why a file cannot be read
            file = Path(patterns[0][1:]).expanduser() if is_file else None
            if not any(patterns) or (file and not file.read_bytes().strip()):
                what = f"the file {file} of --limit names no host" if file else "--limit is empty"
                raise UsageError(what, advice="Leave out --limit for all hosts. Nothing was done on any host.")


def forks(wanted: int) -> int:
    """How many hosts Ansible can work on at once: `wanted`, or fewer if it may not open files for so many.

    Without them it ends in the middle of a playbook. Most machines allow 1024 files at first, and more on request: that
    is done here, for this process and those that it starts. Raises UsageError if it may open too few for one host.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_OF_A_FORK * wanted + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    if hard != resource.RLIM_INFINITY and hard < FEWEST_FILES:
        raise UsageError(
            f"{_may_open(hard)}, and a playbook needs {FEWEST_FILES}",
            advice=f"Nothing was done on any host. {raise_limit(errno.EMFILE, hard=True)}.",
        )
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return max(1, min(wanted, (raised - OTHER_FILES) // FILES_OF_A_FORK))


class AtOnce:
    """How many hosts a playbook works on at once. The user is told if these are so few that other hosts wait."""

    def __init__(self, wanted: int, tell: Callable[[str], None]) -> None:
        """`tell` shows a text to the user. Raises UsageError if not even one host is possible; see `forks`."""
        self.forks = forks(wanted)
        self._wanted = wanted
        self._tell = tell
        self._begun: set[str] = set()

    def begins(self, host: str) -> None:
        """Note that the playbook works on a host. An empty name is ignored."""
        if host and host not in self._begun:
            self._begun.add(host)
            if self.forks < min(self._wanted, len(self._begun)):
                self._tell(_fewer(self.forks, self._wanted))


def _fewer(possible: int, wanted: int) -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (
        f"{_may_open(hard)}, so this command works on at most {counted(possible)} at once, and not on {wanted} "
        f"(`forks` in provision.yml). {raise_limit(errno.EMFILE, hard=True)}.\n"
    )


def _may_open(hard: int) -> str:
    return f"a process of this machine may open only {hard} files at the same time (`ulimit -Hn`)"
