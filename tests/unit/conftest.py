"""Ansible's modules for tests: found where Ansible would find them, run with arguments, read by their result."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit import contract, modules


def pytest_sessionstart(session: pytest.Session) -> None:
    """If all tests of this directory are run, the workers of xdist begin to import at different files.

    Otherwise, in a new checkout, each worker would compile every file, all of them the same file at the same time.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and all(Path(one).is_dir() for one in session.config.args):
        files = sorted(Path(__file__).parent.glob("test_*.py"))
        first = int(worker) * len(files) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        for file in files[first:] + files[:first]:
            # What goes wrong, such as a warning, is reported when the file is collected.
            with contextlib.suppress(Exception, pytest.skip.Exception), warnings.catch_warnings(action="error"):
                importlib.import_module(f"tests.unit.{file.stem}")


@pytest.fixture(autouse=True, scope="session")
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The controller's state directory of the tests: no test leaves a log in the home of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def waiting_writer(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A pipe, and a process that waits until somebody opens the pipe to read, and ends then."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waits = ["/bin/sh", "-c", 'echo; exec 3> "$1"', "sh", pipe]
    with subprocess.Popen(waits, stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdout.readline()
        yield pipe, writer
        writer.kill()


@pytest.fixture
def load() -> Callable[[str], ModuleType]:
    """Imports a module of plugins/modules or plugins/module_utils as it is on a host."""

    def load(name: str) -> ModuleType:
        package = "module_utils" if "." in name else "modules"
        return importlib.import_module(f"plugins.{package}.{name}")

    return load


@pytest.fixture
def run_module(load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs a module's main() with the arguments given; its result, or ModuleError."""

    def run_module(name: str, *, check: bool = False, **given: Any) -> dict[str, Any]:
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}
        capsys.readouterr()
        with modules.arguments({**plain, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            load(name).main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        if result.get("failed"):
            raise modules.ModuleError(result)
        modules.check_described(name, result)
        if not check:
            contract.check(name, plain, result)
        return result

    return run_module


# Python that answers as the stack's image.load does; it reads no picture in which "undecodable" stands.
IMAGE_LOAD = """
import os, sys
print("neuraltalk: ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    print("neuraltalk: begin", flush=True)
    with open(bytes.fromhex(line.strip()), "rb") as file:
        content = file.read()
    if b"slow" in content:
        import time
        time.sleep(60)
    print("neuraltalk: " + ("bad " + b"[read] broken".hex() if b"undecodable" in content else "ok"), flush=True)
"""


@pytest.fixture
def generation(tmp_path: Path) -> Path:
    """A generation at a path with a space and a quote, whose programs are small shell scripts.

    Its luajit loads every module but `broken` (which fails) and `silent` (which ends well without a word), and reads
    every picture but those in which `undecodable` stands.
    """
    path = tmp_path / 'the site\'s "own" stack' / "generations" / "0a1b2c3d4e5f6071"
    for folder in ("bin", "logs", "stamps", "neuraltalk2/model"):
        (path / folder).mkdir(parents=True)
    program(path, "with-stack", 'PATH="$(dirname "$0"):$PATH"; export PATH; exec "$@"')
    program(
        path,
        "luajit",
        """
        case "$2" in
            *image.load*) exec PYTHON "$(dirname "$0")/image_load" ;;
            *"require 'broken'"*) echo "module 'broken' not found" >&2; exit 1 ;;
            *"require 'silent'"*|*silence*) exit 0 ;;
            *tried*) printf '%s\\n' "$2" | sed -n "s/.*print('.n\\(tried program [0-9]*\\)').*/\\1/p" ;;
            *) printf '%s\\n' "$2" | sed "s/^local m = require '\\([^']*\\)'.*/loaded \\1 1.0/" ;;
        esac
        """.replace("PYTHON", sys.executable),
    )
    program(path, "image_load", IMAGE_LOAD)
    return path


def program(generation: Path, name: str, script: str) -> Path:
    """Write one of a generation's programs, a shell script."""
    file = generation / "bin" / name
    file.write_text("#!/bin/sh\n" + script, encoding="utf-8")
    file.chmod(0o755)
    return file
