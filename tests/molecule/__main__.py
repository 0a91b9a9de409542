"""`python -m tests.molecule [SCENARIO...]`: run the scenarios for this version of ansible-core, two at a time."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.paths import link_collection
from tests.lab import ansible, hosts, paths

HERE = Path(__file__).resolve().parent
WORK = paths.ROOT / ".cache" / "molecule"
AT_ONCE = 2
TAIL = 60
OLD_PYTHON = "py27"
"""The scenario whose hosts only have Python 2.7, which no ansible-core after 2.16 supports."""
WITH_OLD = (OLD_PYTHON, "el9")
"""The scenarios for ansible-core 2.16."""
LONG = ("unknown_whole",)
"""The scenarios that only make test-long runs."""
LONGEST_FIRST = ("gpu_legacy", "cudnn", "el9", "py27", "roles", "generation")


@dataclass(frozen=True)
class Result:
    """The result of a scenario."""

    scenario: str
    passed: bool
    seconds: float
    log: Path


def known() -> list[str]:
    """All scenarios, the longest first, so that both workers end at about the same time."""
    found = sorted(file.parent.name for file in HERE.glob("*/molecule.yml"))
    return sorted(found, key=lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(found))


def is_old() -> bool:
    """Whether this ansible-core still supports hosts with Python 2.7."""
    major, minor = importlib.metadata.version("ansible-core").split(".")[:2]
    return (int(major), int(minor)) <= (2, 16)


def default_scenarios() -> list[str]:
    """The scenarios that are run by default."""
    return list(WITH_OLD) if is_old() else [name for name in known() if name not in (OLD_PYTHON, *LONG)]


def run(scenario: str) -> Result:
    """Run one scenario on new hosts, with its output in a log. Removes the hosts and prints the result."""
    log = WORK / "logs" / f"{scenario}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # Molecule's state of earlier hosts. The lab removes the hosts themselves when it starts.
    folder = WORK / "run" / scenario
    shutil.rmtree(folder, ignore_errors=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "MOLECULE_GLOB": "tests/molecule/*/molecule.yml",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
    }
    molecule = (sys.executable, "-m", "molecule", "-c", str(HERE / "base.yml"))
    command = [*molecule, "test", "--scenario-name", scenario, "--destroy", "never"]
    started = time.monotonic()
    try:
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                command,
                cwd=paths.ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
    finally:
        hosts.down(scenario.replace("_", "-"))
    result = Result(scenario, done.returncode == 0, time.monotonic() - started, log)
    report(result)
    return result


def report(result: Result) -> None:
    """Print one line; after a failure also the end of the log."""
    line = f"{'ok  ' if result.passed else 'FAIL'} {result.scenario:<12} {result.seconds:4.0f} s"
    if not result.passed:
        text = re.sub(r"\x1b\[[0-9;]*m", "", result.log.read_text(encoding="utf-8", errors="replace"))
        tail = "\n".join(f"    {line_of_log}" for line_of_log in text.splitlines()[-TAIL:])
        line += f"\n{tail}\n     the whole log of {result.scenario}: {result.log}"
    print(line, flush=True)


def main() -> int:
    """Run the given scenarios. Exit code 1 if any failed, 2 if one cannot be run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.molecule", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"any of {', '.join(known())}; default: all for this ansible-core")
    scenarios = parser.parse_args().scenario or default_scenarios()
    unknown = sorted(set(scenarios) - set(known()))
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(known())}")
    if OLD_PYTHON in scenarios and not is_old():
        parser.error(f"{OLD_PYTHON} needs ansible-core 2.16, and this one is newer")
    link_collection(ansible.COLLECTIONS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, scenarios))
    failed = [result for result in results if not result.passed]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
