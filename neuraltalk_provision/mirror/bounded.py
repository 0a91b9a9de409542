"""Reads small files of a mirror, which anybody can have made: a regular file of limited size, or an error."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SmallFile:
    """The content of a file, and the status of the file that was opened to read it."""

    content: bytes
    status: os.stat_result


def read(file: Path, limit: int) -> SmallFile:
    """The content of a file. Raises OSError also for a file of more than `limit` bytes, a pipe or a device."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(file))
    return SmallFile(content, status)
