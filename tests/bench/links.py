"""Hosts as network namespaces on a bridge, each with a link of limited speed, and a private directory at one path."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SWITCH = "nt-switch"
SOURCE = 0
"""The number of the controller."""


@dataclass
class Lab:
    """The controller (0) and the hosts from 1 to `count`. `place` is the directory that each host has for itself."""

    work: Path
    count: int
    megabits: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """The path of the private directory, the same on every host."""
        return self.work / "place"

    def own(self, number: int) -> Path:
        """The private directory of a host, as this machine sees it."""
        return self.work / f"own{number}"

    def start(self, number: int, *command: str, **more: object) -> subprocess.Popen[bytes]:
        """Start a program on a host; it is ended with the lab."""
        enter = f'mount --bind "{self.own(number)}" "{self.place}" && exec "$@"'
        whole = ["ip", "netns", "exec", name(number), "unshare", "-m", "sh", "-c", enter, "sh", *command]
        process = subprocess.Popen(whole, start_new_session=True, **more)  # type: ignore[call-overload]
        self.processes.append(process)
        return process  # type: ignore[no-any-return]

    def quiet(self, number: int, *command: str) -> subprocess.Popen[bytes]:
        """The same, without output."""
        return self.start(
            number, *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def cut(self, number: int) -> None:
        """Take the link of a host down, as if its power failed: nobody hears of it."""
        run("ip", "-n", SWITCH, "link", "set", f"p{number}", "down")

    def mend(self, number: int) -> None:
        """Bring the link of a host up again."""
        run("ip", "-n", SWITCH, "link", "set", f"p{number}", "up")

    def clear(self) -> None:
        """Remove what was copied to the hosts, and end all programs that still run there."""
        for process in self.processes:
            end(process)
        self.processes.clear()
        for number in range(1, self.count + 1):
            for entry in self.own(number).iterdir():
                entry.unlink() if entry.is_file() else shutil.rmtree(entry)


def name(number: int) -> str:
    """The name of a host's network namespace."""
    return f"nt-{number}"


def address(number: int) -> str:
    """The address of a host."""
    return f"10.199.0.{number + 1}"


def run(*command: str) -> None:
    """Run a command of this machine."""
    subprocess.run(command, check=True, capture_output=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its session, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


@contextlib.contextmanager
def lab(work: Path, count: int, megabits: int) -> Iterator[Lab]:
    """A lab, which is removed afterwards. Needs root, ip and tc."""
    remove()
    made = Lab(work, count, megabits)
    made.place.mkdir(parents=True, exist_ok=True)
    run("ip", "netns", "add", SWITCH)
    run("ip", "-n", SWITCH, "link", "add", "bridge", "type", "bridge")
    run("ip", "-n", SWITCH, "link", "set", "bridge", "type", "bridge", "mcast_snooping", "0")
    run("ip", "-n", SWITCH, "link", "set", "bridge", "up")
    try:
        for number in range(count + 1):
            _host(made, number)
        time.sleep(0.5)
        yield made
    finally:
        made.clear()
        remove()
        for number in range(count + 1):
            shutil.rmtree(made.own(number), ignore_errors=True)


def _host(made: Lab, number: int) -> None:
    shutil.rmtree(made.own(number), ignore_errors=True)
    made.own(number).mkdir()
    space, port = name(number), f"p{number}"
    run("ip", "netns", "add", space)
    run("ip", "-n", SWITCH, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "-n", SWITCH, "link", "set", port, "master", "bridge", "up")
    run("ip", "-n", space, "addr", "add", f"{address(number)}/24", "brd", "+", "dev", "eth0")
    run("ip", "-n", space, "link", "set", "eth0", "up")
    run("ip", "-n", space, "link", "set", "lo", "up")
    run("ip", "-n", space, "route", "add", "default", "dev", "eth0")
    for where, device in ((space, "eth0"), (SWITCH, port)):
        shape = ["rate", f"{made.megabits}mbit", "burst", "256kb", "latency", "100ms"]
        run("tc", "-n", where, "qdisc", "add", "dev", device, "root", "tbf", *shape)


def remove() -> None:
    """Remove the namespaces of an earlier lab."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        if line.startswith("nt-"):
            run("ip", "netns", "delete", line.split()[0])


def wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> bool:
    """Whether all processes ended well within so many seconds."""
    limit = time.monotonic() + seconds
    with contextlib.suppress(subprocess.TimeoutExpired):
        codes = [process.wait(max(0.1, limit - time.monotonic())) for process in processes]
        return not any(codes)
    return False
