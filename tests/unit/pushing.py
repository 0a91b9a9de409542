"""Hosts of a transfer as real processes on this machine, each with its own directory and port."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neuraltalk_provision import paths
from neuraltalk_provision.rules import pieces
from neuraltalk_provision.rules.piece_server import Server
from neuraltalk_provision.site.distribution import source
from tests.unit.waiting import until

KEY = "5a" * 32
STARTED: list[Host] = []
"""All hosts of a test, which ends them."""
PYTHON2 = Path("/srv/py2/bin/python")
PROGRAM = """
from __future__ import print_function
import itertools, json, sys, time
sys.path.insert(0, sys.argv[1])
from module_utils.push import receiver, transfer
from module_utils.push.transfer import Chain, Wanted
from module_utils.host.errors import StackError
from module_utils.rules import piece_server, pieces
given = json.loads(sys.stdin.read())
if given.pop("steps"):
    steps, right = itertools.cycle((0, -10**6, 10**6)), time.time
    time.time = lambda: right() + next(steps)
if given.pop("hangs"):
    transfer.part_file.os.fsync = lambda handle: time.sleep(600)
transfer.LINGER_SECONDS = given.pop("linger")
receiver.GONE_SECONDS = given.pop("gone")
receiver.SILENT_SECONDS, receiver.LOOK_SECONDS, receiver.LEAD = 2, 0.5, 8
piece_server.BIND_SECONDS = 1
given["chain"]["candidates"] = [pieces.Server(*one) for one in given["chain"]["candidates"]]
try:
    answer = transfer.transfer(Wanted(**given["wanted"]), Chain(**given["chain"]))
except StackError as error:
    answer = {"failed": str(error), "code": error.details.get("code")}
print(json.dumps(answer))
"""


def free_port() -> int:
    """A port that nothing uses, nor the next one; not one of those that the kernel gives to others meanwhile."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)), socket.create_server(("", port + 1)):
            return port


def content(megabytes: float) -> bytes:
    """So many bytes, all pieces different."""
    return os.urandom(int(megabytes * (1 << 20)))


@contextlib.contextmanager
def serving(file: Path, limit: int = 0) -> Iterator[tuple[Server, source.Description]]:
    """The controller's server of a file."""
    with source.opened(file) as handle:
        described = source.describe(file, handle)
        server = Server(source.Store(handle, described), KEY, pieces.SOURCE, limit)
        server.port = server.start(0)
        try:
            yield server, described
        finally:
            server.stop()


class Host:
    """One host of the chain."""

    def __init__(self, directory: Path, number: int, described: source.Description, **given: Any) -> None:
        self.directory, self.number, self.port = directory / f"host{number}", number, free_port()
        self.path = self.directory / "file"
        self.described = described
        self.given = given
        self.process: subprocess.Popen[bytes] | None = None
        STARTED.append(self)

    def start(
        self,
        candidates: Sequence[tuple[int, int] | tuple[int, int, str]],
        python: Path | str = sys.executable,
        *,
        steps: bool = False,
        hangs: bool = False,
        **chain: Any,
    ) -> Host:
        """Start to receive from candidates: (number, port) or (number, port, address), the nearest first.

        With `steps` its clock is set often; with `hangs` its disk does not answer any more at the end.
        """
        self.directory.mkdir(exist_ok=True)
        wanted = {
            "path": str(self.path),
            "size": self.described.size,
            "sha256": self.described.sha256,
            "list_sha256": self.described.list_sha256,
            "replace": False,
            **self.given,
        }
        whole = {
            "key": KEY,
            "number": self.number,
            "candidates": [(number, *(address or ["127.0.0.1"]), port) for number, port, *address in candidates],
            "port": self.port,
            "limit": 0,
            "is_last": False,
            "patience": 10,
            "wait": 1 if hangs else 600,
            **chain,
        }
        self.process = subprocess.Popen(
            [str(python), "-c", PROGRAM, str(paths.plugins())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin
        given = {"wanted": wanted, "chain": whole, "linger": 2, "gone": 1, "steps": steps, "hangs": hangs}
        self.process.stdin.write(json.dumps(given).encode())
        self.process.stdin.close()
        self.process.stdin = None
        return self

    def result(self, seconds: float = 60) -> dict[str, Any]:
        """What the host answered at its end."""
        assert self.process
        assert self.process.stdout
        answer, _ = self.process.communicate(timeout=seconds)
        found: dict[str, Any] = json.loads(answer)
        return found

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process and self.process.stdout:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    @property
    def part(self) -> Path:
        """The file while it arrives."""
        return self.directory / f".file.{self.described.sha256[:16]}.part"

    def wait_for(self, size: int, seconds: float = 20) -> None:
        """Wait until so many bytes have arrived."""
        until(lambda: self.part.exists() and self.part.stat().st_size >= size, seconds)


def chain_of(directory: Path, described: source.Description, source_port: int, count: int, **more: Any) -> list[Host]:
    """So many hosts, started, each of which receives from the one before it."""
    hosts = [Host(directory, number, described) for number in range(1, count + 1)]
    for place, host in enumerate(hosts):
        before = [(one.number, one.port) for one in reversed(hosts[max(0, place - 3) : place])]
        host.start([*before, (pieces.SOURCE, source_port)], is_last=host is hosts[-1], **more)
    return hosts
