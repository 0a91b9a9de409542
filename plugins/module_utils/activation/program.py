# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The program that returns a host when nobody confirmed its activation in time. The timer starts it.

It waits until the time is over, ends if the record is gone, and returns the host otherwise. If it is killed and started
again, it continues. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys
import time

from ..host.lease import Lock
from ..rules import activation as rules
from . import clock, timer
from . import record as records
from .returning import give_back, log
from ..host.texts import text_of

POLL = 2
"""Seconds between two looks at the record."""
RETRY = 30
"""Seconds between two attempts to return."""
ATTEMPTS = 100


def mine(root, token):
    """The unconfirmed record with that token; None if it was confirmed, removed or replaced, or if it has returned."""
    found = records.read(root)
    return found if found and found["token"] == token and found["state"] == rules.UNCONFIRMED else None


def wait(root, token):
    """Wait until the activation cannot be confirmed any more. Returns at once if the record is not the expected one."""
    while True:
        found = mine(root, token)
        if not found or records.cause(found):
            return
        left = found["start"] + found["limit"] - clock.uptime()
        time.sleep(max(min(left, POLL), 0.01))


def attempt(root, token):
    """Return the host if the record is still the same and unconfirmed, and remove the timer."""
    with Lock(root):
        found = mine(root, token)
        cause = records.cause(found) if found else ""
        if cause:
            give_back(root, found, cause)
        left = records.read(root)
        # Another activation may have armed the timer again. It is then not ours to remove.
        if not left or left["state"] != rules.UNCONFIRMED:
            timer.disarm(root)


def main(args):
    """`ROOT TOKEN [try|detach]`: wait and return; the exit code.

    With `try` it only prints that the program works. With `detach` it continues in a session of its own, and prints the
    process id.
    """
    root, token, how = (args + [""])[:3]
    child = os.fork() if how == timer.DETACH else 0
    if child or how == timer.TRY:
        sys.stdout.write("%s %s\n" % (timer.READY, child or ""))
        return 0
    if how:
        os.setsid()
    _close_files()
    for number in range(ATTEMPTS):
        try:
            wait(root, token)
            attempt(root, token)
            return 0
        except Exception as error:  # whatever it is, the host must return
            log(root, "attempt %d failed: %s: %s" % (number + 1, type(error).__name__, text_of(error)))
            time.sleep(RETRY)
    return 1


def _close_files():
    """Let go of all files of the parent, such as its pipes and the lease's lock, and of its directory."""
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nothing, handle)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one with which the directory was read
