"""`python -m tests.bench.carry`: speed and memory of `provision mirror bundle` and `unbundle`; a benchmark, not a test.

A mirror of random bytes is packed, taken into an empty mirror, and verified. `tar | split`, `cat | tar` and `sha256sum`
do comparable work on the same files. Every command has its own process, and all files of the mirror were read once
before, so that they are in memory if they fit.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neuraltalk_provision.mirror import lock

ROOT = Path(__file__).parents[2]
PROGRAM = """
import re, sys
from neuraltalk_provision.cli import main
code = main.boundary(["mirror", *sys.argv[1:]])
with open("/proc/self/status") as status, open("memory", "w") as target:
    target.write(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
sys.exit(code)
"""
PROVISION = f"{sys.executable} -c '{PROGRAM}'"
BLOCK = 1 << 24


def make(mirror: Path, megabytes: int) -> None:
    """Write a mirror: one file of half the bytes, and 20 files with the other half."""
    mirror.mkdir()
    known = lock.Lock()
    sizes = [megabytes * 500_000, *[megabytes * 25_000] * 20]
    for number, size in enumerate(sizes):
        file, digest = mirror / f"file{number}.tgz", hashlib.sha256()
        with file.open("wb") as opened:
            for start in range(0, size, BLOCK):
                block = os.urandom(min(BLOCK, size - start))
                digest.update(block)
                opened.write(block)
        entry = lock.Entry(name=file.stem, file=file.name, sha256=digest.hexdigest(), size=size, role="torch")
        known = known.with_entry(entry)
    lock.write(mirror, known)
    os.sync()


def measured(command: str, work: Path) -> tuple[float, float, int]:
    """(wall time, processor time, maximum memory in MB if it is `provision`) of a shell command."""
    (work / "memory").write_text("0")
    began = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-ec", f"set -o pipefail; {command}"],
        cwd=work,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(work / "state")},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, int((work / "memory").read_text()) // 1024


def main() -> int:
    """Make the mirror, run every command once per round, and print the medians' table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.carry", description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=2_000, help="the size of the mirror (default: 2,000)")
    parser.add_argument("--size", default="700M", help="the size of a part (default: 700M)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command is measured (default: 3)")
    parser.add_argument("--work", type=Path, help="the directory for all files (default: a temporary one)")
    arguments = parser.parse_args()
    commands = {
        "provision mirror bundle": f"{PROVISION} bundle -m mirror --to parts --size {arguments.size}",
        "the same again: nothing to write": f"{PROVISION} bundle -m mirror --to parts --size {arguments.size}",
        "provision mirror unbundle": f"{PROVISION} unbundle -m other parts",
        "provision mirror state": f"{PROVISION} state -m mirror --out state.json",
        "tar | split, then sync": f"mkdir split; tar c mirror | split -b {arguments.size}B - split/; sync -f split",
        "cat | tar x, then sync": "mkdir joined; cat split/* | tar x -C joined; sync -f joined",
        "sha256sum": "sha256sum mirror/*",
        "cp, then sync": "cp -r mirror copy; sync -f copy",
    }
    found: dict[str, list[tuple[float, float, int]]] = {what: [] for what in commands}
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work = Path(folder)
        make(work / "mirror", arguments.megabytes)
        measured("cat mirror/*", work)
        for _ in range(arguments.rounds):
            for what, command in commands.items():
                found[what].append(measured(command, work))
            for name in ("parts", "other", "split", "joined", "copy"):
                shutil.rmtree(work / name)
            os.sync()
    print(f"{'command':<34} {'wall s':>7} {'least':>7} {'most':>7} {'cpu s':>7} {'MB':>5}")
    for what, rounds in found.items():
        walls, cpu, memory = sorted(one[0] for one in rounds), sorted(one[1] for one in rounds), rounds[0][2]
        middle = len(rounds) // 2
        print(
            f"{what:<34} {walls[middle]:>7.2f} {walls[0]:>7.2f} {walls[-1]:>7.2f} {cpu[middle]:>7.2f} {memory or '':>5}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
