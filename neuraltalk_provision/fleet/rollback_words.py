"""The command line of a rollback, for advice. It names the hosts: without a limit it is about all of the site. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

CONTINUES = 'the same "provision rollback" again, with the --limit that it had'
"""What continues a rollback of which the journal knows the hosts, and not the limit."""


def rollback_of(limit: Iterable[str], target: str = "", *, in_use: bool = False) -> str:
    """The command that returns these hosts, or all without a limit, to the generation `target`, or the previous one."""
    hosts = ",".join(limit)
    words = ["--to", target] if target else []
    words += ["--limit", hosts] if hosts else []
    return shlex.join(["provision", "rollback", *words, *["--in-use"] * in_use])
