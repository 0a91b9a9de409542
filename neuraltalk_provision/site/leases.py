"""The lease on a host: only one command at a time works there, and it releases the lease when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import activations, controller, playbook
from neuraltalk_provision.site.advice import UNCHANGED


def refusals(host: str, state: HostState, take_over: bool = False) -> tuple[str, ...]:
    """Why the host's lease cannot be acquired: its holder, since when and from where; empty if it can.

    Also why a host with an unconfirmed activation must be left alone.
    """
    reason = controller.refusal(state.lease, take_over) or activations.refusal(state.activation, take_over)
    return (f"{host}: {reason}",) if reason else ()


def refuse(states: Mapping[str, HostState], take_over: bool = False) -> None:
    """UsageError that names every host on which another controller works, or whose stack root others can replace."""
    reasons = [(host, f"{host}: {reason}") for host, state in states.items() for reason in state.unsafe]
    reasons += [(host, reason) for host, state in states.items() for reason in refusals(host, state, take_over)]
    if reasons:
        raise UsageError("\n".join(lines(reasons)), advice=UNCHANGED)


def replaceable(states: Mapping[str, HostState], take_over: bool = False) -> dict[str, str]:
    """{host: the holder whose lease may be replaced}."""
    return {host: controller.replaceable(state.lease, take_over) for host, state in states.items()}


def variables(what: str, over: Mapping[str, str]) -> dict[str, Any]:
    """The variable `provision_lease`, with which the playbooks acquire leases."""
    return {"holder": controller.name(), "what": what, "over": {host: dead for host, dead in over.items() if dead}}


@contextlib.contextmanager
def released(hosts: Sequence[str], given: Mapping[str, Any], settings: Settings) -> Iterator[None]:
    """Release the leases of these hosts at the end of the block, also after an error.

    If that fails, the next command finds that the holder has ended, and replaces the lease.
    """
    try:
        yield
    finally:
        if hosts:
            names = ("provision_lease", "provision_stack_root")
            request = playbook.Request.of_site(settings, "release.yml", hosts, {name: given[name] for name in names})
            with contextlib.suppress(ProvisionError):
                playbook.run(request)
