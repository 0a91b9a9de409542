"""Compares the groups and hosts that provision.yml names with the inventory, before any host is asked."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import ansible_inventory

_MOST = 1 << 28
"""Bytes that are read of an inventory."""
_NO_HOST = ("auto", "none")
_OF_PATTERNS = frozenset("*?[]:,&!~@")
_ADVICE = "`ansible-inventory -i INVENTORY --graph` lists its hosts and groups. No host was asked."


@dataclass(frozen=True)
class Names:
    """{group: its own hosts and groups}, and all hosts."""

    groups: Mapping[str, tuple[str, ...]]
    hosts: frozenset[str]

    def has_hosts(self, group: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether there is a host in the group, or in a group below it."""
        return any(
            member in self.hosts or (member in self.groups and self.has_hosts(member, seen | {group}))
            for member in self.groups[group]
            if member not in seen
        )


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
    if first in names.groups and not names.has_hosts(first):
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


def missing(settings: Settings, hosts: Iterable[str]) -> frozenset[str]:
    """Those of these hosts that the inventory does not have; none if it cannot be read."""
    names = _read(settings.inventory)
    return frozenset(hosts) - names.hosts if names else frozenset()


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
    groups = {name: _members(found, name) for name in found if name != "_meta"}
    groups |= {child: _members(found, child) for members in list(groups.values()) for child in members}
    hosts = {str(host) for group in found.values() for host in group.get("hosts", ())}
    if not hosts:
        return None  # ansible-inventory returns 0 also for a file that is none
    return Names({name: members for name, members in groups.items() if name not in hosts}, frozenset(hosts))


def _members(found: Mapping[str, Any], group: str) -> tuple[str, ...]:
    document = found.get(group, {})
    return (*document.get("hosts", ()), *document.get("children", ()))
