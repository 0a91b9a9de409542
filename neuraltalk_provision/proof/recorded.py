"""What a recorder printed: attempts, those that were planted, and every reason to doubt the record. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from neuraltalk_provision.mirror.proofs import Attempt


def planted(number: int, *, ipv6: bool = True) -> tuple[Attempt, ...]:
    """The attempts that are planted: addresses and a name that are reserved (RFC 5737, 3849 and 6761)."""
    addresses = [f"192.0.2.{number}", f"2001:db8::{number}"][: 1 + ipv6]
    tcp = [Attempt(kind="tcp", to=to, port=9) for to in addresses]
    return (*tcp, Attempt(kind="name", to=f"planted-{number}.invalid", port=53))


@dataclass(frozen=True)
class Seen:
    """What was recorded: attempts with their times, and why the record could be incomplete (empty if it is not)."""

    attempts: tuple[Attempt, ...] = ()
    planted: tuple[Attempt, ...] = ()
    doubt: str = ""
    watched: str = ""


@dataclass
class Recorded:
    """The lines of a recorder so far. `ended` if it printed its last one."""

    found: dict[tuple[str, str, int], Attempt] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    wanted: list[Attempt] = field(default_factory=list)
    plants: int = 0
    ended: bool = False

    def plant(self, *, ipv6: bool) -> tuple[Attempt, ...]:
        """The attempts to plant next."""
        self.plants += 1
        wanted = planted(self.plants, ipv6=ipv6)
        self.wanted += wanted
        return wanted

    def take(self, line: str | bytes) -> None:
        """Read a line."""
        try:
            self._take(json.loads(line))
        except (ValueError, TypeError):  # pydantic's error is a ValueError
            self.doubts.append(f"the recorder printed something else: {line[:200]!r}")

    def _take(self, line: object) -> None:
        if not isinstance(line, dict):
            raise TypeError
        if "problem" in line:
            self.doubts.append(str(line["problem"])[:1_000])
        elif "end" in line:
            self.ended = True
            if line.get("dropped") or line.get("more"):
                self.doubts.append(
                    f"the recorder lost {line.get('dropped')} packets, and {line.get('more')} attempts are not listed"
                )
        elif "kind" in line:
            one = Attempt.model_validate(line)
            self.found.setdefault(one.key, one)

    def missing(self) -> list[Attempt]:
        """What was planted and not seen."""
        return [one for one in self.wanted if one.key not in self.found]

    def seen(self, watched: str) -> Seen:
        """Everything, at the end. What was planted is not an attempt of the host."""
        doubts = list(dict.fromkeys(self.doubts))
        if missing := self.missing():
            doubts.append(f"the recorder did not see what was planted: {'; '.join(map(str, missing))}")
        if not self.ended:
            doubts.append("the recorder did not end as it should")
        own = {one.key for one in self.wanted}
        return Seen(
            tuple(one for one in self.found.values() if one.key not in own),
            tuple(one for one in self.found.values() if one.key in own),
            "; ".join(doubts),
            watched,
        )
