"""Runs git and curl: without input, with a limit on what is kept of their messages, and ended with this command."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO

from neuraltalk_provision.errors import MirrorError, limit_reached

Watch = Callable[[str], None]

_TICK = 0.2
_LAST = 5.0
_BLOCK = 1 << 16
_LINES = 40
_LONGEST = 2_000
_NAMESPACES = re.compile(
    r"[ug]id_map|new[ug]idmap|/etc/sub[ug]id|userns|user namespace|(unshare|clone).*(not permitted|denied)",
    re.IGNORECASE,
)
"""What programs say about user namespaces; dpkg names the packages uidmap and libsubid4 that it installs."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, and the last lines that it wrote to stderr."""

    code: int
    errors: str


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    watch: Watch = lambda line: None,
    sink: Callable[[bytes], None] | None = None,
    stop: Event | None = None,
    silence: float = 0,
) -> Ended:
    """Run a program until it ends. `watch` gets each line that it writes to stderr, `sink` what it writes to stdout.

    It is ended if `stop` is set, if `sink` raises, or if it wrote nothing for `silence` seconds.
    """
    stdout = subprocess.PIPE if sink else subprocess.DEVNULL
    process = _open(command, environment, subprocess.DEVNULL, stdout, subprocess.PIPE)
    lines = _Lines(watch)
    try:
        heard = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for stream in filter(None, (process.stdout, process.stderr)):
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map() and not (stop and stop.is_set()):
                ready = selector.select(_TICK)
                for key, _events in ready:
                    data = os.read(key.fd, _BLOCK)
                    heard = time.monotonic()
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stderr:
                        lines.add(data)
                    elif sink:
                        sink(data)
                if not ready and process.poll() is not None and not selector.select(0):
                    break  # all that it wrote was read; a child of the program still has its stderr open
                if silence and time.monotonic() - heard > silence:
                    lines.add(f"the program wrote nothing for {silence:.0f} seconds: timed out\n".encode())
                    break
            else:
                if not (stop and stop.is_set()):
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=_LAST)
    finally:
        _end(process)
    return Ended(process.returncode, lines.last())


def captured(
    command: Sequence[str],
    environment: Mapping[str, str],
    most: int,
    *,
    too_much: Exception | None = None,
    stop: Event | None = None,
    silence: float = 0,
) -> tuple[Ended, bytes]:
    """How a program ended, and what it wrote to stdout, at most `most` bytes.

    If it writes more, it is ended with the error `too_much`; without one, what comes after them is dropped.
    """
    output = bytearray()

    def keep(data: bytes) -> None:
        if too_much and len(output) + len(data) > most:
            raise too_much
        output.extend(data[: most - len(output)])

    ended = run(command, environment, sink=keep, stop=stop, silence=silence)
    return ended, bytes(output)


class _Lines:
    """The last lines of a text that arrives in pieces; each is given to `watch`."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._rest, self._last = watch, "", deque[str](maxlen=_LINES)

    def add(self, data: bytes) -> None:
        *whole, self._rest = re.split(r"[\r\n]", self._rest + data.decode("utf-8", "replace"))
        self._rest = self._rest[:_LONGEST]
        for line in filter(None, (line.strip()[:_LONGEST] for line in whole)):
            self._last.append(line)
            self._watch(line)

    def last(self) -> str:
        return "\n".join(filter(None, (*self._last, self._rest.strip())))


@contextlib.contextmanager
def conversation(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """(stdin, stdout) of a program that answers questions; it is ended with the block. Its stderr is discarded."""
    process = _open(command, environment, subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
    assert process.stdin and process.stdout
    try:
        yield process.stdin, process.stdout
    finally:
        _end(process)
        with contextlib.suppress(OSError):
            process.stdin.close()


def output(command: Sequence[str], environment: Mapping[str, str], largest: int) -> tuple[int, bytes]:
    """(exit code, stdout) of a program. Raises MirrorError if stdout is longer than `largest` bytes."""
    words = f"{Path(command[0]).name} wrote more than {largest:,} bytes"
    too_much = MirrorError(words, advice="Do not use this source.")
    ended, found = captured(command, environment, largest, too_much=too_much)
    return ended.code, found


def namespaces_denied(errors: str) -> str:
    """What to do if a program was not allowed to use user namespaces, by its messages; empty for other errors."""
    if not _NAMESPACES.search(errors):
        return ""
    return (
        "This user may not use user namespaces. Run the same command as root, or allow them: a line for the user in "
        "/etc/subuid and in /etc/subgid, and on Ubuntu 24.04 and later "
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
    )


def _open(
    command: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=dict(environment), start_new_session=True
        )
    except OSError as error:
        advice = limit_reached(error) or "Install it."
        raise MirrorError(f"{command[0]} cannot be started: {error.strerror}", advice=advice) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all programs that it started. They are a process group of their own."""
    if process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
    for stream in filter(None, (process.stdout, process.stderr)):
        stream.close()
