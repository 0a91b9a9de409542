"""Shared SSH connections: all playbooks of one command use them, and they end with the command."""

from __future__ import annotations

import atexit
import configparser
import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from neuraltalk_provision import paths

# A socket's path can have 108 characters; ssh and Ansible add up to 28 to the directory.
_LONGEST = 70
# How many connections are ended at once, and the seconds that this may take for all of them.
_AT_ONCE = 16
_PATIENCE = 10
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


def arguments(first: str) -> str:
    """These options of ssh, then those of ansible.cfg: ssh uses the first value of each."""
    usual = configparser.RawConfigParser()
    usual.read(paths.playbooks() / "ansible.cfg", encoding="utf-8")
    return f"{first} {usual['ssh_connection']['ssh_args']}"


def forward(name: str, port: int) -> int:
    """Let a host reach this machine's `port` over the shared connection of that name.

    Returns the port of the host, where only its own address 127.0.0.1 is served; 0 if that is not possible. It ends
    with the connection.
    """
    ssh = shutil.which("ssh")
    if not ssh or _place is None or not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", name) or not (_place / name).exists():
        return 0
    command = [*_control(ssh, _place / name), "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", "forwarded"]
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
    sockets = sorted(place.glob("*")) if ssh else []
    deadline = time.monotonic() + _PATIENCE
    for first in range(0, len(sockets), _AT_ONCE):
        running = [_ask_to_end(str(ssh), socket) for socket in sockets[first : first + _AT_ONCE]]
        for one in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(max(deadline - time.monotonic(), 0.1))
        for one in running:
            one.kill()
            one.wait()
    shutil.rmtree(place, ignore_errors=True)


def _control(ssh: str, socket: Path) -> list[str]:
    """The beginning of a command to the process that has a shared connection."""
    return [ssh, "-F", "none", "-o", f"ControlPath={socket}", "-O"]


def _ask_to_end(ssh: str, socket: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_control(ssh, socket), "exit", "ended"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
