"""Who may write a file of this machine: its owner, every user by its mode, or others by an access list."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from neuraltalk_provision.rules import access_list

CLOSE = (
    "Who can write there decides what runs as root on all hosts. Look whether the files are still yours, then take the "
    "right away (chmod o-w), or move them to a directory of your own."
)
"""What to do if `open_to_all` says something."""
MODE = 0o775
"""The mode of directories that we make for a site, before the umask."""


def open_to_all(path: Path) -> str:
    """How every user of this machine can write what is at a path, or replace it, in words; empty if they cannot.

    Links are followed. In a sticky directory only its owner can replace it.
    """
    place = Path(os.path.realpath(path))
    own, above = place.stat(), place.parent.stat()
    for one, status in ((place, own), (place.parent, above)):
        is_sticky = one is not place and status.st_mode & stat.S_ISVTX
        if status.st_mode & stat.S_IWOTH and not is_sticky:
            return f"every user can write {one} (mode {stat.S_IMODE(status.st_mode):04o})"
    if above.st_mode & stat.S_IWOTH and own.st_uid not in (0, os.geteuid()):
        return f"it belongs to {user_name(own.st_uid)}, and is in {place.parent}, where every user can create files"
    return ""


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
