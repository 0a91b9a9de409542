"""A bare machine without a network becomes a controller by the mirror alone; the index and the wheels are real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import engine, images

NAME = "lab-controller-setup"
ARTIFACTS = ("provision-wheels", "install-provision")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[str]:
    """A container that has nothing but Python, a user without rights, and the mirror at /mirror; no network."""
    pull = [sys.executable, "-m", "neuraltalk_provision", "mirror", "pull", "--for", "debian-12-x86_64"]
    only = [word for name in ARTIFACTS for word in ("--only", name)]
    subprocess.run([*pull, *only, "--mirror", str(tmp_path / "mirror")], check=True, timeout=600)
    tag = images.ensure("controller")
    engine.docker("rm", "--force", "--volumes", NAME)
    volume = f"{tmp_path / 'mirror'}:/mirror:ro"
    person = ("--user", "plain", "--workdir", "/home/plain", "--entrypoint", "sleep")
    engine.docker("run", "--detach", "--name", NAME, "--network", "none", "--volume", volume, *person, tag, "3600")
    yield NAME
    engine.docker("rm", "--force", "--volumes", NAME)


def test_controller_is_set_up_without_a_network(machine: str) -> None:
    def call(*command: str) -> str:
        return engine.docker("exec", machine, *command, timeout=900)

    interfaces = call("python3", "-c", "import socket; print([name for _, name in socket.if_nameindex()])")
    assert interfaces.strip() == "['lo']"
    installed = call("sh", "/mirror/install-provision.sh", "a controller")
    assert "provision is installed in /home/plain/a controller" in installed
    assert "2 files" in call("a controller/bin/provision", "mirror", "verify", "--mirror", "/mirror")
    assert "already installed" in call("sh", "/mirror/install-provision.sh", "a controller")
    assert call("a controller/bin/ansible-playbook", "--version").startswith("ansible-playbook [core 2.")
    assert call("sh", "-c", "ls -A /tmp; ls").split("\n") == ["a controller", ""]
