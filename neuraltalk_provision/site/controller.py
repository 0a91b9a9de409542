"""This controller's name, as hosts note it, whether another one still lives, and who has a host's lease."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from neuraltalk_provision.results.host_state import Lease
from neuraltalk_provision.rules import holder


def name() -> str:
    """`<host> pid <pid> since <start> boot <id> space <namespace> machine <id>`: no other process ever has it."""
    return str(
        holder.name_of(socket.gethostname(), os.getpid(), _started(os.getpid()), _boot(), _namespace(), _machine())
    )


def is_dead(other: str) -> bool:
    """Whether `other` was a process of this machine that has ended; False where that can't be known from here.

    A machine that has booted since has none of its processes any more. In one boot a pid tells where it is counted as
    ours are: a process of another container cannot be seen from here.
    """
    found: Mapping[str, str] | None = holder.parse(other)
    if found is None:
        return False
    if found["boot"] != _boot() or not _boot():
        return bool(_machine() and _boot()) and found["machine"] == _machine() and found["boot"] != "-"
    if found["space"] != _namespace():
        return False
    started = _started(int(found["pid"]))
    return started != int(found["since"]) if started else not _is_hidden(int(found["pid"]))


def over(lease: Lease | None, take_over: bool = False) -> str:
    """The holder from whom a host's lease may be taken: a dead one, or with `take_over` whoever has it; else empty."""
    if lease is None or lease.holder == name():
        return ""
    return (lease.holder or "damaged") if take_over or is_dead(lease.holder) else ""


def hindrance(lease: Lease | None, take_over: bool = False) -> str:
    """Why the lease of a host cannot be had, in words; empty where it can."""
    if lease is None or lease.holder == name() or over(lease, take_over):
        return ""
    lives = "it is running" if _is_alive(lease.holder) else "it is unknown here whether it is still running"
    who = holder.told(lease.model_dump())
    return (
        f"another controller works there: {who}; {lives}. Wait until it ends; if it is dead, "
        "run the same command with --take-over"
    )


def _is_alive(other: str) -> bool:
    found = holder.parse(other)
    here = found is not None and (found["boot"], found["space"]) == (_boot(), _namespace())
    return here and not is_dead(other)


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process, of somebody else, that /proc does not show us (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


def _boot() -> str:
    return _line(holder.BOOT)


def _machine() -> str:
    """The machine's id, hashed, for it is no secret of the host's; empty where it has none: images are made without."""
    said = _line("/etc/machine-id")
    whole = re.fullmatch(r"[0-9a-f]{32}", said)
    return hashlib.sha256(f"neuraltalk-provision {said}".encode()).hexdigest()[:32] if whole else ""


def _namespace() -> str:
    try:
        return "".join(re.findall(r"\d+", str(Path("/proc/self/ns/pid").readlink())))
    except OSError:
        return ""


def _line(path: str) -> str:
    try:
        return "".join(Path(path).read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return ""


def _started(pid: int) -> int:
    """The process's start in clock ticks since boot; 0 where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return int(fields[19]) if fields[0] not in ("Z", "X") else 0
