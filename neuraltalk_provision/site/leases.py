"""The lease on a host: one command at a time works there, and gives it back at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller, playbook


def refusals(host: str, state: HostState, take_over: bool = False) -> tuple[str, ...]:
    """Why the host's lease cannot be had: who has it, since when and from where; nothing where it can."""
    words = controller.hindrance(state.lease, take_over)
    return (f"{host}: {words}",) if words else ()


def refuse(states: Mapping[str, HostState], take_over: bool = False) -> None:
    """UsageError naming every host on which another controller works, or whose stack root others can replace."""
    words = [f"{host}: {words}" for host, state in states.items() for words in state.unsafe]
    words += [words for host, state in states.items() for words in refusals(host, state, take_over)]
    if words:
        raise UsageError("\n".join(words), advice="Nothing was changed on any host.")


def overs(states: Mapping[str, HostState], take_over: bool = False) -> dict[str, str]:
    """{host: the holder that its lease may be taken from}."""
    return {host: controller.over(state.lease, take_over) for host, state in states.items()}


def variables(what: str, over: Mapping[str, str]) -> dict[str, Any]:
    """`provision_lease`, as the playbooks take leases by it."""
    return {"holder": controller.name(), "what": what, "over": {host: dead for host, dead in over.items() if dead}}


@contextlib.contextmanager
def given_back(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings) -> Iterator[None]:
    """Give the leases of these hosts back at the end, whatever happened; one that stays is known as a dead one's."""
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
