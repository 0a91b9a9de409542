# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The id of a stack root on a disk that several hosts may share, written when the first lease is taken there.

Hosts that name a server differently recognise by it that they share the directory. Runs under Python 2.7 and 3.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import errno
import json
import os
import stat
import tempfile

from ..rules import layout
from ..rules.holder import is_digest
from .files import PREFIX, naming
from .texts import as_text

MOST = 4096
"""Bytes of the file that are read."""


def read(root):
    """The id of a stack root, as text; empty if it has none, or if the file is a copy of another stack root's."""
    try:
        handle = os.open(layout.root_id(root), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES):
            return ""
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            return ""
        content = json.loads(os.read(handle, MOST).decode("utf-8", "replace"))
    except ValueError:
        return ""
    finally:
        os.close(handle)
    if not isinstance(content, dict) or content.get("inode") != status.st_ino:
        return ""
    found = "%s" % content.get("id")
    return found if is_digest(found) else ""


def ensure(root):
    """Write an id if the stack root has none. Whoever calls this holds the lock of the lease."""
    if read(root):
        return
    with naming(layout.root_id(root)):
        handle, temporary = tempfile.mkstemp(dir=root, prefix=PREFIX)
        try:
            with os.fdopen(handle, "wb") as file:
                # A copy of the file gets another inode.
                content = {
                    "id": binascii.hexlify(os.urandom(16)).decode("ascii"),
                    "inode": os.fstat(file.fileno()).st_ino,
                }
                file.write(as_text(json.dumps(content, sort_keys=True) + "\n").encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.rename(temporary, layout.root_id(root))
        except Exception:
            os.unlink(temporary)
            raise
