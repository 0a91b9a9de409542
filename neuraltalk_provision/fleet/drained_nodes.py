"""What the journal records about our drains of one host, as the text that stands in the record (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from neuraltalk_provision.fleet.records import LONGEST_REASON, Outcome


@dataclass(frozen=True)
class DrainedNodes:
    """The nodes of Slurm that a host was when a rollout drained them, by their names."""

    waiting: tuple[str, ...] = ()
    """Those that may not be lifted yet."""
    lost: tuple[str, ...] = ()
    """Those that nobody looks for any more: no host of the inventory was their machine."""

    @classmethod
    def of(cls, outcome: object, reason: object) -> DrainedNodes:
        """From the record of a drain. An older version recorded no names of nodes that are lost, but words."""
        waiting, line, lost = str(reason or "").partition("\n")
        if outcome != Outcome.STARTED and not line:
            return cls()
        return cls(tuple(waiting.split()), tuple(lost.split()))

    def drained(self, names: Iterable[str]) -> DrainedNodes:
        """Also these nodes are drained now. One that was lost is none any more."""
        waiting = tuple(dict.fromkeys([*self.waiting, *names]))
        return DrainedNodes(waiting, tuple(name for name in self.lost if name not in waiting))

    def without(self, name: str, *, lost: bool) -> DrainedNodes:
        """The drain of this node is lifted, or it is lost."""
        waiting = tuple(one for one in self.waiting if one != name)
        return DrainedNodes(waiting, (*self.lost, name) if lost else self.lost)

    @property
    def outcome(self) -> Outcome:
        """The outcome of the step."""
        return Outcome.STARTED if self.waiting else Outcome.LOST if self.lost else Outcome.DONE

    @property
    def text(self) -> str:
        """The text for the record: a line with the nodes that wait, and one with those that are lost, if there are any.

        Names that would make it too long are left out whole.
        """
        lines = [" ".join(" ".join(names).split()) for names in (self.waiting, self.lost)]
        text = "\n".join(lines) if lines[1] else lines[0]
        return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rpartition(" ")[0]
