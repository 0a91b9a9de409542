# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The record of an activation: its states, and what is said about it. Used on hosts and on the controller; pure.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .texts import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping  # noqa: F401

NONE, UNCONFIRMED, RETURNED, UNREADABLE = "none", "unconfirmed", "returned", "unreadable"
"""The states.

none: there is no record. unconfirmed: the host returns unless the controller confirms in time. returned: it has.
unreadable: the record is damaged, belongs to another user, or this user may not read it.
"""
STATES = (NONE, UNCONFIRMED, RETURNED, UNREADABLE)
TIME, REBOOT, COMMAND = "time", "reboot", "command"
"""Why a host returned: the time was over, it was rebooted, or a later command undid the activation."""
_WHY = {
    TIME: "was not confirmed within %(limit)d s",
    REBOOT: "was not confirmed before the host was rebooted",
    COMMAND: "was not confirmed, and a later command undid its activation",
}


def cause_of(record, boot, uptime):
    # type: (Mapping[str, Any], str, float) -> str
    """Why an unconfirmed activation cannot be confirmed any more: REBOOT or TIME; empty if it still can be.

    `boot` is the id of the boot now, and `uptime` the seconds since it. The time of day has no influence.
    """
    if record["boot"] != boot:
        return REBOOT
    return TIME if uptime - record["start"] >= record["limit"] else ""


def generation(name):
    # type: (str) -> str
    """A generation in words; the id is empty if none was current."""
    return "generation %s" % name if name else "no generation"


def describe(record):
    # type: (Mapping[str, Any]) -> str
    """A sentence about a return: which generation, why, to which one, and when."""
    why = _WHY.get(record["cause"], _WHY[COMMAND]) % {"limit": record["limit"]}
    text = "%s %s, and the host returned to %s at %s" % (
        generation(record["target"]),
        why,
        generation(record["former"]),
        moment(record["when"]),
    )
    return text + (", but: %s" % record["problem"] if record["problem"] else "")
