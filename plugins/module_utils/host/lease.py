# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The lease on a host's stack: one controller at a time stages, activates, goes back or swaps cuDNN there.

`lease.json` below the stack root says who has it. It is read and written under a lock that only its owner can open,
so that no other user of the host can hold anybody up. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import json
import os
import stat
import time

from ..rules import codes
from ..rules.holder import plain, told
from .errors import StackError
from .files import make_directory, remove, write_json
from .texts import as_text
from ..rules import layout

MOST = 65536
"""Bytes of a lease that are read."""
PATIENCE = 20
"""Seconds. The lock is held for as long as a small file takes to be written."""


def path_of(root):
    """Where the lease lies."""
    return os.path.join(root, layout.LEASE)


def read_lease(root):
    """{holder, host, what, since} of who has the lease; None where nobody has it.

    A file that says nothing that can be read is somebody's all the same: its holder is empty.
    """
    text, since = _read(path_of(root))
    if text is None:
        return None
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    lease = dict((key, as_text(said.get(key) or "")) for key in ("holder", "host", "what") if _is_text(said.get(key)))
    when = said.get("since")
    number = isinstance(when, int) and not isinstance(when, bool) and 0 <= when < 1 << 40
    return dict({"holder": "", "host": "", "what": ""}, since=when if number else since, **lease)


def _is_text(value):
    return value is None or hasattr(value, "strip")


def _read(path):
    """(text, when it was written) of a plain file; (None, 0) where there is none, ('', 0) for what is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None, 0
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return "", 0
        raise
    try:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode):
            return "", 0
        return os.read(handle, MOST).decode("utf-8", "replace"), int(seen.st_mtime)
    finally:
        os.close(handle)


class Lock(object):
    """Nobody else takes or gives a lease of this stack root while it is held."""

    def __init__(self, root, patience=PATIENCE):
        self.path = os.path.join(root, ".lease.lock")
        self.patience = patience
        self.handle = -1

    def __enter__(self):
        try:
            self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise StackError("%s cannot be opened: %s. Look at who made it" % (self.path, error.strerror))
        try:
            self._own()
            self._wait()
        except Exception:
            os.close(self.handle)
            raise
        return self

    def _own(self):
        seen = os.fstat(self.handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid not in (0, os.geteuid()) or seen.st_nlink != 1:
            raise StackError("%s was made by uid %d, who may not: remove it" % (self.path, seen.st_uid))
        os.fchmod(self.handle, 0o600)

    def _wait(self):
        deadline = time.time() + self.patience
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError) as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.time() > deadline:
                holder = os.read(self.handle, 64).decode("utf-8", "replace").strip()
                words = "%s has been locked for %d s by pid %s: end that process if it hangs"
                raise StackError(words % (self.path, self.patience, holder or "unknown"), code=codes.BUSY)
            time.sleep(0.05)
        os.ftruncate(self.handle, 0)
        os.write(self.handle, ("%d\n" % os.getpid()).encode("ascii"))

    def __exit__(self, *_error):
        os.close(self.handle)


def refuse_held(root, holder, host, over):
    """StackError with who has the lease, where that is neither this holder for this host nor the one to take it from.

    `over` names a holder that is known to be dead, or that somebody answers for: only from that one is it taken.
    """
    lease = read_lease(root)
    if lease is None or (over and over == (lease["holder"] or "damaged")):
        return
    if holder and lease["holder"] == holder:
        if lease["host"] != host:
            raise StackError(
                "%s is being worked on by this same command, as %s: two names of the inventory are one host, or "
                "share its stack_root. Leave one of them out" % (root, plain(lease["host"]))
            )
        return
    raise StackError(
        "another controller works on %s: %s. Wait until it ends; if it is dead, run the same command with --take-over"
        % (root, told(lease)),
        code=codes.BUSY,
    )


def take(root, holder, host, what, over=""):
    """The lease is `holder`'s afterwards. StackError where somebody else has it."""
    make_directory(root)
    with Lock(root):
        refuse_held(root, holder, host, over)
        write_json(path_of(root), {"holder": holder, "host": host, "what": what, "since": int(time.time())})


def give(root, holder, host, over=""):
    """The lease is not `holder`'s afterwards, nor that of the dead `over`; whether it was. Anybody else's stays."""
    if not os.path.isdir(root):
        return False
    with Lock(root):
        lease = read_lease(root)
        mine = bool(lease) and (lease["holder"], lease["host"]) == (holder, host)
        ends = mine or bool(lease and over) and over == (lease["holder"] or "damaged")
        if ends:
            remove(path_of(root))
    return ends
