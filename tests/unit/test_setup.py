"""`tests/setup.sh` on a machine that lacks things: what it installs, and what it says where it may not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """case "$*" in
*ensurepip*) [ -e "$0.venv" ] ;;
*"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/pip" ;;
esac"""
"""A Python whose venv module is a package of its own."""
APT = """echo "$@" >>"$0.log"
[ "$1" != install ] || { cp "$0" "${0%/*}/gcc"; cp "$0" "${0%/*}/luajit"; : >"${0%/*}/python.venv"; }"""
"""An apt-get that brings a gcc and a luajit which take everything."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with a Python without venv, and nothing else: its programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("mkdir", "rm", "touch", "cp"):
        (programs / name).symlink_to(f"/bin/{name}")
    program(programs, "python", PYTHON)
    program(programs, "id", "echo 1000")
    return programs


def program(place: Path, name: str, body: str) -> None:
    (place / name).write_text(f"#!/bin/bash\n{body}\n")
    (place / name).chmod(0o755)


def setup(machine: Path, python: str = "python") -> subprocess.CompletedProcess[str]:
    words = ["/bin/bash", str(ROOT / "tests" / "setup.sh"), str(machine / python), "venv", "ansible-core>=2.19"]
    env = {"PATH": str(machine)}
    return subprocess.run(words, cwd=machine.parent, env=env, capture_output=True, text=True, check=False)


def test_plain_user_is_told_the_command_that_root_has_to_run(machine: Path) -> None:
    program(machine, "apt-get", APT)
    done = setup(machine)
    assert done.returncode == 2
    command = "apt-get install -y --no-install-recommends python3-venv gcc libc6-dev g++ luajit"
    assert f"As root: {command}" in done.stderr
    assert not (machine / "apt-get.log").exists()
    assert not (machine.parent / "venv").exists()


def test_python_beside_the_one_of_the_release_gets_the_venv_of_its_own_package(machine: Path) -> None:
    """As on Ubuntu 22.04: its python3-venv is that of Python 3.10."""
    program(machine, "python3.11", PYTHON)
    assert "install -y --no-install-recommends python3.11-venv gcc" in setup(machine, "python3.11").stderr


def test_python_that_is_too_old_is_told_with_where_a_newer_one_is(machine: Path) -> None:
    program(machine, "python", "exit 1")
    assert "python3.11 and python3.11-venv (Ubuntu 22.04)" in setup(machine).stderr


def test_root_gets_all_of_it_at_once_and_a_second_run_installs_nothing(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", APT)
    for _ in range(2):
        done = setup(machine)
        assert done.returncode == 0, done.stderr
        assert (machine.parent / "venv" / "ready").exists()
    asked = (machine / "apt-get.log").read_text().splitlines()
    installed = "install -y --no-install-recommends python3-venv gcc libc6-dev g++ luajit"
    assert asked == ["-q update", installed]


def test_machine_without_apt_get_is_told_what_to_install(machine: Path) -> None:
    program(machine, "id", "echo 0")
    done = setup(machine)
    assert done.returncode == 2
    assert "has no apt-get" in done.stderr
    assert "python3-venv gcc libc6-dev g++ luajit" in done.stderr


def test_what_does_not_help_is_no_success(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "exit 0")
    done = setup(machine)
    assert done.returncode == 2
    assert "still does not work" in done.stderr
    assert not (machine.parent / "venv").exists()


def test_old_python_is_refused_first(machine: Path) -> None:
    program(machine, "python", "exit 1")
    done = setup(machine)
    assert done.returncode == 2
    assert "older than Python 3.11: name a newer one with make PYTHON=" in done.stderr
