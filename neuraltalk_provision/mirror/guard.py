"""The guard of a mirror: only one process at a time changes its lock."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neuraltalk_provision import access_lists
from neuraltalk_provision.errors import MirrorError

FILE_NAME = ".mirror.lock-guard"
PATIENCE = 60.0
"""Seconds to wait for another process that has locked the guard. Every user who can read the mirror can lock it."""
FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""With which guards are opened: other operators can put a link or a pipe in their place."""
_LOCKS = Path("/proc/locks")


@contextmanager
def held(mirror: Path) -> Iterator[None]:
    """Hold the guard; other processes wait, up to PATIENCE. The directory is made if it is missing. MirrorError."""
    with writing(mirror):
        mirror.mkdir(access_lists.MODE, parents=True, exist_ok=True)
        handle = opened(mirror / FILE_NAME)
    try:
        if holders := locked_by(handle, PATIENCE):
            raise MirrorError(
                f"{mirror} is being changed by another process: {holders} has locked {FILE_NAME}, and {PATIENCE:.0f} s "
                "of waiting were not enough",
                advice="Wait until that process has ended, or end it if it hangs. Then run the same command again.",
            )
        yield
    finally:
        os.close(handle)


def locked_by(handle: int, patience: float) -> str:
    """Lock an open file, and wait so many seconds for it; the processes that still have it then, in words."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return ""
        except BlockingIOError:
            if time.monotonic() > deadline:
                return _holders(handle)
        time.sleep(0.05)


def _holders(handle: int) -> str:
    """The processes of this machine that have locked an open file, in words; never empty."""
    found = []
    with suppress(OSError):
        end = f":{os.fstat(handle).st_ino}"
        for fields in map(str.split, _LOCKS.read_text(encoding="ascii", errors="replace").splitlines()):
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(end):
                found.append(_process(fields[4]))
    return " and ".join(found) or "a process that cannot be seen here, such as one of another machine or container,"


def _process(pid: str) -> str:
    """A process in words: its id, the name of its program, and its user, as far as they are known."""
    place = _LOCKS.parent / pid
    try:
        name = (place / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return f"pid {pid} ({name}) of {access_lists.user_name(place.stat().st_uid)}"
    except OSError:
        return f"pid {pid}"


def opened(file: Path) -> int:
    """A guard, opened in a way that also works if it belongs to another operator of the mirror; made if missing."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, 0o666)
    except FileExistsError:
        return _open_existing(file)
    os.fchmod(handle, 0o666)  # the umask would lock other operators out
    return handle


def _open_existing(file: Path) -> int:
    if not stat.S_ISREG(file.lstat().st_mode):
        raise MirrorError(
            f"{file} is not a guard of the mirror: it is not a regular file",
            advice="Move it out of the mirror, then run the same command again.",
        )
    try:
        return os.open(file, os.O_RDWR | FLAGS)
    except PermissionError:  # of an earlier version, and of another operator: reading is enough for flock
        return os.open(file, os.O_RDONLY | FLAGS)


def refuse_links(*places: Path) -> None:
    """MirrorError if one of these is a link of another user: who may write to the mirror could lead us anywhere.

    Links of this user and of root are allowed, for example to a larger disk.
    """
    for place in filter(Path.is_symlink, places):
        owner = place.lstat().st_uid
        if owner not in (0, os.geteuid()):
            raise MirrorError(
                f"{place} is a link that {access_lists.user_name(owner)} made; it leads to {place.readlink()}",
                advice="Remove it; or, if it leads to the right place, let root make it: links of root are followed "
                "for all operators of a mirror. Then run the same command again.",
            )


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
        found, user_name = place.stat(), access_lists.user_name
        raise MirrorError(
            f"{place} cannot be written by {user_name(os.geteuid())}: it belongs to {user_name(found.st_uid)} and has "
            f"mode {stat.S_IMODE(found.st_mode):04o}",
            advice="Run the command as a user who may write there, or give this user the right to write.",
        ) from error


def _nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))
