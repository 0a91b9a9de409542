"""Activations that nobody confirmed: who may go on with such a host, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.results.host_state import Activation, HostState
from neuraltalk_provision.rules import activation as rules
from neuraltalk_provision.rules import holder
from neuraltalk_provision.site import controller


def refusal(found: Activation, take_over: bool = False) -> str:
    """Why no command may change a host in this state of its activation; empty if one may.

    A host is left alone while another controller may still confirm, and if the record cannot be trusted.
    """
    if found.state == rules.UNREADABLE:
        return found.problem
    if found.state != rules.UNCONFIRMED or found.over or take_over:
        return ""
    if found.holder == controller.name() or controller.is_dead(found.holder):
        return ""
    parts = holder.parse(found.holder)
    who = holder.plain(f"pid {parts['pid']} on {parts['host']}" if parts else found.holder or "somebody")
    target, former = rules.generation(found.target), rules.generation(found.former)
    return (
        f"another controller ({who}) activated {target} and has not confirmed it yet: wait until it does, or until the "
        f"host returns to {former}, {found.limit} s after the start at the latest. If that controller is no longer "
        f"running, {holder.TAKE_OVER}"
    )


def unconfirmed(states: Mapping[str, HostState]) -> list[str]:
    """The hosts whose activation was not confirmed; it is undone before anything else is done there."""
    return [host for host, state in states.items() if state.activation.state == rules.UNCONFIRMED]


def undone(found: Activation) -> str:
    """What is said about an activation that a command undoes first; empty if it was confirmed or has returned."""
    if found.state != rules.UNCONFIRMED:
        return ""
    target, former = rules.generation(found.target), rules.generation(found.former)
    return f"the activation of {target} was not confirmed; the return to {former} comes first"
