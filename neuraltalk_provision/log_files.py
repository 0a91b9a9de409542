"""The log files of commands: readable only by their owner, locked while the command runs, removed when they are old.

A log is named `<date>-<time>-<command>-<pid>.log`; its older part has `.1` at the end. Every step is one system call
(create, rename, unlink), so that a kill between two steps leaves no incomplete file. Commands can run at the same time:
each has its own file, and no command removes the file of a running command.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from pathlib import Path

from neuraltalk_provision import paths

KEPT = 50
"""The number of logs of ended commands that are kept."""
DATE = "%Y%m%d-%H%M%S"
"""The form of the date and time in the name of a log."""
TOTAL = 100 << 20
"""The maximum size of all logs together, in bytes."""

_DAY = 86_400
"""Another time zone, or summer time, is no wrong clock."""
_NAME = re.compile(r"(?P<log>\d{8}-\d{6}-[a-z-]+-\d+(?:-\d+)?\.log)(?:\.1)?")


def directory() -> Path:
    """The directory of the logs, created with mode 0700. Raises OSError if it belongs to another user or is a link."""
    folder = paths.logs_dir()
    with contextlib.suppress(FileExistsError):
        folder.parent.parent.mkdir(parents=True)
    for place in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid():
            raise PermissionError(
                None, f"it belongs to uid {status.st_uid}, but this command runs as uid {os.geteuid()}"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
    return folder


def create(folder: Path, name: str) -> tuple[Path, int]:
    """(path, file descriptor) of a new log, locked."""
    for number in range(1, 1000):
        path = folder / f"{name}-{os.getpid()}{f'-{number}' if number > 1 else ''}.log"
        with contextlib.suppress(FileExistsError):
            return path, open_new(path)
    raise FileExistsError(None, f"there are already 999 logs called {name}")


def open_new(path: Path) -> int:
    """The file descriptor of a new file with mode 0600, locked. Raises OSError if the file exists."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def prune(folder: Path) -> None:
    """Remove the oldest logs until at most `KEPT` logs and `TOTAL` bytes are left. Errors are ignored.

    Those of a time that has not come yet count as the oldest: the clock was wrong when they were written.
    """
    groups: dict[str, list[os.DirEntry[str]]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False):
                groups.setdefault(named["log"], []).append(entry)
    total = 0
    soon = time.strftime(DATE, time.localtime(time.time() + _DAY))
    for count, name in enumerate(sorted(groups, key=lambda name: (name < soon, name), reverse=True), 1):
        with contextlib.suppress(OSError):
            total += sum(entry.stat(follow_symlinks=False).st_size for entry in groups[name])
            if (count > KEPT or total > TOTAL) and not _is_in_use(folder / name):
                for entry in groups[name]:
                    Path(entry.path).unlink(missing_ok=True)


def _is_in_use(path: Path) -> bool:
    """Whether a running command writes this log."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
