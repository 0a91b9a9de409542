# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The lease on a host's stack: only one controller at a time builds, activates, rolls back or swaps cuDNN there.

The file `lease.json` below the stack root names the holder. It is read and written under a lock file that only its
owner can open, so that no other user of the host can block a controller. Runs under Python 2.7 and 3, standard library
only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import json
import os
import stat
import time

from . import root_id
from ..rules import clock, codes
from ..rules.holder import TAKE_OVER, describe, plain
from .errors import StackError
from .files import DAY, leads_nowhere, make_directory, naming, remove, remove_remains, write_json
from .identity import is_local
from .texts import as_text
from ..rules import layout

MAX_READ = 65536
"""The largest number of bytes that are read from a lease."""
TIMEOUT = 20
"""Seconds. The lock is held only while a small file is written."""


def path_of(root):
    """The path of the lease."""
    return os.path.join(root, layout.LEASE)


def read_lease(root):
    """The lease as {holder, host, what, since}; None if nobody holds it.

    A lease that cannot be read counts as held, with an empty holder.
    """
    text, written = _read(path_of(root))
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    content = content if isinstance(content, dict) else {}
    keys = [key for key in ("holder", "host", "what") if hasattr(content.get(key), "strip")]
    lease = dict((key, as_text(content[key])) for key in keys)
    when = content.get("since")
    is_time = isinstance(when, int) and not isinstance(when, bool) and 0 <= when < 1 << 40
    return dict({"holder": "", "host": "", "what": ""}, since=when if is_time else written, **lease)


def _read(path):
    """(text, time of last change) of a regular file; (None, 0) if it does not exist, ('', 0) if it is not regular."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if leads_nowhere(error, path):
            return None, 0
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return "", 0
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return "", 0
        return os.read(handle, MAX_READ).decode("utf-8", "replace"), int(status.st_mtime)
    finally:
        os.close(handle)


_NO_LOCKS = (
    "%s cannot be locked (%s): the file system does not support locks. Turn them on (for NFS, start rpc.statd, and "
    "mount it without nolock), or choose another stack_root"
)


class Lock(object):
    """The lock of a stack root's lease. Whoever takes or releases the lease must hold it."""

    def __init__(self, root, timeout=TIMEOUT):
        self.path = os.path.join(root, ".lease.lock")
        self.timeout = timeout
        self.handle = -1

    def __enter__(self):
        try:
            self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            message = "%s cannot be opened: %s" % (self.path, error.strerror)
            if codes.is_of_machine(error.errno):
                raise StackError(message, code=codes.of_errno(error.errno))
            raise StackError(message + ". Find out who created it")
        try:
            with naming(self.path):
                self._check_owner()
                self._wait()
        except Exception:
            os.close(self.handle)
            raise
        return self

    def _check_owner(self):
        status = os.fstat(self.handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()) or status.st_nlink != 1:
            raise StackError("%s was created by uid %d, which must not own it: remove it" % (self.path, status.st_uid))
        os.fchmod(self.handle, 0o600)

    def _wait(self):
        deadline = clock.seconds() + self.timeout
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError) as error:
                if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise StackError(_NO_LOCKS % (self.path, os.strerror(error.errno)))
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if clock.seconds() > deadline:
                holder = os.read(self.handle, 64).decode("utf-8", "replace").strip()
                message = "%s has been locked for %d s by pid %s: end that process if it hangs"
                raise StackError(message % (self.path, self.timeout, holder or "unknown"), code=codes.BUSY)
            time.sleep(0.05)
        try:
            os.ftruncate(self.handle, 0)
            os.write(self.handle, ("%d\n" % os.getpid()).encode("ascii"))
        except (IOError, OSError):
            pass  # it is only for the message above, and a host must be able to return while its disk is full

    def __exit__(self, *_error):
        os.close(self.handle)


def check_free(root, holder, host, over):
    """StackError if somebody else than `holder` holds the lease, or if `holder` holds it for another host name.

    `over` is the holder from whom the lease may be taken, because it is known to be dead or the user decided so; empty
    for nobody, `damaged` for a lease that names no holder.
    """
    lease = read_lease(root)
    if lease is None or over == (lease["holder"] or "damaged"):
        return
    if holder and lease["holder"] == holder:
        if lease["host"] != host:
            raise StackError(
                "%s is in use by this same command, under the name %s: two names in the inventory are one host, or "
                "hosts that share this directory. Run the same command again, which recognises them now; if not, "
                "leave one of them out" % (root, plain(lease["host"]))
            )
        return
    raise StackError(
        "another controller works on %s: %s. Wait until it ends. If it is no longer running, %s"
        % (root, describe(lease), TAKE_OVER),
        code=codes.BUSY,
    )


def take(root, holder, host, what, over=""):
    """Take the lease for `holder`. StackError if somebody else holds it."""
    make_directory(root)
    with Lock(root):
        check_free(root, holder, host, over)
        for place in (root, os.path.join(root, layout.LOGS)):
            remove_remains(place, DAY)
        if not is_local(root):
            root_id.ensure(root)
        write_json(path_of(root), {"holder": holder, "host": host, "what": what, "since": int(time.time())})


def release(root, holder, host, over=""):
    """Remove the lease if `holder`, or the dead holder `over`, holds it. Returns whether it was removed."""
    if not os.path.isdir(root):
        return False
    with Lock(root):
        lease = read_lease(root)
        ends = lease is not None and (
            (lease["holder"], lease["host"]) == (holder, host) or over == (lease["holder"] or "damaged")
        )
        if ends:
            remove(path_of(root))
            remove(os.path.join(root, layout.STARTS))  # it counts only with the lease
    return ends
