"""Compares the groups and hosts that provision.yml names with the inventory, before any host is asked."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.host_names import named
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import ansible_inventory

_MOST = 1 << 28
"""Bytes that are read of an inventory."""
_NO_HOST = ("auto", "none")
_OF_PATTERNS = frozenset("*?[]:,&!~@")
_WITH_SIGN = re.compile(r"[!&][^\s!&,:;\[\]]+")
_ADVICE = "`ansible-inventory -i INVENTORY --graph` lists its hosts and groups. No host was asked."


@dataclass(frozen=True)
class Names:
    """{group: its hosts, and those of the groups below it}, and all hosts."""

    groups: Mapping[str, frozenset[str]]
    hosts: frozenset[str]


def check(settings: Settings) -> None:
    """Raise UsageError with every name in `waves`, `builders` and `slurm` that the inventory does not have.

    The inventory is read only if there are such names. An inventory that cannot be read is not an error here: the
    playbook that reads it next says what is wrong with it.
    """
    groups = [rule.group for rule in settings.waves if rule.group]
    hosts = [("builders", name) for name in settings.builders]
    hosts += [("slurm", settings.slurm)] if settings.slurm not in _NO_HOST else []
    names = _read(settings.inventory) if groups or hosts else None
    if names is None:
        return
    problems = [
        f"waves: {_unknown('group', name, names.groups, names.hosts)}" for name in groups if name not in names.groups
    ]
    problems += [
        f"{where}: {_unknown('host', name, names.hosts, names.groups)}"
        for where, name in hosts
        if name not in names.hosts
    ]
    first = settings.waves[0].group
    if first in names.groups and not names.groups[first]:
        problems.append(f"waves: the first wave is the group {first}, and it has no host")
    if problems:
        raise UsageError(
            "\n".join(
                [
                    f"provision.yml names what the inventory {inventories.named(settings.inventory)} does not have:",
                    *problems,
                ]
            ),
            advice=_ADVICE,
        )


def refuse_unknown(settings: Settings, host: str) -> None:
    """UsageError if the inventory has no host or group of that name, for a plan that asks no host.

    Nothing is known of a pattern of Ansible, or if the inventory cannot be read.
    """
    names = _read(settings.inventory) if not _OF_PATTERNS & set(host) else None
    if names and host not in names.hosts and host not in names.groups:
        raise UsageError(
            f"{inventories.named(settings.inventory)}: {_unknown('host', host, names.hosts, ())}", advice=_ADVICE
        )


def refuse_ambiguous(inventory: Inventory, limit: Sequence[str]) -> None:
    """UsageError if --limit has ! or & before a name that is that of a host and of a group that is not this host alone.

    There Ansible takes it for the group: `!web` leaves in the host web. Otherwise it takes the name for the host alone.
    """
    if names := tuple(dict.fromkeys(_WITH_SIGN.findall(",".join(limit)))):
        _refuse_ambiguous(inventory, names)


@functools.cache
def _refuse_ambiguous(inventory: Inventory, signed: tuple[str, ...]) -> None:
    names = _read(inventory)
    if names is None:
        return
    for one in signed:
        host, members = one[1:], names.groups.get(one[1:])
        if host in names.hosts and members not in (None, {host}):
            raise UsageError(
                f"--limit {one}: {inventories.named(inventory)} has a host and a group with the name {host}. After "
                f"{one[0]}, Ansible takes the name for the group, which has {named(sorted(members)) or 'no host'}",
                advice="List the hosts by their names instead, or give the host or the group another name. Nothing was "
                "done on any host.",
            )


def hosts(settings: Settings) -> frozenset[str] | None:
    """The hosts of the inventory; None if it cannot be read."""
    names = _read(settings.inventory)
    return names.hosts if names else None


def missing(settings: Settings, wanted: Iterable[str]) -> frozenset[str]:
    """Those of these hosts that the inventory does not have; none if it cannot be read."""
    there = hosts(settings)
    return frozenset() if there is None else frozenset(wanted) - there


def _unknown(kind: str, name: str, known: Collection[str], others: Collection[str]) -> str:
    text = f"the inventory has no {kind} called {name}"
    if name in others:
        return f"{text}, but a {'host' if kind == 'group' else 'group'} of this name"
    near = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.6)
    return f"{text}; did you mean {' or '.join(near)}?" if near else text


def _read(inventory: Inventory) -> Names | None:
    """The names in an inventory; None if it cannot be read."""
    found = ansible_inventory.read(inventory, ["--list"], _MOST)
    if found is None or "all" not in found:
        return None
    children = {name: _listed(found, name, "children") for name in found if name != "_meta"}
    empty = {child: frozenset[str]() for members in children.values() for child in members if child not in children}
    groups = {name: _hosts_below(found, name, set()) for name in children} | empty
    hosts = frozenset().union(*groups.values())
    return Names(groups, hosts) if hosts else None  # ansible-inventory returns 0 also for a file that is none


def _hosts_below(found: Mapping[str, Any], group: str, seen: set[str]) -> frozenset[str]:
    """The hosts of a group and of the groups below it that were not `seen`."""
    seen.add(group)
    below = [_hosts_below(found, child, seen) for child in _listed(found, group, "children") if child not in seen]
    return frozenset(_listed(found, group, "hosts")).union(*below)


def _listed(found: Mapping[str, Any], group: str, what: str) -> tuple[str, ...]:
    return tuple(map(str, found.get(group, {}).get(what, ())))
