# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a controller does with the activation of a host: arm the timer before it, confirm it, or undo it.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..host.errors import StackError
from ..host.generations import Generations
from ..host.lease import Lock
from ..rules import activation as rules
from ..rules import codes
from ..rules.holder import plain
from . import program, timer
from . import record as records
from .returning import give_back, restores

WAIT = 600
"""Seconds in which a return that is running must end. It may have to wait for ldconfig."""
PROGRAM = program.__name__
"""Imported here so that it is packed."""


def arm(root, target, holder, cuda, limit, expected=()):
    """Write the record of the activation that follows, and arm the timer. Returns (what was done first, the timer).

    With the limit 0 no timer is armed, and a record of an earlier return is removed. If an earlier activation was not
    confirmed, it is continued if it is the same one; otherwise the host is returned first. If some are `expected`, none
    of which is current, StackError: somebody else has activated another generation, and a return would lead behind it.
    """
    with Lock(root, WAIT):
        earlier = records.read(root)
        if not earlier:
            Generations(root).refuse_changed(expected, target)
        continued, did = None, ""
        if earlier and earlier["state"] == rules.UNCONFIRMED:
            if limit and _is_continued(root, earlier, target, cuda):
                continued = earlier
            else:
                did = _undo(root, earlier)
        if not limit:
            records.clear(root)
            timer.disarm(root)
            return did, ""
        former = continued["former"] if continued else Generations(root).current()
        swaps = continued["restores"] if continued else restores(cuda)
        record = records.new(holder, former, target, cuda, swaps, limit)
        if continued:
            # A timer that is armed already stays good, also if this command is killed or cannot arm it again.
            record["token"] = continued["token"]
        return did, _start(root, record, continued)


def _is_continued(root, earlier, target, cuda):
    """Whether an unconfirmed activation is the one that follows, and was neither too late nor changed by others."""
    is_same = (earlier["target"], earlier["cuda"]) == (target, cuda)
    untouched = Generations(root).current() in (earlier["target"], earlier["former"])
    return is_same and untouched and not records.cause(earlier)


def _start(root, record, earlier):
    """Write the program and the record, and arm the timer. Returns the timer in words.

    If that fails, the record and the timer are the earlier ones again.
    """
    try:
        timer.write_program(root)
        records.write(root, record)
        return timer.arm(root, record)
    except Exception as error:
        if earlier:
            records.write(root, earlier)
            timer.keep(root)
        else:
            records.clear(root)
            timer.disarm(root)
        if isinstance(error, (IOError, OSError)):
            raise timer.refusal("%s: %s" % (error.filename, error.strerror), codes.of_errno(error.errno))
        raise


def confirm(root, target, holder):
    """Record that the activation is confirmed: remove the record and the timer.

    StackError if that is too late, or if another controller has taken over.
    """
    with Lock(root, WAIT):
        record = records.read(root)
        if record is None:
            message = "nobody armed a timer for generation %s, or another command undid its activation" % target
            raise StackError(message, code=codes.ACTIVATION_RETURNED)
        if (record["target"], record["holder"]) != (target, holder):
            message = "another controller has taken over this host and activates generation %s: %s"
            raise StackError(message % (record["target"], plain(record["holder"] or "somebody")), code=codes.BUSY)
        cause = records.cause(record)
        if record["state"] == rules.UNCONFIRMED and cause:
            record = give_back(root, record, cause)
            timer.disarm(root)
        if record["state"] == rules.RETURNED:
            raise records.too_late(record)
        current = Generations(root).current()
        if current != target:
            raise StackError("%s is current, not generation %s" % (rules.generation(current), target), code=codes.BUSY)
        records.clear(root)
        timer.disarm(root)


def undo(root, holder=""):
    """Return the host now if its activation was not confirmed, and remove the record. Returns what was done, in words.

    With `holder` only if this controller activates. The record of an earlier return stays.
    """
    if not os.path.isdir(root):
        return ""
    with Lock(root, WAIT):
        record = records.read(root)
        if not record or record["state"] != rules.UNCONFIRMED or holder not in ("", record["holder"]):
            return ""
        return _undo(root, record)


def _undo(root, record):
    done = give_back(root, record, rules.COMMAND)
    records.clear(root)
    timer.disarm(root)
    return rules.describe(done)
