"""Our drains of nodes of Slurm: recorded before they are made; those that earlier commands left are lifted or named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from neuraltalk_provision.fleet import busy, use
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

    def undrained(self, drains: Mapping[Drain, str]) -> None:
        """Record that these drains are lifted; with words, that nobody can look for one any more."""


class Drains:
    """The drains of one command, and those that earlier ones left."""

    def __init__(self, settings: Settings, output: Output, records: Records, known: Iterable[str]) -> None:
        """`known` are hosts that the inventory has; of others it is asked if they have drains."""
        self._known = set(known)
        self._settings = settings
        self._output = output
        self._records = records
        self.left: dict[str, str] = {}
        """{host: why} of the hosts whose nodes are still drained by us, or may be."""
        self._moved: set[Drain] = set()

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
            if why := seen[host].unknown_drain:
                self.left[host] = f"it is not known whether its node of Slurm is still drained by us: {why}"
        self.note(seen)
        if self._lost():
            others = use.ask(self._settings, [host for host in (*hosts, *broken) if host not in seen])
            self.note(others)
            seen |= others
        ours = {one.rollout for one in drains}
        left = {host: one for host, one in seen.items() if ours & {*one.drains}}
        self.left |= {host: busy.BROKEN for host in broken if left.pop(host, None)}
        if not left:
            return
        changed = use.resume(self._settings, left)
        self._record_lifted([node for one in changed.nodes.values() for node in one.nodes])
        for host in sorted(left.keys() - {failure.host for failure in changed.failures}):
            self._output.say(f"{host}: its node was still drained by an earlier command, and is resumed")
        for failure in changed.failures:
            self.left[failure.host] = f"{busy.STILL_DRAINED}: {advice.explain(failure)}"

    def note(self, seen: Mapping[str, Seen]) -> None:
        """Record which drains are lifted, as these hosts show, and note which hosts are other machines now."""
        self._record_lifted([node for one in seen.values() for node in one.own_nodes])
        known = {host: {node.name for node in one.own_nodes} for host, one in seen.items() if not one.unknown_drain}
        self._moved |= {one for one in self._recorded() if one.host in known and not known[one.host] & {*one.nodes}}

    def name_lost(self) -> None:
        """Name the drains that no later command finds: of hosts that are gone from the inventory, or other machines."""
        lost = {one: busy.lost_drain(one) for one in self._lost()}
        if lost:
            self.left |= {one.host: words for one, words in lost.items()}
            self._records.undrained(lost)

    def _record_lifted(self, nodes: Sequence[Node]) -> None:
        lifted = [one for one in self._recorded() if one.is_lifted(nodes)] if nodes else ()
        if lifted:
            self._records.undrained(dict.fromkeys(lifted, ""))

    def _recorded(self) -> Sequence[Drain]:
        return self._records.drains() if self._settings.slurm != "none" else ()

    def _lost(self) -> list[Drain]:
        drains = self._recorded()
        others = {one.host for one in drains} - self._known
        gone = inventory_names.missing(self._settings, others) if others else frozenset()
        self._known |= others - gone
        return [one for one in drains if one.host in gone or one in self._moved]
