"""The report of `provision drift`: the differences of each host, its groups with their majorities. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from neuraltalk_provision.fleet import drift_codes, majority
from neuraltalk_provision.fleet.drift_host import differences
from neuraltalk_provision.fleet.findings import Accepted, Difference
from neuraltalk_provision.fleet.majority import Group
from neuraltalk_provision.fleet.observed import Facts, Observed, facts


@dataclass(frozen=True)
class HostDrift:
    """The differences of one host, and all facts that were compared."""

    host: str
    differences: tuple[Difference, ...]
    facts: Facts


@dataclass(frozen=True)
class Report:
    """The report over all hosts."""

    hosts: tuple[HostDrift, ...]
    groups: tuple[Group, ...]
    undecided: tuple[tuple[str, Difference], ...] = ()
    """(group, difference) where hosts of a group differ and there is no majority."""

    @property
    def found(self) -> tuple[Difference, ...]:
        """All differences that count, of hosts and of groups."""
        every = [one for host in self.hosts for one in host.differences] + [one for _group, one in self.undecided]
        return tuple(one for one in every if not one.accepted)

    @property
    def drift(self) -> bool:
        """Whether there is a difference that nobody accepted."""
        return any(one.code not in drift_codes.CANNOT_TELL for one in self.found)

    @property
    def complete(self) -> bool:
        """Whether everything could be compared on every host."""
        return bool(self.hosts) and all(one.code not in drift_codes.CANNOT_TELL for one in self.found)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The hosts with a difference of their own that nobody accepted and that is drift."""
        return tuple(host.host for host in self.hosts if any(_counts(one) for one in host.differences))

    @property
    def untold(self) -> tuple[str, ...]:
        """The hosts on which something could not be compared."""
        return tuple(
            host.host for host in self.hosts if any(one.code in drift_codes.CANNOT_TELL for one in host.differences)
        )

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it. Times are in seconds since 1970."""
        return {
            "drift": self.drift,
            "complete": self.complete,
            "drifted": list(self.drifted),
            "not_compared": list(self.untold),
            "hosts": [
                {
                    "host": host.host,
                    "groups": list(host.facts.groups),
                    "differences": [one.as_json([host.host]) for one in host.differences],
                    "facts": host.facts.values,
                    "lock": dict(host.facts.lock),
                }
                for host in self.hosts
            ],
            "groups": [group.as_json() for group in self.groups],
            "undecided": [{"group": name, **one.as_json([])} for name, one in self.undecided],
        }


def _counts(one: Difference) -> bool:
    return not one.accepted and one.code not in drift_codes.CANNOT_TELL


def compare(hosts: Iterable[Observed], gpu_components: frozenset[str], accepted: Accepted | None = None) -> Report:
    """The report about these hosts: each compared with its lock, its own records and the majority of its groups.

    `gpu_components` are the components that are built only for hosts with cards. Differences that `accepted` names are
    reported, but do not count.
    """
    accepted = accepted or Accepted()
    known = sorted(hosts, key=lambda one: one.host)
    found = {one.host: facts(one) for one in known}
    once_each = majority.once_each(found)
    groups = majority.groups(once_each.items())
    richer = majority.richer(once_each.values())
    by_name = {group.name: group for group in groups}
    reports = []
    for one in known:
        mine = [by_name[name] for name in found[one.host].groups]
        cards = richer.get((found[one.host].platform, found[one.host].models))
        listed = differences(one, found[one.host], mine, gpu_components, cards)
        listed = tuple(replace(entry, accepted=True) if accepted.covers(one.host, entry) else entry for entry in listed)
        reports.append(HostDrift(one.host, listed, found[one.host]))
    undecided = []
    for group in groups:
        for entry in majority.undecided(group):
            undecided.append((group.name, replace(entry, accepted=accepted.covers("", entry))))
    return Report(tuple(reports), groups, tuple(undecided))
