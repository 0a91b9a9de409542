"""`python -m tests [PART...]`: run parts of the test suite, several at the same time.

A part is a target of the Makefile. Its output is written to .cache/tests/PART.log and printed when the part has ended;
its last line is shown every minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "tests"
STREAMS = (("site",), ("lint", "molecule"), ("unit", "molecule-old", "local", "alone"))
"""Streams run at the same time, and the parts of a stream one after the other. Parts that use the same names of hosts
must be in the same stream. `site` takes longest, and mostly waits, so it begins at once."""
GATES = ("lint", "unit")
"""Parts after whose failure no other part is begun."""
URGENT = ("site",)
"""Parts that get the processors first, because the other streams end before them in any case."""
LESS = 5
"""The niceness of the other parts."""
FEW_SHARES = "340"
"""Docker's weight of the hosts of the other parts; a host has 1024 by default."""
PARTS = tuple(part for stream in STREAMS for part in stream)
MAKE_VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
"""Variables that make passes to the makes that it starts. They are removed, because the parts are independent."""
PROGRESS_INTERVAL = 60
"""Seconds after which the last line of a part's output is shown."""
_printing = threading.Lock()


@dataclass(frozen=True)
class Result:
    """The result of a part."""

    part: str
    code: int
    seconds: float

    @property
    def line(self) -> str:
        """The result in one line."""
        return f"{'ok  ' if self.code == 0 else 'FAIL'} {self.part:<12} {self.seconds:5.0f} s"


def run(part: str, make: Sequence[str] = ("make", "--no-print-directory")) -> Result:
    """Run one part and then print its output."""
    log = LOGS / f"{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
    if part not in URGENT:
        environment["LAB_CPU_SHARES"] = FEW_SHARES
        make = ("nice", "-n", str(LESS), *make)
    started = time.monotonic()
    say(f"---- {part} started: {log.relative_to(ROOT) if log.is_relative_to(ROOT) else log}")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*make, part],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        while not has_ended(running, PROGRESS_INTERVAL):
            last = text_of(log).rstrip().rpartition("\n")[2]
            say(f"---- {part}, {time.monotonic() - started:.0f} s: {last[:100]}")
    result = Result(part, running.returncode, time.monotonic() - started)
    say(f"---- {part}\n{text_of(log)}{result.line}")
    return result


def has_ended(running: subprocess.Popen[bytes], patience: float) -> bool:
    """Wait until the process ends; False after `patience` seconds."""
    try:
        running.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def text_of(log: Path) -> str:
    """The current content of the log."""
    return log.read_text(encoding="utf-8", errors="replace")


def run_stream(parts: Sequence[str], stopped: threading.Event) -> list[Result]:
    """Run parts one after the other, also after a failure, until `stopped` is set: by a gate that failed."""
    results: list[Result] = []
    for part in parts:
        if stopped.is_set():
            break
        results.append(run(part))
        if results[-1].code and part in GATES:
            stopped.set()
    return results


def run_streams(requested: Sequence[str]) -> list[Result]:
    """Run the requested parts."""
    stopped = threading.Event()
    streams = [chosen for stream in STREAMS if (chosen := [part for part in stream if part in requested])]
    with ThreadPoolExecutor(len(streams)) as pool:
        running = [pool.submit(run_stream, stream, stopped) for stream in streams]
        return [result for stream in running for result in stream.result()]


def say(text: str) -> None:
    """Print a text, so that the outputs of threads do not mix."""
    with _printing:
        print(text, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts and print how long they took. Exit code 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"any of {', '.join(PARTS)}; default: all")
    requested = parser.parse_args(argv).part or list(PARTS)
    if unknown := sorted(set(requested) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    started = time.monotonic()
    results = run_streams(requested)
    for result in results:
        print(result.line)
    left_out = [part for part in requested if part not in {result.part for result in results}]
    if left_out:
        print(f"not run, because something before failed: {', '.join(left_out)}")
    failed = any(result.code for result in results)
    print(f"{'something failed' if failed else 'all passed'} after {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
