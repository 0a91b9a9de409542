# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Opens the file in which what arrived of another one is kept, so that no other user can have written in it.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os

from .errors import StackError
from .files import is_own_file, remove


def opened(path):
    """The open partial file. One that another user could have written is removed first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    for _ in range(2):
        try:
            handle = os.open(path, flags | os.O_NONBLOCK, 0o600)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
        else:
            status = os.fstat(handle)
            if is_own_file(path, status) and status.st_nlink == 1:
                return handle
            os.close(handle)
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            remove(path)
    raise StackError("%s cannot be written, because another process changes it" % path)
