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
LIMIT_REACHED = "limit.reached"
"""Of open files or processes."""
FILE_DENIED = "file.denied"
HOST_HANGS = "host.hangs"
"""A task did not end in the time that it may take, or did not get on."""
BUSY = "busy"
"""Another process or controller is working there."""
IN_USE = "host.in_use"
"""Something began to use the host after it was asked. Nothing was changed, so that the controller asks again."""
DOWNLOAD_FAILED = "download.failed"
"""The web server of the mirror does not send a file, or sends another one."""
CACHE_UNFIT = "cache.unfit"
"""A packed generation cannot be used on this host. It builds the generation itself."""
GENERATION_CHANGED = "generation.changed"
"""A generation is not sealed, because it has files that no component of it installed, or that changed since then."""
SLURM_REFUSED = "slurm.refused"
"""Slurm does not allow this user to drain or resume a node."""
FILE_TAKEN = "file.taken"
"""A file of that name is there and has other contents."""
PATH_LONG = "path.too_long"
PORT_IN_USE = "port.in_use"
SOURCE_CHANGED = "source.changed"
"""The file was changed on the controller while it was pushed."""
PIECES_LOST = "pieces.lost"
"""No host and no controller sends the missing pieces of a file that is pushed."""
CUDNN_IN_USE = "cudnn.in_use"
CUDNN_FOREIGN = "cudnn.foreign"
ACTIVATION_TIMER = "activation.timer"
"""The timer that returns the host cannot be armed."""
ACTIVATION_RETURNED = "activation.returned"
"""The activation cannot be confirmed any more: the host has returned, or another command undid the activation."""

_OF_ERRNO = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.ENOMEM: MEMORY_FULL,
    errno.EMFILE: LIMIT_REACHED,
    errno.ENFILE: LIMIT_REACHED,
    errno.EIO: DISK_BROKEN,
    errno.EACCES: FILE_DENIED,
    errno.EPERM: FILE_DENIED,
    errno.EROFS: FILE_DENIED,
    errno.ENAMETOOLONG: PATH_LONG,
}


def of_errno(number, default=""):
    # type: (int | None, str) -> str
    """The code for an errno of the operating system; `default` if there is none for it."""
    return default if number is None else _OF_ERRNO.get(number, default)


def is_of_machine(number):
    # type: (int | None) -> bool
    """Whether an errno tells of the machine (a full, broken or read-only disk, a limit), and not of the file."""
    return number in _OF_ERRNO and number not in (errno.EACCES, errno.EPERM)
