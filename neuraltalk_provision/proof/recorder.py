"""A recorder of every attempted connection and look-up, in the network namespace of a container."""

from __future__ import annotations

import contextlib
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
from neuraltalk_provision.proof.container import Container
from neuraltalk_provision.proof.recorded import Recorded, Seen

PROGRAM = "module_utils/host/traffic.py"
PATIENCE = 10.0
"""Seconds until a planted attempt must have been seen."""
TRIES = 3
"""How often the same attempts are planted: on a machine that is busy, the first ones can come before the recorder."""
WATCHED = "every packet of the container, whose network has no way out"
_LONGEST = 1 << 20
_PLANT = """
for address in {addresses}; do timeout 5 bash -c "</dev/tcp/$address/9"; done 2>/dev/null
timeout 20 getent ahosts {name} || true
"""


@dataclass
class Recording:
    """A recorder that runs."""

    container: Container
    _stdin: IO[bytes]
    _stdout: IO[bytes]
    record: Recorded = field(default_factory=Recorded)
    _rest: bytes = b""
    _closed: bool = False

    def plant(self) -> None:
        """Try to reach something from the container, and wait until the recorder has seen it."""
        # Without IPv6 in the kernel, no packet can be sent by it.
        wanted = self.record.plant(ipv6=Path("/proc/net/if_inet6").exists())
        addresses = " ".join(one.to for one in wanted if one.kind == "tcp")
        name = next(one.to for one in wanted if one.kind == "name")
        for _ in range(TRIES):
            self.container.run(_PLANT.format(addresses=addresses, name=name))
            end = time.monotonic() + PATIENCE
            while self.record.missing() and time.monotonic() < end and not self._closed:
                self._read(end)
            if self._closed or not self.record.missing():
                return

    def end(self) -> Seen:
        """End the recorder; everything that it saw. Can be called once."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        end = time.monotonic() + PATIENCE
        while not self._closed and time.monotonic() < end:
            self._read(end)
        return self.record.seen(WATCHED)

    def _read(self, end: float) -> None:
        """Read what the recorder has printed; wait for it until `end`."""
        if not select.select([self._stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            return
        data = os.read(self._stdout.fileno(), 1 << 16)
        self._closed = not data
        *lines, self._rest = (self._rest + data)[-_LONGEST:].split(b"\n")
        for line in lines:
            self.record.take(line)


@contextlib.contextmanager
def recording(container: Container) -> Iterator[Recording]:
    """A recorder in the namespace of the container, tried once. It is a process of this machine, and ends with it."""
    command = container.beside(sys.executable, str(paths.plugins() / PROGRAM))
    with programs.conversation(command, {**os.environ, "PYTHONPATH": ""}) as (stdin, stdout):
        started = Recording(container, stdin, stdout)
        started.plant()
        if started.record.missing():
            raise HostError(
                f"nothing can be proved, because the recorder does not work: {started.end().doubt}",
                advice="It needs root, and the kernel's packet sockets (AF_PACKET). The image needs bash and getent.",
            )
        yield started
