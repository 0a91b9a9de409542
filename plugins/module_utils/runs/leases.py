# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which run has which card of a host, held while one is chosen, so that no two runs take the same one.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import time

from ..gpu.cards import cards, has_card, processes
from ..gpu.choice import free_cards
from ..host.errors import StackError
from ..host.files import make_directory
from .files import active
from .locks import open_own, write_down
from ..rules import layout

LEASE_PATIENCE = 60.0
"""Seconds that another start of a run on this host may take before ours gives up."""


class Leases(object):
    """Which run has which card of this host; held while one is chosen and started, so that no two take the same.

    Nobody waits for ever: StackError with the holder where it is not let go.
    """

    def __init__(self, root, account=None):
        self.root = layout.runs(root)
        self.path = os.path.join(self.root, ".leases")
        self.account = account
        make_directory(self.root)

    def __enter__(self):
        self.handle = open_own(self.path)
        if self.account is not None and os.geteuid() == 0:
            os.fchown(self.handle, self.account.uid, self.account.gid)
        os.fchmod(self.handle, 0o600)
        deadline = time.time() + LEASE_PATIENCE
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError):
                if time.time() > deadline:
                    holder = os.read(self.handle, 200).decode("utf-8", "replace").strip() or "nobody who left a number"
                    os.close(self.handle)
                    words = (
                        "another start of a run on this host holds %s for more than %d s: %s. End it, then try again"
                    )
                    raise StackError(words % (self.path, LEASE_PATIENCE, holder))
            time.sleep(0.05)
        write_down(self.handle, "pid %d since %s" % (os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S")))
        return self

    def __exit__(self, *_error):
        os.ftruncate(self.handle, 0)
        os.close(self.handle)


def taken(root):
    """{uuid: run} of the cards that runs of ours have now, or will have when their turn comes."""
    found = {}  # type: dict[str, str]
    for _run, status in active(root):
        uuid = status["card"].get("uuid") if isinstance(status["card"], dict) else None
        if uuid:
            found[uuid] = status["id"] if status["running"] else found.get(uuid, status["id"])
    return found


def free_now(root, memory):
    """The cards that a run which needs so much memory (MiB) could have now. StackError where that cannot be told."""
    if not has_card():
        return []
    try:
        return free_cards(memory, cards(), processes(), taken(root))
    except ValueError as error:
        raise StackError("it cannot be told which cards are free: %s" % error)
