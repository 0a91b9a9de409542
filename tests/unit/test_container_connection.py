"""The connection plugin `container`: commands and files by the engine's client, here a program that runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ansible

pytestmark = pytest.mark.slow

ENGINE = """#!/bin/bash
# A client that runs commands on this machine: ENGINE exec --interactive CONTAINER COMMAND...
echo "$@" >>"$(dirname "$0")/calls"
[ "$1 $2 $3" = "exec --interactive my container" ] || { echo "Error: no such container: $3" >&2; exit 1; }
shift 3
exec "$@"
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    engine = tmp_path / "the engine"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    variables = {
        "ansible_connection": "neuraltalk.provision.container",
        "ansible_host": "my container",
        "ansible_container_engine": str(engine),
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_remote_tmp": str(tmp_path / "remote"),
    }
    file = tmp_path / "hosts.json"
    file.write_text(json.dumps({"all": {"hosts": {"box": variables}}}))
    return file


def run(inventory: Path, module: str, arguments: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible", "box", "-i", str(inventory), "-m", module, "-a", arguments, *more],
        env={**ansible.environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_module_runs_in_the_container(inventory: Path) -> None:
    done = run(inventory, "ansible.builtin.command", "echo 'it is' here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is here" in done.stdout


def test_file_is_copied_into_the_container_and_fetched_from_it(inventory: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1_000
    (tmp_path / "a 'file'").write_bytes(content)
    target, back = tmp_path / "a target's file", tmp_path / "back"
    for module, given in (
        ("copy", {"src": str(tmp_path / "a 'file'"), "dest": str(target)}),
        ("fetch", {"src": str(target), "dest": str(back), "flat": True}),
    ):
        done = run(inventory, f"ansible.builtin.{module}", json.dumps(given))
        assert done.returncode == 0, done.stdout + done.stderr
    assert back.read_bytes() == content


def test_file_that_cannot_be_written_is_told(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    given = json.dumps({"src": str(tmp_path / "file"), "dest": str(tmp_path / "target")})
    (tmp_path / "remote").write_text("a file where a directory is needed")
    done = run(inventory, "ansible.builtin.copy", given)
    assert done.returncode != 0
    assert not (tmp_path / "target").exists()


def test_engine_that_is_not_installed_makes_the_host_unreachable(inventory: Path) -> None:
    done = run(inventory, "ansible.builtin.command", "true", "-e", "ansible_container_engine=/nonexistent/docker")
    assert "UNREACHABLE" in done.stdout
    assert "/nonexistent/docker cannot be started: No such file or directory" in done.stdout
