# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Codes of failures. A module puts the code into its result, and the controller decides by it. Pure.

Decisions depend on the code of a failure, never on the text of its message. Runs under Python 2.7 and 3
and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno

BUG = "bug"
"""An exception that was not expected. The result contains its traceback."""
DISK_FULL = "disk.full"
DISK_BROKEN = "disk.broken"
MEMORY_FULL = "memory.full"
FILE_DENIED = "file.denied"
BUSY = "busy"
"""Another process or controller is working there."""
SLURM_REFUSED = "slurm.refused"
"""Slurm does not allow this user to drain or resume a node."""
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


def of_errno(number, default=""):
    # type: (int | None, str) -> str
    """The code for an errno of the operating system; `default` if there is none for it."""
    return default if number is None else _OF_ERRNO.get(number, default)
