"""The collection as its users get it: built, and installed without the network into an empty environment."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.lab.paths import ROOT

BIN = Path(sys.executable).parent
NO_NETWORK = ("unshare", "--map-root-user", "--net")


def build(folder: Path) -> Path:
    """The archive of the collection, in `folder`."""
    _run(BIN / "ansible-galaxy", "collection", "build", "--output-path", folder, cwd=ROOT)
    (archive,) = folder.glob("neuraltalk-provision-*.tar.gz")
    return archive


def install(archive: Path, home: Path) -> dict[str, str]:
    """Install it below a new home. Returns an environment in which Ansible finds it and nothing of the checkout."""
    home.mkdir(parents=True)
    environment = {
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "0",
    }
    _run(*without_network(), "ansible-galaxy", "collection", "install", "--offline", archive, cwd=home, env=environment)
    return environment


def installed(home: Path) -> Path:
    """The directory into which `install` puts it."""
    return home / ".ansible" / "collections" / "ansible_collections" / "neuraltalk" / "provision"


@functools.cache
def without_network() -> tuple[str, ...]:
    """The prefix of a command that runs it without the network; empty if this machine does not allow that."""
    done = subprocess.run([*NO_NETWORK, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return NO_NETWORK if done.returncode == 0 else ()


def _run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
