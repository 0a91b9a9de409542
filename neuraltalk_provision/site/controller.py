"""This controller's name, as hosts note it, and whether another one still lives."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path


def name() -> str:
    """`<host name> pid <pid> since <start>`: start is the kernel's, so that a pid used again is another name."""
    return f"{socket.gethostname()} pid {os.getpid()} since {_started(os.getpid())}"


def is_dead(other: str) -> bool:
    """Whether `other` was a process of this machine that has ended; False where that can't be known."""
    found = re.fullmatch(r"(\S+) pid (\d+) since (\d+)", other)
    if not found or found[1] != socket.gethostname():
        return False
    return _started(int(found[2])) != int(found[3])


def _started(pid: int) -> int:
    """The process's start in clock ticks since boot; 0 where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])
