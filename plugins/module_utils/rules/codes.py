# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Codes of failures, which a module puts into its result and the controller looks up. Pure.

Whatever goes by the cause of a failure goes by its code, never by the words of its message. Runs under Python 2.7 and 3
and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno

BUG = "bug"
"""Something that nobody thought of: the result has its traceback."""
DISK_FULL = "disk.full"
DISK_BROKEN = "disk.broken"
MEMORY_FULL = "memory.full"
FILE_DENIED = "file.denied"
BUSY = "busy"
"""Somebody else is at work there."""
CUDNN_IN_USE = "cudnn.in_use"
CUDNN_FOREIGN = "cudnn.foreign"

_OF_ERRNO = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.ENOMEM: MEMORY_FULL,
    errno.EIO: DISK_BROKEN,
    errno.EACCES: FILE_DENIED,
    errno.EPERM: FILE_DENIED,
    errno.EROFS: FILE_DENIED,
}


def of_errno(number, otherwise=""):
    # type: (int | None, str) -> str
    """The code of an error of the operating system, `otherwise` for one that says nothing of the machine's state."""
    return otherwise if number is None else _OF_ERRNO.get(number, otherwise)
