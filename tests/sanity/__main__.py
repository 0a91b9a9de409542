"""`python -m tests.sanity [TEST...]`: run `ansible-test sanity` on the built collection, without containers.

ansible-test makes a virtual environment for each of its tests. They are kept in .cache/sanity, so only the first run
needs an index of Python packages.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ansible
import ansible_test

from tests.lab import collection
from tests.lab.collection import BIN
from tests.lab.paths import ROOT
from tests.sanity.findings import LEFT_OUT, ignore_lines

HOME = ROOT / ".cache" / "sanity"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BOOTSTRAP = "import ensurepip\n\nensurepip.bootstrap()\n"
"""Replaces the script that ansible-test would download to install pip; Python includes pip."""


def build(folder: Path) -> Path:
    """Build the collection below a directory as ansible-test needs it, with the list of ignored findings."""
    target = folder / "ansible_collections" / "neuraltalk" / "provision"
    target.mkdir(parents=True)
    with tarfile.open(collection.build(folder)) as tar:
        tar.extractall(target, filter="data")
    ignore = target / "tests" / "sanity" / f"ignore-{'.'.join(ansible.__version__.split('.')[:2])}.txt"
    ignore.parent.mkdir(parents=True)
    ignore.write_text("".join(f"{line}\n" for line in ignore_lines(target, PYTHON)), encoding="utf-8")
    return target


def prepare_home() -> None:
    """Make a home directory with pip for the environments of ansible-test, and with the configuration of pip.

    ansible-test passes on neither PIP_ variables nor the configuration of another home directory.
    """
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text(encoding="utf-8")
    for version in re.findall(r"pip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(BOOTSTRAP, encoding="utf-8")
    listing = run(sys.executable, "-m", "pip", "config", "list", cwd=ROOT)
    file = HOME / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # the URL of an index can contain a password
    file.write_text("".join(pip_configuration(listing)), encoding="utf-8")


def pip_configuration(listing: str) -> Iterator[str]:
    """The lines of a pip.conf, from the output of `pip config list`."""
    yield "[global]\n"
    values: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        values[name.rpartition(".")[2]] = ast.literal_eval(value)
    for name, value in sorted(values.items()):
        yield f"{name} = {' '.join(value.split())}\n"


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command; its output. Exits with the output if the command fails."""
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))} failed with {done.returncode}")
    return done.stdout


def main(tests: Sequence[str]) -> int:
    """Run the given tests, or all except those in LEFT_OUT."""
    prepare_home()
    chosen = [f"--test={test}" for test in tests] or [f"--skip-test={test}" for test in LEFT_OUT]
    command: list[str | Path] = [BIN / "ansible-test", "sanity", "--python", PYTHON, *chosen]
    # Not below the checkout, because in a git work tree ansible-test only reads tracked files.
    with tempfile.TemporaryDirectory() as folder:
        output = run(*command, cwd=build(Path(folder)), environment={**os.environ, "HOME": str(HOME)})
    names = re.findall(r'Running sanity test "([\w-]+)"', output)
    if not names:
        sys.exit(f"{output}\nansible-test ran no test")
    print(f"ansible-test sanity: {len(names)} tests passed: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
