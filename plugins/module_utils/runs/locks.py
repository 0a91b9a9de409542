# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Lock files: made by us, never by way of a link, and with the words of whoever holds them.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import stat

from ..host.errors import StackError


def open_own(path):
    """A file descriptor of a lock file of ours, made where it is not there; no link is followed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        words = "%s cannot be opened: %s. Look at what it is (ls -l), remove it, then run the same command again"
        raise StackError(words % (path, error.strerror))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StackError("%s is not an ordinary file: remove it, then run the same command again" % path)
    fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return handle


def write_down(handle, words):
    """Write into a lock file who holds it; what reads from it on finds nothing."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, words.encode("utf-8"))
