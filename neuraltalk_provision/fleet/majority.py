"""Groups of hosts that can be compared, and what most of their hosts have. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision.fleet import drift_codes
from neuraltalk_provision.fleet.findings import Difference
from neuraltalk_provision.fleet.observed import NONE, Facts, component, in_words
from neuraltalk_provision.host_names import named

FEWEST = 3
"""With fewer hosts there is no majority."""
SHOWN = 5
"""How many hosts and values one message names."""
# Facts that are compared with the lock or the host's own records. Hosts may differ here without being wrong: one that
# was installed yesterday has no former generation yet.
_SILENT = ("generation", component(""), "rollback")


@dataclass(frozen=True)
class Majority:
    """A value that `hosts` of `of` hosts have: more than half of them, and they are at least three."""

    value: str
    hosts: int
    of: int

    def __str__(self) -> str:
        return f"{self.value} ({self.hosts} of {self.of})"


@dataclass(frozen=True)
class Group:
    """The hosts of one platform, or of one platform with the same cards; {fact: its majority} where there is one."""

    name: str
    hosts: tuple[str, ...]
    majorities: Mapping[str, Majority] = field(default_factory=dict)
    different: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """{fact: {value: the hosts that have it}} where hosts differ and there is no majority."""

    @property
    def remark(self) -> str:
        """Why there is no majority in this group at all; empty if there can be one."""
        return "" if len(self.hosts) >= FEWEST else f"fewer than {FEWEST} hosts, so there is no majority"

    def as_json(self) -> dict[str, Any]:
        """The group as `--json` prints it."""
        majorities = {
            name: {"value": one.value, "hosts": one.hosts, "of": one.of} for name, one in self.majorities.items()
        }
        return {"name": self.name, "hosts": len(self.hosts), "majorities": majorities, "remark": self.remark}


def once_each(facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """The facts of each machine under the first of its names: several names of one machine count once.

    Names that are in other groups count too: a host may say that it is the machine of another one.
    """
    first: dict[tuple[str, tuple[str, ...]], str] = {}
    for host, found in facts.items():
        first.setdefault((found.machine or host, found.groups), host)
    return {host: facts[host] for host in first.values()}


def richer(facts: Iterable[Facts]) -> dict[tuple[str, tuple[str, ...]], Majority]:
    """{(platform, models of cards): the cards of the hosts of the platform that have these models and others}.

    Only for models that too few hosts have for a majority of their own: they may have lost the other cards.
    """
    counts = Counter((one.platform, one.models) for one in facts if one.models)
    found = {}
    for (platform, models), few in counts.items():
        larger = [
            (hosts, more)
            for (where, more), hosts in counts.items()
            if where == platform and set(models) < set(more) and few < FEWEST <= hosts
        ]
        if larger:
            hosts, more = max(larger)
            found[platform, models] = Majority(in_words(more), hosts, hosts + few)
    return found


def groups(facts: Iterable[tuple[str, Facts]]) -> tuple[Group, ...]:
    """The groups of all hosts, by name, from (host, its facts). Takes time in proportion to the number of facts."""
    members: dict[str, list[str]] = {}
    values: dict[str, dict[str, dict[str, list[str]]]] = {}
    for host, found in facts:
        for group, entries in found.by_group.items():
            members.setdefault(group, []).append(host)
            for name, value in entries.items():
                values.setdefault(group, {}).setdefault(name, {}).setdefault(value, []).append(host)
    return tuple(_group(name, tuple(members[name]), values.get(name, {})) for name in sorted(members))


def _group(name: str, hosts: tuple[str, ...], values: Mapping[str, Mapping[str, list[str]]]) -> Group:
    majorities, different = {}, {}
    for fact, having in values.items():
        found = _with_absent(fact, having, hosts)
        one = majority({value: len(those) for value, those in found.items()})
        if one is not None:
            majorities[fact] = one
        elif len(found) > 1:
            different[fact] = {value: tuple(those) for value, those in found.items()}
    return Group(name, hosts, majorities, different)


def _with_absent(fact: str, having: Mapping[str, list[str]], hosts: tuple[str, ...]) -> Mapping[str, list[str]]:
    """The hosts by value. A component that a host lacks is a value too; other facts are compared where they exist."""
    if not fact.startswith(component("")) or sum(map(len, having.values())) == len(hosts):
        return having
    built = {host for those in having.values() for host in those}
    return {**having, NONE: [host for host in hosts if host not in built]}


def majority(counts: Mapping[str, int]) -> Majority | None:
    """The value of more than half of the hosts, from {value: number of hosts}; None if there is none."""
    of = sum(counts.values())
    for value, hosts in counts.items():
        if of >= FEWEST and 2 * hosts > of:
            return Majority(value, hosts, of)
    return None


def undecided(group: Group) -> tuple[Difference, ...]:
    """A difference for each fact in which the hosts of a group differ without a majority."""
    return tuple(
        Difference(
            drift_codes.NO_MAJORITY,
            item=fact,
            found=_spread(values),
            cure="by hand: decide which of the values is right, and change the other hosts",
        )
        for fact, values in sorted(group.different.items())
        if not fact.startswith(_SILENT)
    )


def _spread(values: Mapping[str, tuple[str, ...]]) -> str:
    """The values, the most frequent one first, each with its hosts."""
    ordered = sorted(values.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    shown = [f"{value}: {named(hosts, SHOWN)}" for value, hosts in ordered[:SHOWN]]
    more = [f"{len(ordered) - SHOWN} more values"] if len(ordered) > SHOWN else []
    return "; ".join(shown + more)
