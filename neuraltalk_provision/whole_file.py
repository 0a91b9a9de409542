"""Writes files as wholes: to a temporary file beside them, which is synced and renamed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_INHERITED, _OF_ALL = 0o2020, 0o2000
"""The bits that a new directory gets from the one in which it is; and from one in which every user may write."""


def write(file: Path, content: bytes) -> None:
    """Write or replace a file that everybody may read. Raises OSError, and then the file is as it was."""
    with _replacing(file, 0o644) as beside:
        os.fchmod(beside.fileno(), 0o644)
        beside.write(content)


def write_named(file: Path, content: bytes, mode: int = 0o666) -> None:
    """Write or replace a file that a person named. Raises OSError, and then a regular file is as it was.

    Links are followed. What is no regular file, such as /dev/stdout, gets the content as it is; so does a file in a
    directory in which this user may not create others. `mode` is reduced by the umask and by the file's mode before.
    """
    target = Path(os.path.realpath(file))
    if (file.exists() and not file.is_file()) or not os.access(target.parent, os.W_OK):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as opened:
            if file.is_file() and not mode & 0o077:
                os.fchmod(opened.fileno(), mode)
            opened.write(content)
        return
    if target.exists():
        mode &= stat.S_IMODE(target.stat().st_mode)
    with _replacing(target, mode) as beside:
        beside.write(content)


@contextmanager
def _replacing(file: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file that gets this name at the end of the block, or is removed if something fails; errors name `file`."""
    # The same temporary name each time: what a kill leaves behind is replaced by the next write.
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)
    except OSError as error:
        error.filename = str(file)
        raise
    finally:
        beside.unlink(missing_ok=True)


def make_directory(place: Path) -> None:
    """Make a directory, and those above it, that all may read, whatever the umask is. OSError.

    Web servers and other operators read a mirror, also one that was copied out of a closed home directory. The group
    may write to it if it may write to the directory in which it is; every user never may.
    """
    if place.is_dir():
        return
    make_directory(place.parent)
    with contextlib.suppress(FileExistsError):  # somebody else has just made it
        place.mkdir()
        above = place.parent.stat().st_mode
        with contextlib.suppress(PermissionError):  # file systems without modes, such as that of a stick
            place.chmod(0o755 | above & (_OF_ALL if above & stat.S_IWOTH else _INHERITED))
