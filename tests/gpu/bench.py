"""The packed tree on this machine, and how programs run in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.gpu import machine, suites, weights


@dataclass
class Bench:
    """The tree on this machine, and how programs run in it."""

    generation: Path
    work: Path
    folders: Sequence[str]
    deadline: float
    card: str
    """The UUID of the card: numbers of cards can differ between nvidia-smi and CUDA."""
    seconds: dict[str, float] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What programs find: the tree's own environment, CUDA's libraries and the tree's run-time libraries."""
        libraries = ":".join([*self.folders, str(self.generation / "lib-run")])
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "TERM": "dumb", "NEURALTALK_LIBRARY_PATH": libraries, "CUDA_VISIBLE_DEVICES": self.card}

    def run(self, name: str, *words: str, folder: Path | None = None, threads: int = 0) -> tuple[int, str]:
        """(exit code, output) of a program in the tree; TIME_OUT if the time was up. The output is kept as a file."""
        command = [str(self.generation / "bin" / "with-stack"), *words]
        started = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=folder or self.work,
            env={**self.environment(), **({"OMP_NUM_THREADS": str(threads)} if threads else {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                text = process.communicate(timeout=max(1.0, self.deadline - time.monotonic()))[0]
                code = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                text, code = process.communicate()[0], suites.TIME_OUT
        self.seconds[name] = time.monotonic() - started
        (self.work / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.log").write_text(text, encoding="utf-8")
        return code, text

    def suite(self, name: str, *words: str, folder: Path | None = None) -> suites.Suite:
        """A suite of torch's Tester."""
        text = self.run(name, *words, folder=folder)[1]
        return suites.read(name, text, self.seconds[name])


def prepare(tree: Path, out: Path, limit: float, libraries: str, card: str) -> Bench:
    """Unpack the tree, make the weights, and see that the libraries load."""
    started = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    (out / "vgg").mkdir(parents=True)
    generation = machine.unpack(tree)
    bench = Bench(generation, out, machine.library_folders(libraries), started + limit, card)
    for name in ("libTHC", "libTHCUNN"):
        for library in sorted((generation / "torch").rglob(f"{name}.so")):
            command = [str(generation / "bin" / "with-stack"), "ldd", str(library)]
            told = subprocess.run(command, env=bench.environment(), capture_output=True, text=True, check=False).stdout
            missing = re.findall(r"^\s*(\S+) => not found", told, re.M)
            if missing:
                sys.exit(
                    f"{library} needs {', '.join(missing)}; looked in {', '.join(bench.folders) or 'no folder'}.\n"
                    "Name the folder of this machine's CUDA libraries with --libraries, or build the tree for its CUDA."
                )
    weights.write(out / "vgg")
    bench.seconds["preparation"] = time.monotonic() - started
    return bench
