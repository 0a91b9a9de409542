# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which run uses which card of a host, and the lock for choosing a card, so that two runs never get the same one.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import time

from ..host.errors import StackError
from ..host.files import make_directory
from .files import active
from .locks import holder_of, open_own, write_holder
from ..rules import clock, layout

LEASE_PATIENCE = 60.0
"""Seconds to wait for another start of a run on this host."""


class Leases(object):
    """A lock on the cards of this host, used with `with` while a card is chosen and a run is started.

    Whoever only `looks` does not change the file of the lock: a plan changes nothing on a host. StackError, which names
    the process that has the lock, if it is not released within LEASE_PATIENCE.
    """

    def __init__(self, root, account=None, looks=False):
        self.looks = looks
        self.root = layout.runs(root)
        self.path = os.path.join(self.root, ".leases")
        self.account = account
        make_directory(self.root)

    def __enter__(self):
        self.handle = open_own(self.path, self.account.uid if self.account else None)
        if not self.looks:
            if self.account is not None and os.geteuid() == 0 and os.fstat(self.handle).st_uid != self.account.uid:
                # It can be a link that the account made to a file of root, which has lost its own name since then.
                os.ftruncate(self.handle, 0)
                os.fchown(self.handle, self.account.uid, self.account.gid)
            os.fchmod(self.handle, 0o600)
        deadline = clock.seconds() + LEASE_PATIENCE
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError):
                if clock.seconds() > deadline:
                    holder = holder_of(self.handle)
                    os.close(self.handle)
                    message = (
                        "another start of a run below this stack root has held %s for more than %d s: %s. End that "
                        "process, then try again"
                    )
                    raise StackError(message % (self.path, LEASE_PATIENCE, holder))
            time.sleep(0.05)
        self._write("pid %d on %s since %s" % (os.getpid(), os.uname()[1], time.strftime("%Y-%m-%d %H:%M:%S")))
        return self

    def _write(self, holder):
        if not self.looks:
            write_holder(self.handle, holder)

    def __exit__(self, *_error):
        self._write("")
        os.close(self.handle)


def taken(root):
    """{uuid: run id} of the cards that are used by active runs, or reserved for waiting runs."""
    found = {}  # type: dict[str, str]
    for _run, status in active(root):
        uuid = status["card"].get("uuid") if isinstance(status["card"], dict) else None
        if uuid and isinstance(uuid, str):
            found[uuid] = status["id"] if status["running"] else found.get(uuid, status["id"])
    return found
