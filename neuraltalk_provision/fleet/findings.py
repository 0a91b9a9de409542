"""One difference that `provision drift` found, and which differences an operator accepts. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import drift_codes
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.results.checks import ChangedFile

HOSTS = "{hosts}"
"""Stands in a cure for the hosts, as an argument of the shell."""


@dataclass(frozen=True)
class Difference:
    """What was found, what the lock and most hosts have instead, since when (seconds since 1970), and the cure.

    `item` is what it is about, for example a component, a package or a file. `lock` and `majority` are empty if they
    say nothing about it. `who` is the owner of a file, who is not always the one who changed it.
    """

    code: str
    item: str = ""
    found: str = ""
    lock: str = ""
    majority: str = ""
    since: int | None = None
    who: str = ""
    cure: str = ""
    file: ChangedFile | None = None
    accepted: bool = False

    def cure_for(self, hosts: Sequence[str]) -> str:
        """The cure for these hosts, usually a command."""
        return self.cure.replace(HOSTS, shlex.quote(",".join(hosts)))

    def as_json(self, hosts: Sequence[str]) -> dict[str, Any]:
        """The difference on these hosts as `--json` prints it."""
        fields: dict[str, Any] = plain(self)
        return {**fields, "cure": self.cure_for(hosts), "meaning": drift_codes.MEANING[self.code]}


@dataclass(frozen=True)
class Accepted:
    """Differences that do not count: (host, code); an empty host stands for all hosts and groups."""

    pairs: frozenset[tuple[str, str]] = frozenset()

    def covers(self, host: str, difference: Difference) -> bool:
        """Whether this difference on this host is accepted."""
        return ("", difference.code) in self.pairs or (host, difference.code) in self.pairs


def accepted(words: Iterable[str]) -> Accepted:
    """What `--accept CODE` and `--accept HOST:CODE` name. UsageError for a code that cannot be accepted."""
    pairs = set()
    for word in words:
        host, _colon, code = word.rpartition(":")
        if code in drift_codes.CANNOT_TELL:
            raise UsageError(
                f"{code} cannot be accepted: it says that something could not be compared",
                advice="Leave such a host out with --limit '!HOST'.",
            )
        if code not in drift_codes.MEANING:
            raise UsageError(
                f"{code} is not the code of a difference", advice=f"The codes: {', '.join(drift_codes.MEANING)}."
            )
        pairs.add((host, code))
    return Accepted(frozenset(pairs))
