"""The order in which hosts pass a file on, rack by rack, and whom each of them may ask. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.results.pushed import Place
from neuraltalk_provision.rules import pieces

ANCESTORS = 3
"""How many of the hosts before it a host may ask, beside the controller."""


@dataclass(frozen=True)
class Link:
    """A host in the chain, with its number; it may ask `before`, the nearest first, and then the controller."""

    host: str
    number: int
    place: Place
    before: tuple[str, ...]
    is_last: bool
    forwarded: int = 0
    """The port of this host from which ssh forwards connections to the controller; 0 if it does not."""

    def as_variables(self, chain: Mapping[str, Link], port: int, own_port: int) -> dict[str, Any]:
        """The variables of this host for push.yml; hosts listen on `port` and the controller on `own_port`."""
        known = [chain[host] for host in self.before]
        candidates = [{"number": one.number, "address": one.place.address, "listen": port} for one in known]
        if self.place.reaches:
            candidates.append({"number": pieces.SOURCE, "address": self.place.controller, "listen": own_port})
        elif self.forwarded:
            candidates.append({"number": pieces.SOURCE, "address": "127.0.0.1", "listen": self.forwarded})
        return {"number": self.number, "candidates": candidates, "last": self.is_last}


def make(places: Mapping[str, Place]) -> dict[str, Link]:
    """{host: its link}, in the order of the chain.

    Hosts of a rack are neighbours, so that the file crosses from one rack to the next once. Racks and hosts stay in
    their order, except that a host that reaches the controller is the first one, and its rack the first rack.
    """
    racks: dict[str, list[str]] = {}
    for host, place in places.items():
        racks.setdefault(place.rack, []).append(host)
    first = next((host for host, place in places.items() if place.reaches), next(iter(places), ""))
    if not first:
        return {}
    rack = places[first].rack
    ordered = [first, *(host for host in racks.pop(rack) if host != first)]
    for others in racks.values():
        ordered += others
    return {
        host: Link(host, index + 1, places[host], _before(ordered, index), index == len(ordered) - 1)
        for index, host in enumerate(ordered)
    }


def crossings(chain: Sequence[Link]) -> int:
    """How often the file goes from one rack to another."""
    return sum(1 for one, other in itertools.pairwise(chain) if one.place.rack != other.place.rack)


def _before(ordered: Sequence[str], index: int) -> tuple[str, ...]:
    """The nearest hosts before one, and the first of all, which reaches the controller."""
    near = list(reversed(ordered[max(0, index - ANCESTORS) : index]))
    return (*near, *(ordered[:1] if index and ordered[0] not in near else ()))
