"""`python -m tests.bench.runs`: time and memory of commands with many runs; a benchmark, not a test.

On one host, a container reached over SSH, with runs that a script makes instead of trainings:

- 2,000 runs that have ended, of 20,000 iterations each, and 20 that are running: `provision runs list`;
- one log of 500 MB: `provision runs logs`, compared with `cat` of the same file through Docker;
- a captioning of 81,434 pictures: `provision runs report`, and the size of its pages.

For each: the seconds of wall time and the largest resident memory of `provision` and its child processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab import engine, hosts, paths
from tests.lab.spec import Lab
from tests.site.command import Directory

WORK = paths.ROOT / ".cache" / "bench-runs"
LAB = Lab("bench-runs", "ready")
ROOT = "/opt/neuraltalk"
MAKER = Path(__file__).with_name("make_runs.py")
# Runs a command, and prints its time and the largest memory of it and its children on the last line.
# This is a process of its own because ru_maxrss of a direct child would start with the memory of this process.
METER = """
import json, os, resource, subprocess, sys, time
started = time.monotonic()
with open(sys.argv[1], "wb") as output:
    code = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=output)
result = {"code": code, "seconds": time.monotonic() - started}
result["memory"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps(result))
"""


@dataclass(frozen=True)
class Measured:
    """Seconds of wall time, bytes of memory, and bytes of output."""

    what: str
    seconds: float
    memory: int
    bytes: int


def meter(what: str, command: list[str], directory: Path, environment: dict[str, str]) -> Measured:
    """Run and measure a command."""
    output = WORK / "output"
    done = subprocess.run(
        [sys.executable, "-c", METER, str(output), *command],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    return Measured(what, result["seconds"], result["memory"], output.stat().st_size)


def provision(directory: Directory, what: str, *arguments: str) -> Measured:
    """Run and measure `provision ARGUMENTS`."""
    return meter(what, directory.line(*arguments), directory.path, directory.environment)


def report(directory: Directory) -> Measured:
    """Measure the report of the large captioning; `bytes` is the size of all its pages."""
    measured = provision(directory, "runs report, 81,434 captions", "runs", "report", "many", "--out", "many.html")
    pages = list(directory.path.glob("many*.html"))
    print(f"{len(pages)} pages", flush=True)
    return Measured(measured.what, measured.seconds, measured.memory, sum(page.stat().st_size for page in pages))


def main() -> int:
    """Make the runs, measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.runs", description=__doc__.partition("\n")[0])
    parser.add_argument("--ended", type=int, default=2000, help="number of runs that have ended (default: 2000)")
    parser.add_argument("--living", type=int, default=20, help="number of running runs (default: 20)")
    parser.add_argument("--megabytes", type=int, default=500, help="size of the large log (default: 500)")
    parser.add_argument("--pictures", type=int, default=81_434, help="number of captioned pictures (default: 81434)")
    arguments = parser.parse_args()
    engine.ensure()
    WORK.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    with hosts.with_lab(LAB) as lab:
        (host,) = lab.containers
        directory = Directory(WORK / "site").configure(mirror=str(WORK), inventory=str(lab.inventory))
        engine.docker("cp", str(MAKER), f"{host}:/root/make_runs.py")
        sizes = [str(number) for number in (arguments.ended, arguments.living, arguments.megabytes, arguments.pictures)]
        engine.docker("exec", "-d", host, "python3", "/root/make_runs.py", ROOT, *sizes)
        deadline = time.monotonic() + 600
        while not engine.docker("exec", host, "sh", "-c", f"ls {ROOT}/made 2>/dev/null || true").strip():
            assert time.monotonic() < deadline, "the runs were not made in ten minutes"
            time.sleep(1)
        measured = [
            provision(directory, "--version", "--version"),
            provision(directory, f"runs list, {arguments.ended} + {arguments.living}", "runs", "list"),
            provision(directory, f"runs list, {arguments.ended} + {arguments.living}, again", "runs", "list"),
            provision(directory, "runs show", "runs", "show", "n7"),
            meter(
                "docker exec cat, the same log",
                ["docker", "exec", host, "cat", f"{ROOT}/runs/big/log"],
                WORK,
                dict(os.environ),
            ),
            provision(directory, f"runs logs, {arguments.megabytes} MB", "runs", "logs", "big"),
            report(directory),
        ]
    print(f"load before: {load:.1f}")
    for one in measured:
        print(f"{one.what:<36} {one.seconds:>8.2f} s  {one.memory / 1e6:>7.0f} MB in memory  {one.bytes:>12,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
