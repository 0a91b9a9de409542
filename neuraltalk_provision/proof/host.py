"""A host of the user's inventory as the place of a proof: what Ansible runs there is in a network without a way out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import HostError, ProvisionError, UsageError
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.mirror.lock import Entry
from neuraltalk_provision.proof.contents import wheels_in
from neuraltalk_provision.proof.place import Ended
from neuraltalk_provision.proof.recorded import Recorded
from neuraltalk_provision.results.network import NetworkResult
from neuraltalk_provision.site import advice, ansible_inventory, host_results, playbook

WATCHED = "every packet of what Ansible ran on the host, in a network without a way out; not services of the host"
_MOST = 16 << 20


@dataclass(frozen=True)
class HostPlace:
    """A host whose isolated network is started; `outside` is its inventory without that network."""

    name: str
    words: str
    inventory: Path
    outside: Path
    before: Mapping[str, str]
    record: Recorded

    def prepare(self, mirror: Path, packages: Entry | None, stack_root: str) -> None:
        """Nothing: a host that Ansible reaches has Python."""

    def plant(self) -> None:
        """Try to reach something, in the network without a way out; read what the recorder has seen so far."""
        attempts = [one.model_dump(include={"kind", "to", "port"}) for one in self.record.plant(ipv6=True)]
        for line in _call(self.inventory, self.name, {"state": "tried", "attempts": attempts}).lines:
            self.record.take(line)

    def end(self, generation: str = "") -> Ended:
        """Try the recorder once more, end it, and look what is installed."""
        self.plant()
        wheels = {"python_packages": f"{generation}/python"} if generation else {}
        result = _call(self.outside, self.name, {"state": "ended", **wheels})
        for line in result.lines:
            self.record.take(line)
        return Ended(self.record.seen(WATCHED), _versions(result.packages), wheels_in("\n".join(result.wheels)))


@contextmanager
def isolated(inventory: Inventory, name: str, folder: Path) -> Iterator[HostPlace]:
    """The host as a place. The network without a way out is ended in any case; what was installed stays."""
    variables = variables_of(inventory, name)
    outside = _write(folder / "outside", name, variables)
    try:
        started = _call(outside, name, {"state": "started"})
        # That interpreter is none that the user asked for: the stack gets the same Python as without a proof.
        requested = {"generation_interpreter": variables.get("ansible_python_interpreter", "")}
        network = {"ansible_python_interpreter": started.interpreter}
        inside = _write(folder / "inside", name, {**variables, **requested, **network})
        place = HostPlace(name, f"host {name}", inside, outside, _versions(started.packages), Recorded())
        place.plant()
        if missing := place.record.missing():
            raise HostError(
                f"nothing can be proved on {name}, because the recorder did not see what was planted: "
                f"{'; '.join([*map(str, missing), *place.record.doubts])}",
                advice="A service of the host may look up names for programs (nscd, or `resolve` in nsswitch.conf), or "
                "its kernel may lack IPv6. Prove in a container instead: --image.",
            )
        yield place
    finally:
        with suppress(ProvisionError):
            _call(outside, name, {"state": "ended"})


def variables_of(inventory: Inventory, name: str) -> dict[str, Any]:
    """The variables of a host, from all of the user's inventory. Raises UsageError if it has no such host."""
    found = ansible_inventory.read(inventory, ["--host", name], _MOST)
    if found is None:
        raise UsageError(
            f"the inventory {inventories.named(inventory)} has no host called {name}, or cannot be read",
            advice=f"`ansible-inventory {' '.join(ansible_inventory.options(inventory))} --graph` lists its hosts.",
        )
    return found


def _write(folder: Path, name: str, variables: Mapping[str, Any]) -> Path:
    """Write an inventory with one host, which only its owner can read: its variables can be passwords."""
    folder.mkdir(mode=0o700)
    file = folder / "hosts.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"all": {"hosts": {name: variables}}}), encoding="utf-8")
    return file


def _call(inventory: Path, name: str, network: Mapping[str, Any]) -> NetworkResult:
    outcome = playbook.run(playbook.Request("prove_host.yml", inventory, {"provision_network": network}))
    results, failures = host_results.of(outcome.results, "isolated_network", NetworkResult, [name])
    if failures:
        raise advice.host_error(failures)
    return results[name]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return dict(package.split("=", 1) for package in packages if "=" in package)
