"""`python -m tests.bench.once`: what one host costs, and what ten of the same platform cost together; not a test.

The first of ten hosts builds, and the others unpack what it packed. Each host is a container with a small part of a
processor, so that all of them and the controller together need no more than this machine has: in a machine room each
host has processors of its own. With a mirror of the real sources (--mirror) the hosts need more of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from tests.bench.__main__ import WORK, with_bytecode
from tests.lab import engine, hosts
from tests.lab.spec import Lab
from tests.site import mirrors
from tests.site.command import Directory

IMAGE = "ready"
GOAL = 1.2


def measure(count: int, cpus: str, mirror: Path) -> float:
    """The seconds of `provision site` on new hosts, with an empty cache."""
    place = WORK / f"once-{count}"
    shutil.rmtree(place, ignore_errors=True)
    copied = mirrors.copy(mirror, place / "mirror")
    with hosts.with_lab(Lab(f"once-{count}", IMAGE, hosts=count, cpus=cpus)) as lab:
        directory = Directory(place).configure(mirror=str(copied), inventory=str(lab.inventory), cache=True)
        started = time.monotonic()
        running = directory.start("site", "--json")
        out, _ = running.communicate()
        seconds = time.monotonic() - started
    (place / "output").write_text(out, encoding="utf-8")
    if running.returncode:
        raise SystemExit(f"provision site ended with {running.returncode}; its output is in {place / 'output'}")
    return seconds


def main() -> int:
    """Measure one host, then many, and print both times."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.once", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=10, help="the number of hosts (default: 10)")
    parser.add_argument("--cpus", default="0.16", help="processors of each host (default: 0.16)")
    parser.add_argument("--mirror", type=Path, help="a mirror with the real sources (default: stand-in sources)")
    arguments = parser.parse_args()
    engine.ensure()
    with_bytecode()
    mirror = arguments.mirror or mirrors.make(WORK / "once-mirror", IMAGE)
    print(
        f"load of the machine before: {os.getloadavg()[0]:.1f}; each host has {arguments.cpus} processors", flush=True
    )
    taken = {}
    for count in (1, arguments.hosts):
        taken[count] = measure(count, arguments.cpus, mirror)
        print(f"{count} hosts: {taken[count]:.0f} s", flush=True)
    print(f"ratio: {taken[arguments.hosts] / taken[1]:.2f} (goal: {GOAL})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
