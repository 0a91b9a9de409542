"""`python -m tests.bench.journal`: the time of the journal for each host; a benchmark, not a test.

For each number of hosts: one rollout in which every host is staged, activated and verified, as it is recorded in a real
one: the start of a step for all hosts of a wave in one transaction, the end of each step in groups as results arrive,
or one by one, which is the worst case. Then the whole rollout is read, as `--resume` reads it.

`measure` can be called with other sizes. As a limit of the disk, `fsync` is the time to write and sync 4 KB in a file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.fleet import records
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Ending, HostEntry, Outcome, Rollout, Status, Step

SIZES = (100, 1000, 5000)
STEPS = (Step.STAGE, Step.ACTIVATE, Step.GIVE_BACK)
GROUP = 50
"""How many results a controller with 50 forks records together."""
SINGLE = 100
"""The most hosts that are recorded one by one."""


@dataclass(frozen=True)
class Measured:
    """For a number of hosts: milliseconds for each host, of each kind of work; and bytes of the file for each host."""

    hosts: int
    begin: float
    started: float
    ended: float
    single: float
    read: float
    cpu: float
    """Milliseconds of processor time for each host, for the whole rollout without the single records."""
    space: float

    @property
    def whole(self) -> float:
        """Milliseconds for each host, for the whole rollout: all three steps in groups."""
        return self.begin + self.started + self.ended


def measure(hosts: int, folder: Path) -> Measured:
    """Record and read one rollout of that many hosts, in a new journal in that folder."""
    names = [f"node{number}.example.org" for number in range(hosts)]
    digests = {name: records.inputs("recipe", name) for name in names}
    entries = tuple(HostEntry(host=name, wave=0, target="0a1b2c3d4e5f6071", inputs=digests[name]) for name in names)
    file = folder / f"{hosts}" / ".provision" / "journal.sqlite"

    def started(journal: Journal) -> None:
        for step in STEPS:
            journal.started(names, step, digests)

    def ended(journal: Journal) -> None:
        for step in STEPS:
            for first in range(0, hosts, GROUP):
                group = names[first : first + GROUP]
                journal.ended_all(step, [Ending(host=name, outcome=Outcome.DONE) for name in group])

    few = names[:: max(1, hosts // SINGLE)]

    def single(journal: Journal) -> None:
        for name in few:
            journal.ended(name, Step.GIVE_BACK, Outcome.DONE)

    with Journal.open(file, "bench", lambda _name: False) as journal:
        cpu = time.process_time()
        begin = timed(lambda: journal.begin(Rollout(hosts=entries)))
        start, end = timed(lambda: started(journal)), timed(lambda: ended(journal))
        cpu = time.process_time() - cpu
        alone = timed(lambda: single(journal)) / len(few)
        reading = timed(journal.unfinished)
        journal.finish(Status.FINISHED)
    begin, start, end, reading, cpu = (seconds / hosts * 1000 for seconds in (begin, start, end, reading, cpu))
    return Measured(hosts, begin, start, end, alone * 1000, reading, cpu, file.stat().st_size / hosts)


def timed(act: Callable[[], object]) -> float:
    """Seconds of wall time."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def fsync(folder: Path, rounds: int = 50) -> float:
    """Milliseconds to write 4 KB into a file and sync it: the median."""
    with (folder / "synced").open("r+b" if (folder / "synced").exists() else "w+b", buffering=0) as file:

        def once() -> None:
            file.seek(0)
            file.write(os.urandom(4096))
            os.fsync(file.fileno())

        return statistics.median(timed(once) for _ in range(rounds)) * 1000


def rounds(sizes: Sequence[int], number: int, folder: Path) -> list[Measured]:
    """Measure each size so many times, alternately; for each size the round with the median of the whole rollout."""
    found: dict[int, list[Measured]] = {size: [] for size in sizes}
    for _ in range(number):
        for size in sizes:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                found[size].append(measure(size, Path(place)))
    return [sorted(all_of_it, key=lambda one: one.whole)[len(all_of_it) // 2] for all_of_it in found.values()]


def main() -> int:
    """Measure, and print a line for each number of hosts."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.journal", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=SIZES, help="numbers of hosts (default: 100 1000 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each number is measured (default: 3)")
    parser.add_argument("--work", type=Path, help="the directory for all files (default: a temporary one)")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        measured = rounds(arguments.hosts, arguments.rounds, Path(folder))
        synced = fsync(Path(folder))
    print(f"load before: {load:.1f}; fsync of 4 KB: {synced:.2f} ms")
    print("milliseconds for each host, and bytes:")
    columns = ("begin", "started", "ended", "whole", "cpu", "read", "single")
    print(f"{'hosts':>6} {' '.join(f'{column:>8}' for column in columns)} {'space':>6}")
    for one in measured:
        print(f"{one.hosts:>6} {' '.join(f'{getattr(one, column):>8.3f}' for column in columns)} {one.space:>6.0f}")
    first, last = measured[0], measured[-1]
    print(f"each of {last.hosts} hosts costs {last.whole / first.whole:.2f} of what each of {first.hosts} costs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
