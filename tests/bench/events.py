"""`python -m tests.bench.events`: the controller's memory and time for each host while it reads a playbook's events.

Events that were recorded from one host, on which Torch would be built (state.yml and site.yml in check mode, 320 of
them), are replayed for many hosts in the order in which Ansible would send them, through the function that
ansible-runner calls, with a log. Then the hosts' states are read into their types. No host and no Ansible takes part.
Each size is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuraltalk_provision import command_log
from neuraltalk_provision.results.host_state import StackStateResult
from neuraltalk_provision.site import events, host_results, playbook
from neuraltalk_provision.site.events import Event
from neuraltalk_provision.site.recorder import Recorder

RECORDED = Path(__file__).resolve().parent / "data" / "events.json.gz"
HOST = "node1"
SIZES = (1, 100, 1000, 3000)


@dataclass(frozen=True)
class Measured:
    """For a number of hosts: events, seconds of processor time, KB of the process at its largest, bytes of the log."""

    hosts: int
    events: int
    cpu: float
    memory: int
    log: int


def recorded() -> list[dict[str, Any]]:
    """The events of one host, in order."""
    with gzip.open(RECORDED, "rt", encoding="utf-8") as file:
        found: list[dict[str, Any]] = json.load(file)
    return found


def of_hosts(count: int) -> Iterator[Event]:
    """The events of `count` hosts: each event of the host comes for all hosts, before the next one."""
    for event in recorded():
        data = event["event_data"]
        if data.get("host") != HOST:
            yield event
            continue
        text = json.dumps(event)
        for number in range(1, count + 1):
            yield json.loads(text.replace(f'"{HOST}"', f'"node{number}"').replace(f"[{HOST}]", f"[node{number}]"))


def measure(count: int, folder: Path) -> Measured:
    """Read the events of `count` hosts in this process, and count."""
    os.environ["XDG_STATE_HOME"] = str(folder)
    started, number = time.process_time(), 0
    made = 0.0
    with command_log.begin(["site"]) as log:
        gathered = events.Gathered()
        handle = playbook._handler(gathered, Recorder({}), lambda event: None)
        source = of_hosts(count)
        while True:
            before = time.process_time()
            event = next(source, None)
            made += time.process_time() - before  # making an event is not reading it
            if event is None:
                break
            number += 1
            handle(event)
        results, failures = host_results.of(gathered.results(), "stack_state", StackStateResult)
    assert (len(results), failures) == (count, ()), f"{len(results)} of {count} hosts were read: {failures[:1]}"
    cpu = time.process_time() - started - made
    size = sum(file.stat().st_size for file in folder.rglob("*.log*"))
    return Measured(count, number, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, size if log.path else 0)


def apart(count: int) -> Measured:
    """Measure in another process."""
    line = [sys.executable, "-m", "tests.bench.events", "--one", str(count)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def main() -> int:
    """Measure all sizes and print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.events", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=list(SIZES), help="numbers of hosts")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(vars(measure(arguments.one, Path(folder)))))
        return 0
    first = apart(1)
    print(f"{'hosts':>6} {'events':>8} {'cpu s':>7} {'ms a host':>10} {'us an event':>12} {'MB':>6} {'KB a host':>10}")
    for count in arguments.hosts:
        one = apart(count)
        each = (one.memory - first.memory) / (count - 1) if count > 1 else 0.0
        print(
            f"{count:>6} {one.events:>8} {one.cpu:>7.2f} {1000 * one.cpu / count:>10.2f} "
            f"{1e6 * one.cpu / one.events:>12.0f} {one.memory / 1024:>6.0f} {each:>10.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
