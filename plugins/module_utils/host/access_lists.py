# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Lists of further users and groups who may use a file, beside its owner and its mode.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import pwd
import stat

from .texts import as_text
from ..rules import access_list

POSIX = "system.posix_acl_access"
"""The attribute of a file with a list that setfacl made."""
_NONE = (errno.ENODATA, errno.EOPNOTSUPP)


def user_name(uid):
    """The name of a user; empty if the host knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, UnicodeError):
        return ""


def attribute(path, name):
    """An attribute of a file as bytes; None if it has none. OSError if this cannot be determined."""
    try:
        return os.getxattr(path, name) if hasattr(os, "getxattr") else _by_libc(path, name)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def _by_libc(path, name):
    """Like os.getxattr, which Python 2.7 does not have."""
    try:
        import ctypes
    except ImportError:
        raise OSError(errno.ENOSYS, "this Python has no ctypes")
    # Python 2.7 has bytes here, and does not need the handler.
    asked = [as_text(one).encode("utf-8", "surrogateescape") for one in (path, name)]
    libc, room = ctypes.CDLL(None, use_errno=True), 0
    libc.getxattr.restype = ctypes.c_ssize_t
    while True:
        buffer = ctypes.create_string_buffer(room) if room else None
        size = libc.getxattr(asked[0], asked[1], buffer, ctypes.c_size_t(room))
        if size >= 0 and (buffer or not size):
            return buffer.raw[:size] if buffer else b""
        if size < 0 and ctypes.get_errno() != errno.ERANGE:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        room = size if size > 0 else room * 2


def has_posix(path):
    """Whether a file has a list that setfacl made, or this cannot be determined."""
    try:
        return attribute(path, POSIX) is not None
    except OSError:
        return True


def nfs4_writers(path, status):
    """Who beside the owner and root may write by an NFSv4 list, and what to do; empty texts if nobody may.

    `status` is a result of lstat or fstat. What cannot be determined is said, too.
    """
    is_judged = bool(status.st_mode & stat.S_IWGRP)
    return access_list.others(
        lambda: attribute(path, access_list.ATTRIBUTE), status.st_uid, user_name(status.st_uid), is_judged
    )
