# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Drains nodes of Slurm with a reason of ours, and lifts only drains with such a reason.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..host.errors import StackError
from ..rules import codes
from ..rules import slurm as rules
from . import nodes

AFTERWARDS = "it is down, and was also drained by neuraltalk-provision, which has ended"
"""The reason of a node that is down when our drain of it is lifted."""


def known(host, changed=()):
    """The nodes of a host (nodes.Host). StackError with the code `busy` if Slurm does not say.

    `changed` are the names of those that were changed just before.
    """
    found = nodes.read(host)
    if found["problem"]:
        message = "it is not known whether Slurm uses this host: %s. Nothing was changed" % found["problem"]
        if changed:
            message = "Slurm accepted the change of %s, and did not answer any more: %s"
            message = message % (", ".join(changed), found["problem"])
        raise StackError(message, code=codes.BUSY)
    return found["nodes"]


def is_foreign(node):
    """Whether somebody else has taken the node out of service: its reason is not ours."""
    return (node["drained"] or node["down"]) and not node["rollout"]


def drain(host, rollout, text, dry):
    """Drain the nodes of a host; returns (changed, the nodes afterwards). Nodes that others took out stay as they are.

    A drain of ours for another rollout gets the new reason: its controller was lost, because the lease of the host
    allows only one. StackError if Slurm refuses.
    """
    reason = rules.reason_of(rollout, text)
    found = known(host)
    wanted = [entry for entry in found if not is_foreign(entry) and entry["rollout"] != rollout]
    if not wanted or dry:
        return bool(wanted), found
    for entry in wanted:
        _update(host, entry["name"], ["State=DRAIN", "Reason=" + reason], "drain")
    names = [entry["name"] for entry in wanted]
    after = known(host, names)
    shown = set(node["name"] for node in after if node["rollout"] == rollout)
    missed = [name for name in names if name not in shown]
    if missed:
        raise StackError("Slurm accepted the drain of %s, but its state does not show it" % ", ".join(missed))
    return True, after


def resume(host, dry):
    """Lift our drains on the nodes of a host; returns (changed, the nodes afterwards). StackError if Slurm refuses."""
    found = known(host)
    ours = [node for node in found if node["rollout"]]
    if not ours or dry:
        return bool(ours), found
    for node in ours:
        # RESUME would also put a node into service that is down. Slurm or its administrator has to decide that. With
        # UNDRAIN our reason would stay, and the next drain that somebody else makes would look like ours.
        how = ["State=UNDRAIN", "Reason=" + AFTERWARDS] if node["down"] else ["State=RESUME"]
        _update(host, node["name"], how, "resume")
    names = [node["name"] for node in ours]
    after = known(host, names)
    shown = set(node["name"] for node in after if not node["rollout"])
    left = [name for name in names if name not in shown]
    if left:
        raise StackError("Slurm accepted the end of the drain of %s, but its state does not show it" % ", ".join(left))
    return True, after


def _update(host, name, what, verb):
    """Change a node. StackError with Slurm's own message; its code is `busy` if Slurm does not answer at all."""
    try:
        nodes.ask(["scontrol", "update", "NodeName=" + name] + what)
    except nodes.SilentError as error:
        if nodes.read(host)["problem"]:
            message = "Slurm did not %s node %s, because it does not answer: %s"
            raise StackError(message % (verb, name, error), code=codes.BUSY)
        raise StackError(
            "Slurm does not %s node %s: %s. Only root, SlurmUser and Slurm's operators may do that: set ansible_become "
            "for the host where scontrol runs, or name a host where this user may, in slurm in provision.yml"
            % (verb, name, error),
            code=codes.SLURM_REFUSED,
        )
