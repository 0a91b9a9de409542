"""`python -m tests.bench.distribution`: one file to many hosts on links of limited speed; a benchmark, not a test.

Hosts are network namespaces on a bridge, each with a link of the same speed in both directions, and so is the
controller. `provision data push` is measured as a whole, with the start of Python and Ansible, and so are the other
programs. The ratio is the time divided by the file's size over the speed of a link. Needs root, iproute2, sshd,
rsync, curl and nginx, and for the others clustershell, udpcast, uftp and aria2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neuraltalk_provision.rules import pieces
from tests.bench import engines, links
from tests.bench.links import SOURCE, Lab

ROOT = Path(__file__).parents[2]
OURS, CUT, KILLED = "provision data push", "the same, a host loses its link", "the same, a host's program is killed"


def push(lab: Lab, file: Path, seconds: float) -> bool:
    """`provision data push`, as a whole."""
    return links.wait([start(lab, file)], seconds)


def start(lab: Lab, file: Path) -> subprocess.Popen[bytes]:
    """Start `provision data push` on the controller."""
    hosts = engines.inventory(lab, engines.ssh_servers(lab))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(lab.work / "state")}
    words = ["data", "push", str(file), "--to", "all", "-i", str(hosts), "--into", str(lab.place), "--json"]
    with (lab.work / "push.json").open("wb") as answer:
        return lab.start(
            SOURCE, sys.executable, "-m", "neuraltalk_provision", *words, env=environment, cwd=lab.work, stdout=answer,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def middle(lab: Lab) -> int:
    """The host that is lost: not the first and not the last one."""
    return lab.count // 2 + 1


def push_and_lose(lab: Lab, file: Path, seconds: float, how: str) -> float:
    """Lose one host when half of the file has arrived there; the seconds until all other hosts have the file."""
    began = time.monotonic()
    process = start(lab, file)
    lost, half = middle(lab), file.stat().st_size // 2
    limit = began + seconds
    while time.monotonic() < limit and not any(part.stat().st_size >= half for part in lab.own(lost).glob(".*.part")):
        time.sleep(0.05)
    if how == CUT:
        lab.cut(lost)
    else:
        kill_program(lost)
    others = [lab.own(one) / file.name for one in engines.hosts(lab) if one != lost]
    while time.monotonic() < limit and not all(other.exists() for other in others):
        time.sleep(0.05)
    took = time.monotonic() - began
    links.wait([process], seconds)
    lab.mend(lost)
    return took


def kill_program(number: int) -> None:
    """Kill the programs of a host that listen on the port of a push."""
    words = ["ip", "netns", "exec", links.name(number), "ss", "-Hltnp", f"sport = :{pieces.PORT}"]
    for line in subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines():
        for word in line.split("pid=")[1:]:
            links.run("kill", "-9", word.split(",")[0])


def measured(lab: Lab, file: Path, what: str, seconds: float) -> tuple[float, str]:
    """(seconds, what was wrong) of one engine."""
    began = time.monotonic()
    left_out: list[int] = []
    is_well = True
    if what in (CUT, KILLED):
        took, left_out = push_and_lose(lab, file, seconds, what), [middle(lab)]
    else:
        is_well = {OURS: push, **engines.ENGINES}[what](lab, file, seconds)
        took = time.monotonic() - began
    whole = time.monotonic() - began
    bad = engines.wrong(lab, file, left_out)
    words = [f"{len(bad)} hosts do not have the file"] * bool(bad) + ["it failed"] * (not is_well and not bad)
    if what == OURS and not bad:
        words.append(f"the transfer alone {json.loads((lab.work / 'push.json').read_text())['seconds']:.1f} s")
    words += [f"the command ended after {whole:.1f} s"] * (whole > took + 1)
    return took, "; ".join(words)


def main() -> int:
    """Measure every engine with every number of hosts, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distribution", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 4, 10])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--megabits", type=int, default=200, help="the speed of each link, in Mbit/s")
    parser.add_argument("--seconds", type=float, default=280, help="the longest time of one engine")
    parser.add_argument("--engines", nargs="+", default=[OURS, CUT, KILLED, *engines.ENGINES])
    parser.add_argument("--work", type=Path, help="the directory for all files (default: a temporary one)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(143))  # so that timeout(1) leaves no host behind
    best = arguments.megabytes * 8 / arguments.megabits
    folder = Path(tempfile.mkdtemp(dir=arguments.work))
    try:
        file = folder / "payload"
        with file.open("wb") as opened:
            for _ in range(arguments.megabytes):
                opened.write(os.urandom(1_000_000))
        print(f"{arguments.megabytes} MB, {arguments.megabits} Mbit/s: at best {best:.1f} s", flush=True)
        for count in arguments.hosts:
            with links.lab(folder, count, arguments.megabits) as lab:
                for what in arguments.engines:
                    if what in (CUT, KILLED) and count < 3:
                        continue
                    seconds, wrong = measured(lab, file, what, arguments.seconds)
                    print(f"{count:>3} hosts  {what:<40} {seconds:7.1f} s {seconds / best:6.2f}  {wrong}", flush=True)
                    lab.clear()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
