"""`python -m tests.bench`: the time of `provision site` when there is nothing to change; a benchmark, not a test.

These are measured in turns, on the same hosts and over the same open SSH connections:

- `provision site`, which runs one module on each host;
- the same roles with plain `ansible-playbook` (site.yml and activate.yml), tuned: without facts, and with the same
  pipelining, ControlPersist and forks as `provision`.

One host is built from stand-in sources, and all hosts start from an image of it. Each command runs once before the
measured rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import engine, hosts, paths
from tests.lab.spec import Lab
from tests.site import mirrors, playbooks
from tests.site.command import Directory, Done

IMAGE = "ready"
COMMITTED = "lab-bench:built"
WORK = paths.ROOT / ".cache" / "bench"
PLAIN = "ansible-playbook, tuned"


@dataclass(frozen=True)
class Measured:
    """Seconds of each round."""

    hosts: int
    what: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)


def build() -> Path:
    """Make a mirror, and an image of a host that was built from it; the mirror."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    mirror = mirrors.make(WORK / "mirror", IMAGE)
    with hosts.with_lab(Lab("bench-build", IMAGE)) as lab:
        directory = Directory(WORK / "build").configure(mirror=str(mirror), inventory=str(lab.inventory))
        directory.provision("site").ended_with(0)
        (host,) = lab.containers
        hosts.commit(host, COMMITTED)
    return mirror


def nothing_to_do(directory: Directory) -> Callable[[], Done]:
    """`provision site` on hosts that have the stack."""
    return lambda: directory.provision("site").ended_with(0).says("nothing to change")


def nothing_to_do_by_hand(directory: Directory, inventory: Path) -> Callable[[], Done]:
    """The same roles without `provision`."""
    variables = directory.path / "variables.yml"
    directory.provision("variables", str(variables)).ended_with(0)

    def both() -> Done:
        for playbook in ("site.yml", "activate.yml"):
            done = playbooks.run(playbook, inventory, variables, "--forks", "50").ended_with(0)
            assert not re.search(r"changed=[1-9]", done.out), f"{playbook} changed something:\n{done.out}"
        return done

    return both


def start_up(directory: Directory) -> Callable[[], Done]:
    """The command itself."""
    return lambda: directory.provision("--version").ended_with(0)


def measure(count: int, rounds: int, mirror: Path) -> list[Measured]:
    """Measure all commands on `count` hosts, in turns."""
    with hosts.with_lab(Lab(f"bench-{count}", IMAGE, hosts=count, committed=COMMITTED)) as lab:
        directory = Directory(WORK / lab.name).configure(mirror=str(mirror), inventory=str(lab.inventory))
        ways = {
            "provision --version": start_up(directory),
            "provision site": nothing_to_do(directory),
            PLAIN: nothing_to_do_by_hand(directory, lab.inventory),
        }
        for way in ways.values():
            way()
        taken: dict[str, list[float]] = {what: [] for what in ways}
        for _ in range(rounds):
            for what, way in ways.items():
                started = time.monotonic()
                way()
                taken[what].append(time.monotonic() - started)
        return [Measured(count, what, tuple(seconds)) for what, seconds in taken.items()]


def show(measured: list[Measured]) -> None:
    """Print the table: medians, least and most, and the ratio to `provision site`."""
    print(f"{'hosts':>5}  {'what':<24} {'median s':>9}  {'least':>6} {'most':>6}  {'ratio':>6}")
    for one in measured:
        base = next(other.median for other in measured if (other.hosts, other.what) == (one.hosts, "provision site"))
        spread = f"{min(one.seconds):>6.2f} {max(one.seconds):>6.2f}"
        print(f"{one.hosts:>5}  {one.what:<24} {one.median:>9.2f}  {spread}  {one.median / base:>6.2f}")


def keep(measured: list[Measured], load: float) -> Path:
    """Write all measurements to a file; its path."""
    document = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load before": load},
        "measured": [{"hosts": m.hosts, "what": m.what, "median": m.median, "seconds": m.seconds} for m in measured],
    }
    file = WORK / "noop.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return file


def main() -> int:
    """Build, measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10], help="numbers of hosts (default: 1 and 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command is measured (default: 3)")
    arguments = parser.parse_args()
    engine.ensure()
    load = os.getloadavg()[0]
    print(f"building one host; load of the machine before: {load:.1f}", flush=True)
    mirror = build()
    measured: list[Measured] = []
    for count in arguments.hosts:
        print(f"measuring with {count} hosts, {arguments.rounds} rounds", flush=True)
        measured += measure(count, arguments.rounds, mirror)
    show(measured)
    print(f"all rounds: {keep(measured, load)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
