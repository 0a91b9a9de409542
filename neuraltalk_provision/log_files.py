"""Files of the commands' logs: made for their owner alone, locked while their command runs, removed when they are old.

A log is named `<date>-<time>-<command>-<pid>.log`; its older part has `.1` behind that. Every step is one system call
(create, rename, unlink), so a kill between two of them leaves nothing half done, and commands that run at one time do
not meet: each has a file of its own, and none removes the file of another one that runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from pathlib import Path

from neuraltalk_provision import paths

KEPT = 50
"""How many logs of commands that have ended stay."""
TOTAL = 100 << 20
"""How many bytes they have together at most."""

_NAME = re.compile(r"(?P<log>\d{8}-\d{6}-[a-z-]+-\d+(?:-\d+)?\.log)(?:\.1)?")


def directory() -> Path:
    """The directory of the logs, for its owner alone (0700). Raises OSError where it is not ours, or a link."""
    folder = paths.logs_dir()
    with contextlib.suppress(FileExistsError):
        folder.parent.parent.mkdir(parents=True)
    for place in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        seen = os.fstat(handle)
        if seen.st_uid != os.geteuid():
            raise PermissionError(None, f"it belongs to uid {seen.st_uid}, and this is uid {os.geteuid()}")
        if stat.S_IMODE(seen.st_mode) & 0o077:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
    return folder


def create(folder: Path, name: str) -> tuple[Path, int]:
    """(the path, the handle) of a new log, locked."""
    for number in range(1, 1000):
        path = folder / f"{name}-{os.getpid()}{f'-{number}' if number > 1 else ''}.log"
        with contextlib.suppress(FileExistsError):
            return path, open_new(path)
    raise FileExistsError(None, f"there are a thousand logs called {name}")


def open_new(path: Path) -> int:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        with contextlib.suppress(OSError):  # a home on a network may know no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def prune(folder: Path) -> None:
    """Remove the oldest logs, until no more are left than are kept. What cannot be removed stays."""
    groups: dict[str, list[os.DirEntry[str]]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False):
                groups.setdefault(named["log"], []).append(entry)
    total = 0
    for count, name in enumerate(sorted(groups, reverse=True), 1):
        with contextlib.suppress(OSError):
            total += sum(entry.stat(follow_symlinks=False).st_size for entry in groups[name])
            if (count > KEPT or total > TOTAL) and not _is_held(folder / name):
                for entry in groups[name]:
                    Path(entry.path).unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    """Whether a living command writes that log."""
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
