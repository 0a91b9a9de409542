"""`python -m tests [PART...]`: run parts of the test suite, those that wait beside those that compute.

A part is a target of the Makefile. Its output goes to .cache/tests/PART.log and is printed when the part has ended; its
last line is shown every minute.
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
STAGES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("lint",), ("unit",)),
    (("site",), ("molecule",), ("molecule-old", "local")),
)
"""One stage after the other, the next only where all went well; in a stage all streams at once, in a stream the parts
one after the other. Parts that use the same hosts' names have to be in one stream."""
PARTS = tuple(part for stage in STAGES for stream in stage for part in stream)
PASSED_ON = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
"""Variables by which make speaks with the makes below it; the parts are on their own."""
SIGN_OF_LIFE = 60
"""After so many seconds the last line of what a part printed is shown."""
_printing = threading.Lock()


@dataclass(frozen=True)
class Result:
    """How a part ended."""

    part: str
    code: int
    seconds: float

    @property
    def line(self) -> str:
        """The result in one line."""
        return f"{'ok  ' if self.code == 0 else 'FAIL'} {self.part:<12} {self.seconds:5.0f} s"


def run(part: str, make: Sequence[str] = ("make", "--no-print-directory")) -> Result:
    """Run one part to its end; its output is printed then, in one piece."""
    log = LOGS / f"{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in PASSED_ON}
    started = time.monotonic()
    say(f"---- {part} has begun: {log.relative_to(ROOT) if log.is_relative_to(ROOT) else log}")
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
        while not has_ended(running, SIGN_OF_LIFE):
            last = text_of(log).rstrip().rpartition("\n")[2]
            say(f"---- {part}, {time.monotonic() - started:.0f} s: {last[:100]}")
    result = Result(part, running.returncode, time.monotonic() - started)
    say(f"---- {part}\n{text_of(log)}{result.line}")
    return result


def has_ended(running: subprocess.Popen[bytes], patience: float) -> bool:
    """Whether it ended within so many seconds."""
    try:
        running.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def text_of(log: Path) -> str:
    """What stands there so far."""
    return log.read_text(encoding="utf-8", errors="replace")


def run_stream(parts: Sequence[str]) -> list[Result]:
    """Run parts one after the other, whatever becomes of each."""
    return [run(part) for part in parts]


def run_stages(asked: Sequence[str]) -> list[Result]:
    """Run the parts that are asked for; no stage after one in which something failed."""
    results: list[Result] = []
    for stage in STAGES:
        streams = [chosen for stream in stage if (chosen := [part for part in stream if part in asked])]
        if not streams:
            continue
        with ThreadPoolExecutor(len(streams)) as pool:
            results += [result for stream in pool.map(run_stream, streams) for result in stream]
        if any(result.code for result in results):
            break
    return results


def say(words: str) -> None:
    """Print, so that what threads print does not mix."""
    with _printing:
        print(words, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, and tell how long it took; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    asked = parser.parse_args(argv).part or list(PARTS)
    if strange := sorted(set(asked) - set(PARTS)):
        parser.error(f"there is no part {', '.join(strange)}; there are {', '.join(PARTS)}")
    started = time.monotonic()
    results = run_stages(asked)
    for result in results:
        print(result.line)
    left_out = [part for part in asked if part not in {result.part for result in results}]
    if left_out:
        print(f"not run, because something before failed: {', '.join(left_out)}")
    failed = any(result.code for result in results)
    print(f"{'something failed' if failed else 'all passed'} after {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
