"""`python -m tests.bench`: the time of `provision site` when there is nothing to change; a benchmark, not a test.

These are measured in turns, on the same hosts:

- `provision site`, which runs one module on each host;
- the same with the key exchange that pyinfra's library uses (curve25519 instead of OpenSSH's hybrid one, which takes
  0.06 s of processor time for each connection);
- pyinfra, with 38 operations that describe the same hosts;
- with --plain, the same roles with plain `ansible-playbook` (site.yml and activate.yml), tuned: without facts, and with
  the same pipelining, ControlPersist and forks as `provision`. Only one round, because it takes minutes.

One host is built from stand-in sources, and all hosts start from an image of it, which is kept for the next time
(--build builds it again). Each command except the last runs once before the measured rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import noop, peers
from tests.bench.noop import Measured
from tests.lab import engine, hosts, paths
from tests.lab.spec import Lab
from tests.site import mirrors, playbooks
from tests.site.command import Directory, Done

IMAGE = "ready"
COMMITTED = "lab-bench:built"
WORK = paths.ROOT / ".cache" / "bench"
MIRROR = WORK / "mirror"
SYSTEM = "debian-12"
CURVE = "-o KexAlgorithms=^curve25519-sha256"


def build() -> Path:
    """Make a mirror, and an image of a host that was built from it; the mirror."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    mirror = mirrors.make(MIRROR, IMAGE)
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


def with_curve25519(lab: Lab, to: Path) -> Path:
    """A copy of the lab's inventory whose connections use another key exchange."""
    text = (lab.inventory / "hosts.yml").read_text(encoding="utf-8")
    to.mkdir(parents=True, exist_ok=True)
    (to / "hosts.yml").write_text(text.replace("-o StrictHost", f"{CURVE} -o StrictHost"), encoding="utf-8")
    return to


def generation_of(directory: Directory) -> str:
    """The id of the generation on the hosts."""
    plans = directory.provision("site", "--plan", "--json").ended_with(0).document["plans"]
    found: str = plans[0]["generation"]
    return found


def timed(way: Callable[[], object]) -> tuple[float, float]:
    """(seconds, seconds of processor time of all processes that it started and that ended)."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    way()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(count: int, rounds: int, mirror: Path, measured: list[Measured], *, plain: bool) -> None:
    """Measure all commands on `count` hosts, in turns; append to `measured` and write it to a file."""
    with hosts.with_lab(Lab(f"noop-{count}", IMAGE, hosts=count, committed=COMMITTED)) as lab:
        directory = Directory(WORK / lab.name).configure(mirror=str(mirror), inventory=str(lab.inventory))
        curve = with_curve25519(lab, WORK / lab.name / "curve")
        other = Directory(WORK / lab.name / "other").configure(mirror=str(mirror), inventory=str(curve))
        described = peers.inventory(lab, generation_of(directory), SYSTEM, WORK / lab.name / "hosts_of_pyinfra.py")
        ways: dict[str, Callable[[], object]] = {
            "provision --version": start_up(directory),
            noop.OURS: nothing_to_do(directory),
            noop.SAME_KEYS: nothing_to_do(other),
            noop.PYINFRA: peers.run(peers.program(), described),
        }
        for way in ways.values():
            way()
        taken: dict[str, list[tuple[float, float]]] = {what: [] for what in ways}
        for _ in range(rounds):
            for what, way in ways.items():
                taken[what].append(timed(way))
        if plain:
            taken[noop.PLAIN] = [timed(nothing_to_do_by_hand(directory, lab.inventory))]
        measured += [
            Measured(count, what, tuple(seconds for seconds, _ in each), tuple(cpu for _, cpu in each))
            for what, each in taken.items()
        ]
        for line in noop.lines(measured):
            print(line, flush=True)
        print(f"all rounds: {keep(measured)}", flush=True)


def keep(measured: list[Measured]) -> Path:
    """Write all measurements to a file; its path."""
    document = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]},
        "measured": [
            {"hosts": m.hosts, "what": m.what, "median": m.median, "seconds": m.seconds, "cpu": m.cpu} for m in measured
        ],
    }
    file = WORK / "noop.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return file


def with_bytecode() -> None:
    """Let all commands keep Python's bytecode, as installed packages have it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(WORK / "bytecode")


def main() -> int:
    """Build, measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10], help="numbers of hosts (default: 1 and 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command is measured (default: 3)")
    parser.add_argument("--plain", action="store_true", help="also measure plain ansible-playbook, once")
    parser.add_argument("--build", action="store_true", help="build the image of a host again")
    arguments = parser.parse_args()
    engine.ensure()
    with_bytecode()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    ready = MIRROR.is_dir() and bool(engine.docker("images", "--quiet", COMMITTED).strip())
    mirror = MIRROR if ready and not arguments.build else build()
    measured: list[Measured] = []
    for count in arguments.hosts:
        print(f"measuring with {count} hosts, {arguments.rounds} rounds", flush=True)
        measure(count, arguments.rounds, mirror, measured, plain=arguments.plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())
