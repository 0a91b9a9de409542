"""What a command must not leave behind: a small process ends its connections and removes its directories.

It notices that the command has ended, also after kill -9, because the pipe between them is closed. What a power failure
leaves is removed by a later command.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

SOCKETS, PRIVATE = "prov-cmd-", "provision-run-"
"""How the names of directories begin: those with sockets of SSH's connections, and those with secrets."""
# Each line is a letter, S for the directory with the sockets, and a directory. 16 connections are ended at once.
_PROGRAM = r"""
sockets=
while IFS= read -r line; do
    case $line in S*) sockets=${line#S} ;; esac
    set -- "$@" "${line#?}"
done
count=0
for socket in "$sockets"/*; do
    [ -n "$sockets" ] && [ -e "$socket" ] || continue
    ssh -F none -o "ControlPath=$socket" -O exit ended &
    count=$((count + 1))
    [ $((count % 16)) != 0 ] || wait
done
wait
rm -rf -- "$@" || { sleep 2; rm -rf -- "$@"; }
"""
_COMMAND = ("/bin/sh", "-c", _PROGRAM)
_PATIENCE = 10
_YOUNG = 60
"""A directory counts as left behind only after so many seconds: until then its command may not have locked it."""
_now = time.time
_process: subprocess.Popen[bytes] | None = None


@contextlib.contextmanager
def kept(prefix: str, parent: str | None = None) -> Iterator[Path]:
    """A new directory (0700), which is removed at the end, and also if this process is killed."""
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with _locked(place):
            _tell(_line(prefix, place))
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def end() -> None:
    """Let the small process do its work now, and wait for it."""
    global _process
    if _process is None:
        return
    process, _process = _process, None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        process.communicate(timeout=_PATIENCE)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def remove_stale(parents: Iterable[str]) -> None:
    """Remove this user's directories in `parents` that a command has left which was killed with its small process."""
    for place in [one for parent in parents for one in sorted(Path(parent).glob("prov*-*"))]:
        for prefix in (SOCKETS, PRIVATE):
            if place.name.startswith(prefix) and _is_stale(place):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(
                        _COMMAND, input=_line(prefix, place), capture_output=True, check=False, timeout=_PATIENCE
                    )


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """The directory, locked: the lock ends with this process, whatever happens to it."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then nobody can lock it to remove it
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _is_stale(place: Path) -> bool:
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or _now() - status.st_mtime < _YOUNG:
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _line(prefix: str, place: Path) -> bytes:
    """The line that names a directory to the small process; empty if the name itself has a line break."""
    name = os.fsencode(place)
    return b"" if b"\n" in name else (b"S" if prefix == SOCKETS else b"D") + name + b"\n"


def _tell(line: bytes) -> None:
    global _process
    if _process is None:
        # In a session of its own it is not ended with the command, by Ctrl-C or with the terminal.
        _process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
    assert _process.stdin
    with contextlib.suppress(OSError):  # somebody has killed it
        _process.stdin.write(line)
