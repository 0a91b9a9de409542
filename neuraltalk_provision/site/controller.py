"""The name of this controller, as hosts record it; whether another one is still running; the holder of a lease."""

from __future__ import annotations

import functools
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from neuraltalk_provision.results.host_state import Lease
from neuraltalk_provision.rules import holder


def name() -> str:
    """`<host> pid <pid> since <start> boot <id> space <namespace> machine <id>`: unique for every process."""
    return str(
        holder.name_of(socket.gethostname(), os.getpid(), _own_start(os.getpid()), _boot(), _namespace(), _machine())
    )


def is_dead(other: str) -> bool:
    """Whether `other` was a process of this machine that has ended; False if that cannot be determined from here.

    If this machine has booted since, the process has ended. Within one boot, a pid can be compared only in the same
    pid namespace: processes of another container are not visible from here.
    """
    found: Mapping[str, str] | None = holder.parse(other)
    if found is None:
        return False
    if found["boot"] != _boot() or not _boot():
        # Containers of one image have the same machine id and no network cards, but another host name.
        ours = (found["machine"], found["host"]) == (_machine(), name().split()[0])
        return bool(_machine() and _boot()) and ours and found["boot"] != "-"
    if found["space"] != _namespace():
        return False
    started = _started(int(found["pid"]))
    return started != int(found["since"]) if started else not _is_hidden(int(found["pid"]))


def replaceable(lease: Lease | None, take_over: bool = False) -> str:
    """The holder whose lease on a host may be replaced: one that has ended, or any with `take_over`; else empty."""
    if lease is None or lease.holder == name():
        return ""
    return (lease.holder or "damaged") if take_over or is_dead(lease.holder) else ""


def refusal(lease: Lease | None, take_over: bool = False) -> str:
    """Why the lease of a host cannot be acquired; empty if it can."""
    if lease is None or lease.holder == name() or replaceable(lease, take_over):
        return ""
    state = "it is running" if _is_alive(lease.holder) else "this machine cannot check whether it is still running"
    who = holder.describe(lease.model_dump())
    return (
        f"another controller is working on this host: {who}; {state}. Wait until it ends. If it is no longer running, "
        f"{holder.TAKE_OVER}"
    )


def _is_alive(other: str) -> bool:
    found = holder.parse(other)
    here = found is not None and (found["boot"], found["space"]) == (_boot(), _namespace())
    return here and not is_dead(other)


def _is_hidden(pid: int) -> bool:
    """Whether the process exists, but belongs to another user and is hidden from us in /proc (hidepid)."""
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
    """The machine's id and its network cards, hashed, because ids must not be published; empty if it has no id.

    Fresh images have no id. Cloned machines have the same id, and other cards.
    """
    return str(holder.machine_of(_line(holder.MACHINE), _cards()))


@functools.cache
def _cards() -> list[str]:
    """The hardware addresses of the network cards; a container has none."""
    files = Path(holder.NETWORK).glob("*/device")
    return sorted(filter(None, (_line(str(file.with_name("address"))) for file in files)))


def _namespace() -> str:
    try:
        return "".join(re.findall(r"\d+", str(Path(holder.SPACE).readlink())))
    except OSError:
        return ""


@functools.cache
def _line(path: str) -> str:
    """The text of a file that does not change while this command runs."""
    try:
        return "".join(Path(path).read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return ""


@functools.cache
def _own_start(pid: int) -> int:
    """The start of this process, which has that pid."""
    return _started(pid)


def _started(pid: int) -> int:
    """The start of a process in clock ticks since boot; 0 if it does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return int(fields[19]) if fields[0] not in ("Z", "X") else 0
