"""The role `artifact` under plain ansible-playbook: each file is verified on the host, copied or downloaded."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ansible
from tests.unit.archives import pack

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: neuraltalk.provision.artifact, tasks_from: source}
"""


class Mirror:
    """A mirror with one archive, the SHA-256 of its lock, and a host that gets the archive."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.served = folder, url, folder / "mirror" / "nn.tgz"
        pack(self.served, {"nn/init.lua": "return 'good'\n"})
        self.digest = hashlib.sha256(self.served.read_bytes()).hexdigest()
        self.size = self.served.stat().st_size
        self.path = folder / "stack" / "artifacts" / f"{self.digest[:16]}-nn.tgz"
        self.source = folder / "stack" / "build" / "nn"

    def replace(self, file: Path) -> str:
        """Write another archive to that path; its SHA-256."""
        pack(file, {"nn/init.lua": "return 'evil'\n"})
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def play(self) -> str:
        """Run the role on this machine; the output of Ansible."""
        (self.folder / "play.yml").write_text(PLAY, encoding="utf-8")
        variables: dict[str, Any] = {
            "artifact_file": {"name": "nn", "file": "nn.tgz", "sha256": self.digest, "size": self.size},
            "artifact_mirror": str(self.served.parent),
            "artifact_directory": str(self.path.parent),
            "artifact_url": self.url,
            "artifact_source": str(self.source),
            "ansible_python_interpreter": sys.executable,
            "ansible_connection": "local",
        }
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", json.dumps(variables),
             str(self.folder / "play.yml")],
            env=ansible.environment(),
            capture_output=True, text=True, check=False, umask=0o077,
        )  # fmt: skip
        return done.stdout + done.stderr


@pytest.fixture(params=["copied", "downloaded"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mirror]:
    """The mirror, whose files the controller copies or the host downloads."""
    (tmp_path / "mirror").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield Mirror(tmp_path, f"http://127.0.0.1:{server.server_port}" if request.param == "downloaded" else "")
        finally:
            server.shutdown()


def test_archive_replaced_after_the_lock_was_read_is_refused_on_the_host(mirror: Mirror) -> None:
    evil = mirror.replace(mirror.served)
    output = mirror.play()
    assert all(text in output for text in ("artifact nn", "nn.tgz", str(mirror.path), evil, mirror.digest)), output
    assert not mirror.path.exists()
    assert not mirror.source.exists()


def test_wrong_file_on_the_host_is_replaced_and_the_result_is_readable_by_all_users(mirror: Mirror) -> None:
    mirror.replace(mirror.path)
    output = mirror.play()
    assert "failed=0" in output, output
    assert hashlib.sha256(mirror.path.read_bytes()).hexdigest() == mirror.digest
    assert (mirror.source / "init.lua").read_text() == "return 'good'\n"
    stack = mirror.path.parents[1]
    unreadable = [str(path) for path in (stack, *stack.rglob("*")) if not path.stat().st_mode & 0o004]
    assert unreadable == []
