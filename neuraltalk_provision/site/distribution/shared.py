"""Which names of a push have the file in common: one of them receives it, and the others are asked again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.results.host_state import Identity
from neuraltalk_provision.results.pushed import Place
from neuraltalk_provision.site import sharing


def first_names(places: Mapping[str, Place]) -> dict[str, str]:
    """{host: the name of its machine, or of a host that shares its directory, that receives or has the file}.

    Only names for which another one receives it are in it. What counts is the directory: one machine can show its
    names different ones, as containers do.
    """
    groups = sharing.groups_of({host: Identity(directories=one.identity.directories) for host, one in places.items()})
    firsts: dict[str, str] = {}
    for host in sorted(places, key=lambda host: (places[host].state != "present", not places[host].reaches)):
        firsts.setdefault(groups[host], host)
    named = {host: firsts[groups[host]] for host in places if places[host].state != "present"}
    return {host: first for host, first in named.items() if host != first}


def words(host: str, first: str, places: Mapping[str, Place]) -> str:
    """What the plan says of a host for which `first` receives the file, after its name."""
    one, other = places[host].identity, places[first].identity
    if one.machine and one.machine == other.machine:
        return f"is the same machine as {first}"
    where = f" ({one.filesystem})" if one.filesystem else ""
    return f"shares the directory{where} with {first}"
