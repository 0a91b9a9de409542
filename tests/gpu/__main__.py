"""`python3 -m tests.gpu --tree FILE`: the built tree on this machine's card, within ten minutes.

Torch's own suites of cutorch and cunn, neuraltalk2's test of its language model with the CUDA part, then real
trainings and captions by train.lua and eval.lua with -backend nn, on the card and on the processor from the same
seed and weights, with nvidia-smi's record; and a base training with its finetuning, under the supervisor of hosts.
Standard library only: nothing has to be installed here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.gpu import machine, programs, report, suites, supervised
from tests.gpu.bench import Bench, prepare

ROOT = Path(__file__).resolve().parents[2]


def start(bench: Bench, pool: ThreadPoolExecutor, name: str) -> list[Future[suites.Suite]]:
    """The parts of a suite, running."""
    load, run, count = suites.SUITES[name]
    return [pool.submit(part, bench, name, load, run, number, count) for number in range(1, count + 1)]


def part(bench: Bench, name: str, load: str, run: str, number: int, count: int) -> suites.Suite:
    """One part of a suite, in as many processes as it needs."""
    title = f"{name} part {number}"
    processes = itertools.count(1)

    def process(program: str) -> tuple[int, str, float]:
        one = f"{title} process {next(processes)}"
        code, text = bench.run(one, "luajit", "-e", program, threads=1)
        return code, text, bench.seconds[one]

    return suites.run_part(title, lambda done: suites.program(load, run, number, count, done), process)


def main() -> int:
    """Run it all; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.gpu", description=__doc__)
    parser.add_argument(
        "--tree", type=Path, default=ROOT / ".cache" / "gpu" / "tree.tar.xz", help="what make gpu-tree packed"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "gpu" / "report", help="gets the report and logs")
    parser.add_argument("--limit", type=float, default=540, help="seconds after which what still runs is ended")
    parser.add_argument("--libraries", default="", help="more folders with CUDA libraries, with colons")
    options = parser.parse_args()
    if not options.tree.is_file():
        sys.exit(f"{options.tree} is not there: `make gpu-tree MIRROR=DIR` builds it, on a machine with Docker")
    try:
        card = machine.card()
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        sys.exit(f"nvidia-smi does not list a card on this machine: {error}")
    print(f"card: {card}", flush=True)
    bench = prepare(options.tree, options.out.resolve(), options.limit, options.libraries, card["uuid"])
    print(f"tree: {bench.generation}; CUDA libraries: {', '.join(bench.folders)}", flush=True)
    with ThreadPoolExecutor(sum(count for _load, _run, count in suites.SUITES.values())) as pool:
        running = {name: start(bench, pool, name) for name in suites.SUITES}
        results = programs.run_all(bench)
        divided = [suites.side_by_side(name, [part.result() for part in parts]) for name, parts in running.items()]
        done = [results.pop("language"), *divided]
    result: dict[str, Any] = {
        "card": card,
        "facts": supervised.facts(),
        "suites": [{**asdict(suite), "green": suite.green, "words": suite.words()} for suite in done],
        **results,
        "seconds": {name: round(seconds, 1) for name, seconds in bench.seconds.items()},
    }
    result["problems"] = report.problems(result)
    (bench.work / "report.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    report.write(result)
    print(f"the whole report and every log: {bench.work}")
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
