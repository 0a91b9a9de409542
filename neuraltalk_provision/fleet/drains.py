"""Our drains of nodes of Slurm: recorded before they are made; those that earlier commands left are lifted or named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from neuraltalk_provision.fleet import busy, use
from neuraltalk_provision.fleet.reader import Past
from neuraltalk_provision.fleet.records import Drain
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.fleet.use import NodesChanged
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_use import Node
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, inventory_names


class Records(Protocol):
    """The journal, as far as drains need it."""

    def drains(self) -> Sequence[Drain]:
        """The drains of all rollouts that may not be lifted yet."""

    def draining(self, nodes: Mapping[str, Sequence[str]]) -> None:
        """Record that these nodes of Slurm are drained: {host: the names of its nodes}."""

    def undrained(self, drains: Iterable[Drain], *, lost: bool = False) -> None:
        """Record that these drains are lifted; with `lost`, that no host of the inventory has their nodes."""

    def past(self) -> Past:
        """The results of earlier rollouts on each host."""


class Drains:
    """The drains of one command, and those that earlier ones left."""

    def __init__(self, settings: Settings, output: Output, records: Records, known: Iterable[str]) -> None:
        """`known` are hosts that the inventory has; it is read only if others have drains."""
        self._known = frozenset(known)
        self._settings = settings
        self._output = output
        self._records = records
        self._shown: dict[str, tuple[Node, ...]] = {}
        """The nodes that each host which answered is in Slurm; none if it shows none."""
        self.left: dict[str, str] = {}
        """{host: why} of the hosts whose nodes are still drained by us, or may be."""

    def drain(self, hosts: Mapping[str, Seen], rollout: str) -> NodesChanged:
        """Drain the nodes of these hosts for a rollout."""
        self._records.draining({name: [node.name for node in seen.own_nodes] for name, seen in hosts.items()})
        return use.drain(self._settings, hosts, rollout, "activation")

    def lift(self, hosts: Sequence[str], *, broken: Sequence[str] = ()) -> None:
        """Lift the drains that earlier commands left on these hosts. Those of `broken` stay, and are named.

        If the host of a drain is gone from the inventory, or is another machine now, one of these can be its machine.
        """
        drains = self._recorded()
        drained = {one.host for one in drains}
        asked = [host for host in (*hosts, *broken) if host in drained]
        seen = use.ask(self._settings, asked)
        for host in asked:
            if why := _unknown(seen[host]):
                self.left[host] = f"it is not known whether its node of Slurm is still drained by us: {why}"
        self.note(seen)
        bad = set(broken)
        if self._lost():
            others = use.ask(self._settings, [host for host in (*hosts, *broken) if host not in seen])
            self.note(others)
            seen |= others
            unproved = self._records.past().unproved
            drained_on = self._drained_on()
            bad |= {host for one in self._lost() if one.host in unproved for host in drained_on[_key(one)]}
        ours = {one.rollout for one in drains}
        left = {host: one for host, one in seen.items() if ours & {*one.drains}}
        self.left |= {host: busy.BROKEN for host in sorted(bad) if left.pop(host, None)}
        if not left:
            return
        changed = use.resume(self._settings, left)
        self._show({host: one.nodes for host, one in changed.nodes.items()})
        for host in sorted(left.keys() - {failure.host for failure in changed.failures}):
            self._output.say(f"{host}: its node was still drained by an earlier command, and is resumed")
        for failure in changed.failures:
            self.left[failure.host] = f"{busy.STILL_DRAINED}: {advice.explain(failure)}"

    def note(self, seen: Mapping[str, Seen]) -> None:
        """Take what these hosts show, and record which drains are lifted."""
        self._show({host: one.own_nodes for host, one in seen.items() if not one.unknown_drain})

    def name_lost(self) -> None:
        """Name the drains of which no host shows the node: of hosts that are gone from the inventory, or renamed.

        They are named until every host of the inventory has been asked, because one that was not can have the node.
        """
        drained_on = self._drained_on()
        lost = [one for one in self._lost() if not drained_on[_key(one)]]
        if not lost:
            return
        unasked = sorted((self._inventory or frozenset()) - self._shown.keys())
        nodes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in lost:
            nodes[one.host, one.rollout].append(one.node)
        told: dict[str, list[str]] = defaultdict(list)
        for (host, rollout), names in nodes.items():
            told[host].append(busy.lost_drains(names, rollout, unasked))
        self.left |= {host: "; ".join(texts) for host, texts in told.items()}
        if self._inventory and not unasked:
            self._records.undrained(lost, lost=True)

    def _show(self, nodes: Mapping[str, Sequence[Node]]) -> None:
        self._shown |= {host: tuple(nodes[host]) for host in nodes}
        drained_on, names = self._drained_on(), {node.name for one in nodes.values() for node in one}

        def is_lifted(drain: Drain) -> bool:
            """Whether hosts show now that a drain is lifted. Two clusters can have nodes of the same name: so only its
            own host counts, as long as that is the same machine.
            """
            if not self._is_lost(drain):
                return drain.is_lifted(nodes.get(drain.host, ()))
            return drain.node in names and not drained_on[_key(drain)]

        lifted = [one for one in self._recorded() if is_lifted(one)] if nodes else ()
        if lifted:
            self._records.undrained(lifted)

    def _drained_on(self) -> Mapping[tuple[str, str], set[str]]:
        """{(node, rollout): the hosts that show this node as still drained for this rollout}, and none for others."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for host, nodes in self._shown.items():
            for node in nodes:
                found[node.name, node.rollout].add(host)
        return found

    def _recorded(self) -> Sequence[Drain]:
        return self._records.drains() if self._settings.slurm != "none" else ()

    def _lost(self) -> list[Drain]:
        return [one for one in self._recorded() if self._is_lost(one)]

    def _is_lost(self, drain: Drain) -> bool:
        """Whether the host of a drain is gone from the inventory, or is other nodes now, and so another machine."""
        if drain.host not in self._known:
            return self._inventory is not None and drain.host not in self._inventory
        shown = self._shown.get(drain.host, ())
        return bool(shown) and drain.node not in {node.name for node in shown}

    @cached_property
    def _inventory(self) -> frozenset[str] | None:
        return inventory_names.hosts(self._settings)


def _key(drain: Drain) -> tuple[str, str]:
    return drain.node, drain.rollout


def _unknown(seen: Seen) -> str:
    """Why it is not known whether a host that was drained still is; empty if it is known."""
    return seen.unknown_drain or ("" if seen.own_nodes else "the host shows no node of Slurm now; is slurmd stopped?")
