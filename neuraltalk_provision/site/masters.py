"""Shared SSH connections: all playbooks of one command use them, and they end with the command."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

# A socket's path can have 108 characters; ssh and Ansible add up to 28 to the directory.
_LONGEST = 70
_place: Path | None = None


def directory() -> Path:
    """The directory for the sockets of this command's connections, readable only by its user (0700)."""
    global _place
    if _place is None or not _place.is_dir():
        _place = Path(tempfile.mkdtemp(prefix="prov-ssh-"))
        atexit.register(end)
        if len(str(_place)) > _LONGEST:
            _place.rmdir()
            _place = Path(tempfile.mkdtemp(prefix="prov-ssh-", dir="/tmp"))
    return _place


def end() -> None:
    """End every connection of this command, with all sessions that use it."""
    global _place
    if _place is None:
        return
    place, _place = _place, None
    ssh = shutil.which("ssh")
    for socket in sorted(place.glob("*")) if ssh else ():
        command = [str(ssh), "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "ended"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
    shutil.rmtree(place, ignore_errors=True)
