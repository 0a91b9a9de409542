"""Reads files of a mirror: small ones, which anybody can have made, up to a limit; and large ones block by block."""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from neuraltalk_provision.errors import MirrorError, naming


@dataclass(frozen=True)
class SmallFile:
    """The content of a file, and the status of the file that was opened to read it."""

    content: bytes
    status: os.stat_result


def read(file: Path, limit: int) -> SmallFile:
    """The content of a file. Raises OSError also for a file of more than `limit` bytes, a pipe or a device.

    These are not even opened, because that can have an effect: /dev/watchdog resets the machine.
    """
    place = os.open(file, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(place)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        try:
            handle = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from None
    finally:
        os.close(place)
    with os.fdopen(handle, "rb") as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(file))
    return SmallFile(content, status)


def opened(file: Path) -> BinaryIO:
    """The file, open to be read. A MirrorError names it if it cannot be read, also while something else is written."""
    with naming(file, "read", MirrorError):
        return io.BufferedReader(_OfMirror(file))


class _OfMirror(io.FileIO):
    def readinto(self, buffer: Any) -> int | None:
        with naming(self.name, "read", MirrorError):
            return super().readinto(buffer)
