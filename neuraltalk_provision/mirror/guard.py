"""The guard of a mirror: only one process at a time changes its lock."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuraltalk_provision.errors import MirrorError

FILE_NAME = ".mirror.lock-guard"


@contextmanager
def held(mirror: Path) -> Iterator[None]:
    """Hold the guard; other processes wait. The directory is made if it is missing. Raises MirrorError."""
    with writing(mirror):
        mirror.mkdir(parents=True, exist_ok=True)
        handle = _open(mirror / FILE_NAME)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open(file: Path) -> int:
    """The guard, opened in a way that also works if it belongs to another operator of the mirror."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return _open_existing(file)
    os.fchmod(handle, 0o666)  # the umask would lock other operators out
    return handle


def _open_existing(file: Path) -> int:
    if not stat.S_ISREG(file.lstat().st_mode):
        raise MirrorError(
            f"{file} is not the guard of the mirror: it is not a regular file",
            advice="Move it out of the mirror, then run the same command again.",
        )
    try:
        return os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:  # of an earlier version, and of another operator: reading is enough for flock
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def writing(mirror: Path) -> Iterator[None]:
    """Convert an OSError in the block to a MirrorError that says why the mirror cannot be written, and what to do."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            place = error.filename or mirror
            raise MirrorError(f"{place} cannot be written: {error.strerror or error}") from error
        place = _nearest(mirror)
        found = place.stat()
        raise MirrorError(
            f"{place} cannot be written by {_user(os.geteuid())}: it belongs to {_user(found.st_uid)} and has mode "
            f"{stat.S_IMODE(found.st_mode):04o}",
            advice="Run the command as a user who may write there, or give this user the right to write.",
        ) from error


def _nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
