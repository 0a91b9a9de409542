"""The lease on a host: only one command at a time works there, and it gives the lease back when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller, playbook


def refusals(host: str, state: HostState, take_over: bool = False) -> tuple[str, ...]:
    """Why the host's lease cannot be acquired: who holds it, since when and from where; empty if it can."""
    words = controller.hindrance(state.lease, take_over)
    return (f"{host}: {words}",) if words else ()


def refuse(states: Mapping[str, HostState], take_over: bool = False) -> None:
    """UsageError that names every host on which another controller works, or whose stack root others can replace."""
    words = [f"{host}: {words}" for host, state in states.items() for words in state.unsafe]
    words += [words for host, state in states.items() for words in refusals(host, state, take_over)]
    if words:
        raise UsageError("\n".join(words), advice="Nothing was changed on any host.")


def overs(states: Mapping[str, HostState], take_over: bool = False) -> dict[str, str]:
    """{host: the holder whose lease may be replaced}."""
    return {host: controller.over(state.lease, take_over) for host, state in states.items()}


def variables(what: str, over: Mapping[str, str]) -> dict[str, Any]:
    """The variable `provision_lease`, with which the playbooks acquire leases."""
    return {"holder": controller.name(), "what": what, "over": {host: dead for host, dead in over.items() if dead}}


@contextlib.contextmanager
def given_back(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings) -> Iterator[None]:
    """Give the leases of these hosts back at the end, whatever happened.

    If that fails, the next command finds that the holder has ended, and replaces the lease.
    """
    try:
        yield
    finally:
        if hosts:
            names = ("provision_lease", "provision_stack_root")
            request = playbook.Request(
                playbook="release.yml",
                inventory=settings.inventory,
                variables={name: given[name] for name in names},
                limit=hosts,
                forks=settings.forks,
            )
            with contextlib.suppress(ProvisionError):
                playbook.run(request)
