"""Who may use a file of this machine: the name of its owner, and lists of further users beside its mode."""

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

    return access_list.others(read, status.st_uid, user_name(status.st_uid), bool(status.st_mode & stat.S_IWGRP))


def user_name(number: int) -> str:
    """The name of a user, or `uid NUMBER` if there is none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
