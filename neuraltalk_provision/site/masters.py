"""Shared SSH connections: all playbooks of one command use them, and they end with the command."""

from __future__ import annotations

import atexit
import contextlib
import re
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


def forward(name: str, port: int) -> int:
    """Let a host reach this machine's `port` over the shared connection of that name.

    Returns the port of the host, where only its own address 127.0.0.1 is served; 0 if that is not possible. It ends
    with the connection.
    """
    ssh = shutil.which("ssh")
    if not ssh or _place is None or not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", name) or not (_place / name).exists():
        return 0
    command = [ssh, "-F", "none", "-o", f"ControlPath={_place / name}", "-O", "forward"]
    command += ["-R", f"127.0.0.1:0:127.0.0.1:{port}", "forwarded"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
        found = re.search(rb"\b([0-9]{1,5})\b", answer.stdout)
        if found and not answer.returncode:
            return int(found[1])
    return 0


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
