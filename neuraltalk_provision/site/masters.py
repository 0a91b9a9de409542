"""Shared SSH connections: all playbooks of one command use them, and they end with the command."""

from __future__ import annotations

import atexit
import configparser
import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from neuraltalk_provision import paths
from neuraltalk_provision.site import keeper

# A socket's path can have 108 characters; the name of the directory, ssh and Ansible add up to 46 to that of the
# parent, in which ssh would take spaces and % for something else.
_LONGEST = 52
_open = contextlib.ExitStack()
_place: Path | None = None


def directory() -> Path:
    """The directory for the sockets of this command's connections, readable only by its user (0700)."""
    global _place
    if _place is None or not _place.is_dir():
        usual = tempfile.gettempdir()
        parent = usual if re.fullmatch(r"[A-Za-z0-9._/-]*", usual) and len(usual) <= _LONGEST else "/tmp"
        keeper.remove_stale({usual, parent})
        _place = _open.enter_context(keeper.kept(keeper.SOCKETS, parent))
        atexit.register(end)
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
    found = re.search(rb"\b([0-9]{1,5})\b", _told(name, "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}") or b"")
    return int(found[1]) if found else 0


def close(name: str) -> bool:
    """End the shared connection of that name, with all that is done over it. Returns whether that was possible."""
    return _told(name, "exit") is not None


def end() -> None:
    """End every connection of this command, with all sessions that use it."""
    global _place
    _place = None
    keeper.end()
    _open.close()


def _told(name: str, *words: str) -> bytes | None:
    """What the process that has the shared connection of that name answers to a command; None if it does not do it."""
    ssh = shutil.which("ssh")
    if not ssh or _place is None or not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", name) or not (_place / name).exists():
        return None
    command = [ssh, "-F", "none", "-o", f"ControlPath={_place / name}", "-O", *words, "shared"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
        return None if answer.returncode else answer.stdout
    return None
