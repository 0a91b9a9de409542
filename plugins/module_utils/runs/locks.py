# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Lock files: created by us, never opened through a link. Each contains a line about the process that has the lock.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import stat

from ..host.errors import StackError
from ..rules import codes


def open_own(path, owner=None):
    """Open a lock file, create it if it is missing, and return its descriptor. Links are not followed.

    StackError if it is not an ordinary file, has a further name (then it can be another file of the host, which would
    be changed), or belongs to another user than root, the current one, and the uid `owner`.
    """
    handle = _opened(path)
    found = os.fstat(handle)
    owners = (0, os.geteuid(), found.st_uid if owner is None and os.geteuid() == 0 else owner)
    problems = ["is not an ordinary file"] * (not stat.S_ISREG(found.st_mode))
    problems += ["is a second name of another file (a hard link)"] * (found.st_nlink > 1)
    problems += ["belongs to uid %d" % found.st_uid] * (found.st_uid not in owners)
    if problems:
        os.close(handle)
        raise StackError("%s %s: remove it, then run the same command again" % (path, problems[0]))
    fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return handle


def _opened(path):
    """The descriptor of an existing file, or of a new one.

    O_CREAT alone would fail for root if the account owns the file (sysctl fs.protected_regular=2, as on Debian).
    """
    reason = os.strerror(errno.ENOENT)
    for flags in (0, os.O_CREAT | os.O_EXCL, 0):
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o600)
        except OSError as error:
            reason = error.strerror or ""
            if codes.is_of_machine(error.errno):
                raise StackError("%s cannot be opened: %s" % (path, reason), code=codes.of_errno(error.errno))
            if error.errno not in (errno.ENOENT, errno.EEXIST):
                break
    message = "%s cannot be opened: %s. Look at what it is (ls -l), remove it, then run the same command again"
    raise StackError(message % (path, reason))


def holder_of(handle):
    """What an open lock file says about the process that has the lock."""
    return os.read(handle, 200).decode("utf-8", "replace").strip() or "an unknown process"


def write_holder(handle, text):
    """Replace the content of a lock file by a text about the process that has the lock.

    It is only for messages: what is done under the lock does not fail because the disk is full or broken.
    """
    try:
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, text.encode("utf-8"))
    except (IOError, OSError):
        pass
