"""Progress of transfers: one line for each, and a single one for all files of an artifact that consists of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from neuraltalk_provision.mirror.pull_plan import Transfer


class Report(Protocol):
    """Where progress is shown."""

    def begin(self, name: str, size: int) -> None:
        """A transfer began; `size` in bytes is 0 if it is not known."""

    def at(self, name: str, fraction: float, words: str) -> None:
        """A transfer got so far."""

    def end(self, name: str, words: str) -> None:
        """A transfer ended."""


@dataclass
class _Group:
    """The files of one artifact: how many there are and how large, and what has arrived."""

    count: int = 0
    size: int = 0
    fractions: dict[str, float] = field(default_factory=dict)
    arrived: int = 0
    begun: bool = False
    ended: bool = False

    def fraction(self, sizes: dict[str, int]) -> float:
        if self.size:
            return min(sum(sizes[key] * part for key, part in self.fractions.items()) / self.size, 1.0)
        return self.arrived / self.count


class Progress:
    """Gives a report the lines of transfers. Its functions may be called from several threads."""

    def __init__(self, report: Report, transfers: Iterable[Transfer]) -> None:
        self._report, self._lock = report, Lock()
        self._groups, self._sizes = dict[str, _Group](), dict[str, int]()
        for one in transfers:
            if one.group:
                group = self._groups.setdefault(one.group, _Group())
                group.count += 1
                group.size += one.size
                self._sizes[one.key] = one.size

    def begin(self, transfer: Transfer) -> None:
        """It began."""
        group = self._groups.get(transfer.group)
        if not group:
            self._report.begin(transfer.name, transfer.size)
            return
        with self._lock:
            if not group.begun:
                group.begun = True
                self._report.begin(transfer.group, group.size)

    def at(self, transfer: Transfer, fraction: float, words: str) -> None:
        """It got so far."""
        group = self._groups.get(transfer.group)
        if not group:
            self._report.at(transfer.name, fraction, words)
            return
        with self._lock:
            group.fractions[transfer.key] = fraction
            self._show(transfer.group, group)

    def end(self, transfer: Transfer, words: str, good: bool) -> None:
        """It ended; a group ends with its last file, or with the first one that failed."""
        group = self._groups.get(transfer.group)
        if not group:
            self._report.end(transfer.name, words)
            return
        with self._lock:
            group.fractions[transfer.key] = 1.0
            group.arrived += good
            self._show(transfer.group, group)
            if not good or group.arrived == group.count:
                self._end(transfer.group, group, words)

    def give_up(self, name: str) -> None:
        """No more files of this artifact are fetched."""
        group = self._groups.get(name)
        if group:
            with self._lock:
                self._end(name, group, "failed")

    def _show(self, name: str, group: _Group) -> None:
        if group.begun and not group.ended:
            self._report.at(name, group.fraction(self._sizes), f"{group.arrived} of {group.count} files")

    def _end(self, name: str, group: _Group, words: str) -> None:
        if group.begun and not group.ended:
            self._report.end(name, words)
        group.ended = True
