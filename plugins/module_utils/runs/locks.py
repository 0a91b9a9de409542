# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Lock files: created by us, never opened through a link. Each contains a line about the process that has the lock.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import stat

from ..host.errors import StackError


def open_own(path):
    """Open a lock file, create it if it is missing, and return its descriptor. Links are not followed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        message = "%s cannot be opened: %s. Look at what it is (ls -l), remove it, then run the same command again"
        raise StackError(message % (path, error.strerror))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StackError("%s is not an ordinary file: remove it, then run the same command again" % path)
    fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return handle


def write_holder(handle, text):
    """Replace the content of a lock file by a text about the process that has the lock."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, text.encode("utf-8"))
