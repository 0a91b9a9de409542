"""Lists of further users and groups who may use a file of this machine, beside its owner and its mode."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from neuraltalk_provision.rules import access_list


def nfs4_writers(path: Path, status: os.stat_result) -> tuple[str, str]:
    """Who beside the owner and root may write by an NFSv4 list, and what to do; empty texts if nobody may.

    What cannot be determined is said, too.
    """

    def read() -> bytes | None:
        try:
            return os.getxattr(path, access_list.ATTRIBUTE)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise

    try:
        name = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        name = ""
    return access_list.others(read, status.st_uid, name, bool(status.st_mode & stat.S_IWGRP))
