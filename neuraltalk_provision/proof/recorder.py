"""Records every attempted connection and look-up in the network namespace of a container, and proves that it does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from neuraltalk_provision import paths
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.mirror import programs
from neuraltalk_provision.mirror.proofs import Attempt
from neuraltalk_provision.proof.container import Container

PROGRAM = "module_utils/host/traffic.py"
PATIENCE = 10.0
"""Seconds until a planted attempt must have been seen."""
_LONGEST = 1 << 20
_PLANT = """
for address in {addresses}; do timeout 5 bash -c "</dev/tcp/$address/9"; done 2>/dev/null
timeout 20 getent ahosts {name} || true
"""


def planted(number: int) -> tuple[Attempt, ...]:
    """The attempts that are planted: addresses and a name that are reserved (RFC 5737, 3849 and 6761)."""
    tcp = [Attempt(kind="tcp", to=to, port=9) for to in (f"192.0.2.{number}", f"2001:db8::{number}")]
    return (*tcp, Attempt(kind="name", to=f"planted-{number}.invalid", port=53))


@dataclass(frozen=True)
class Seen:
    """What was recorded: attempts with their times, and why the record could be incomplete (empty if it is not)."""

    attempts: tuple[Attempt, ...] = ()
    planted: tuple[Attempt, ...] = ()
    doubt: str = ""
    watched: str = ""


@dataclass
class Recording:
    """A recorder that runs."""

    container: Container
    _stdin: IO[bytes]
    _stdout: IO[bytes]
    _found: list[Attempt] = field(default_factory=list)
    _doubts: list[str] = field(default_factory=list)
    _wanted: list[Attempt] = field(default_factory=list)
    _rest: bytes = b""
    _ended: bool = False

    def plant(self) -> None:
        """Try to reach something from the container, and wait until the recorder has seen it."""
        number = 1 + sum(one.kind == "name" for one in self._wanted)
        wanted = tuple(one for one in planted(number) if ":" not in one.to or _has_ipv6())
        self._wanted += wanted
        addresses = " ".join(one.to for one in wanted if one.kind == "tcp")
        name = next(one.to for one in wanted if one.kind == "name")
        self.container.run(_PLANT.format(addresses=addresses, name=name))
        end = time.monotonic() + PATIENCE
        while self._missing(wanted) and time.monotonic() < end and not self._ended:
            self._read(end)
        if missing := self._missing(wanted):
            self._doubts.append(f"the recorder did not see what was planted: {'; '.join(map(str, missing))}")

    def _missing(self, wanted: tuple[Attempt, ...]) -> list[Attempt]:
        seen = {one.key for one in self._found}
        return [one for one in wanted if one.key not in seen]

    def end(self) -> Seen:
        """End the recorder; everything that it saw. Can be called once."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        end = time.monotonic() + PATIENCE
        while not self._ended and time.monotonic() < end:
            self._read(end)
        if not self._ended:
            self._doubts.append("the recorder did not end as it should")
        own = {one.key for one in self._wanted}
        return Seen(
            tuple(one for one in self._found if one.key not in own),
            tuple(one for one in self._found if one.key in own),
            "; ".join(self._doubts),
            "every packet of the container, whose network has no way out",
        )

    def _read(self, end: float) -> None:
        """Read what the recorder has printed; wait for it until `end`."""
        if not select.select([self._stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            return
        data = os.read(self._stdout.fileno(), 1 << 16)
        if not data:
            self._ended = True
            self._doubts.append("the recorder ended too early")
            return
        *lines, self._rest = (self._rest + data)[-_LONGEST:].split(b"\n")
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError):  # pydantic's error is a ValueError
                self._doubts.append(f"the recorder printed something else: {line[:200]!r}")

    def _take(self, line: dict[str, object]) -> None:
        if not isinstance(line, dict):
            raise TypeError
        if "problem" in line:
            self._doubts.append(str(line["problem"]))
        elif "end" in line:
            self._ended = True
            if line.get("dropped") or line.get("more"):
                self._doubts.append(
                    f"the recorder lost {line.get('dropped')} packets, and {line.get('more')} attempts are not listed"
                )
        elif "kind" in line:
            self._found.append(Attempt.model_validate(line))


def _has_ipv6() -> bool:
    """Whether the kernel has IPv6. Without it, no packet can be sent by it."""
    return Path("/proc/net/if_inet6").exists()


@contextlib.contextmanager
def recording(container: Container) -> Iterator[Recording]:
    """A recorder in the namespace of the container. It is a process of this machine, and ends with this one."""
    command = container.beside(sys.executable, str(paths.plugins() / PROGRAM))
    with programs.conversation(command, {**os.environ, "PYTHONPATH": ""}) as (stdin, stdout):
        started = Recording(container, stdin, stdout)
        started.plant()
        if started._ended:
            raise HostError(
                f"the recorder could not be started: {'; '.join(started._doubts)}",
                advice="Without it nothing is proved. It needs root, and the kernel's packet sockets (AF_PACKET).",
            )
        yield started
