"""`python -m tests.bench.rollout`: a rollout on many hosts, with broken ones, kills and a way back; not a test.

One host is built from stand-in sources, and all hosts are containers from an image of it, reached over SSH. On each a
copy of its generation under another id is current, so that every rollout only activates. The rollouts:

- two hosts are off, and one fails its verification: what was done, in which order and how long;
- the controller is killed at random moments and the rollout is continued, until it ends;
- the budget is spent, and every touched host returns.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.bench.__main__ import COMMITTED, IMAGE, WORK, build
from tests.lab import engine, hosts
from tests.lab.spec import Lab
from tests.site.command import Directory
from tests.site.host import ROOT, Host

FORMER = "former0000000000"
STAND_BACK = (
    f"cd {ROOT} && test -e generations/{FORMER} || cp -al $(readlink current) generations/{FORMER}; "
    f"ln -sfn generations/{FORMER} current"
)
WAVES = [1, "10%", "50%", "100%"]


@dataclass(frozen=True)
class Fleet:
    """The hosts, the directory of the controller, and the generation that the mirror describes."""

    hosts: tuple[Host, ...]
    directory: Directory
    wanted: str

    def on_all(self, script: str) -> list[str]:
        """Run a script on every host; the outputs."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda host: host.run(script), self.hosts))

    def currents(self) -> dict[str, int]:
        """{generation: how many hosts have it}."""
        found = [line.strip().removeprefix("generations/") for line in self.on_all(f"readlink {ROOT}/current")]
        return {name: found.count(name) for name in sorted(set(found))}


def timed(what: str, act: Callable[[], Any]) -> Any:
    """Do something, and print how long it took."""
    started = time.monotonic()
    result = act()
    print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)
    return result


def broken(fleet: Fleet) -> None:
    """Two hosts are off, and a host of the third wave fails its verification."""
    off, bad = fleet.hosts[-2:], fleet.hosts[len(fleet.hosts) // 3]
    environment = f"{ROOT}/generations/{fleet.wanted}/environment"
    bad.run(f"cp -a {environment} {environment}.kept; echo '# changed' >>{environment}")
    for host in off:
        engine.docker("pause", host.name)
    try:
        done = timed("two hosts off, one broken", lambda: fleet.directory.provision("site", "--json"))
    finally:
        for host in off:
            engine.docker("unpause", host.name)
        bad.run(f"mv {environment}.kept {environment}")
    document = done.document
    for wave in document["waves"]:
        print(f"  wave {wave['number']} ({wave['name']}): {len(wave['hosts'])} hosts")
    print(f"  exit code {done.code}; activated {len(document['activated'])}")
    print(f"  set aside {[(one['host'], one['code']) for one in document['set_aside']]}")
    print(f"  failed {[one['host'] for one in document['failures']]}; {fleet.currents()}", flush=True)


def killed(fleet: Fleet, kills: int, seed: int) -> None:
    """The controller is killed at random moments, and the rollout continued each time."""
    chosen = random.Random(seed)
    whole = timed("the whole rollout", lambda: _whole(fleet))
    fleet.on_all(STAND_BACK)
    started = time.monotonic()
    words: tuple[str, ...] = ()
    for _ in range(kills):
        running = fleet.directory.start("site", *words)
        time.sleep(chosen.uniform(0.1, 0.4) * whole)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        status = fleet.directory.provision("rollout", "status", "--json")
        unfinished = status.code == 0 and json.loads(status.out)["rollout"]["status"] in (
            "running",
            "paused",
            "stopped",
        )
        words = ("--resume",) if unfinished else ()
        print(f"  killed; now {fleet.currents()}", flush=True)
    end = fleet.directory.provision("site", *words)
    print(f"{kills} kills: {time.monotonic() - started:.1f} s; exit code {end.code}; {fleet.currents()}", flush=True)


def _whole(fleet: Fleet) -> float:
    started = time.monotonic()
    fleet.directory.provision("site").ended_with(0)
    return time.monotonic() - started


def returned(fleet: Fleet) -> None:
    """A host of the last wave fails, no failure is allowed, and every touched host returns."""
    bad = fleet.hosts[-1]
    environment = f"{ROOT}/generations/{fleet.wanted}/environment"
    bad.run(f"cp -a {environment} {environment}.kept; echo '# changed' >>{environment}")
    try:
        words = ("site", "--json", "--on-failure", "rollback", "--max-failures", "0")
        done = timed("a spent budget and the way back", lambda: fleet.directory.provision(*words))
    finally:
        bad.run(f"mv {environment}.kept {environment}")
    print(f"  exit code {done.code}; returned {len(done.document['returned'])}; {fleet.currents()}", flush=True)


def main() -> int:
    """Build, start the hosts, and run the rollouts."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollout", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=30, help="the number of hosts (default: 30)")
    parser.add_argument("--kills", type=int, default=10, help="how often the controller is killed (default: 10)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    engine.ensure()
    mirror = timed("building one host", build)
    with hosts.with_lab(Lab("bench-rollout", IMAGE, hosts=arguments.hosts, committed=COMMITTED)) as lab:
        directory = Directory(WORK / lab.name)
        directory.configure(mirror=str(mirror), inventory=str(lab.inventory), waves=WAVES, forks=10)
        fleet = Fleet(tuple(Host(name) for name in lab.containers), directory, Host(lab.containers[0]).current)
        for act in (broken, lambda one: killed(one, arguments.kills, arguments.seed), returned):
            fleet.on_all(STAND_BACK)
            act(fleet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
