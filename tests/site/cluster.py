"""What tests of a cluster do to its hosts. They use the Docker engine, not the code under test."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.lab import engine, hosts
from tests.lab.errors import LabError

SMI = Path(__file__).resolve().parents[1] / "standin" / "nvidia_smi"


def copy_stack(source: str, target: str, root: str) -> None:
    """Copy the stack root of a host to another host, with links, owners and times, but without its runs and account.

    The uid and gid of the account mean nothing on another host.
    """
    skipped = [f"--exclude=./{name}" for name in ("runs", "queue", "account.json")]
    pack = ["docker", "exec", source, "tar", "--create", "--directory", root, *skipped, "."]
    unpack = ["docker", "exec", "--interactive", target, "tar", "--extract", "--directory", root]
    engine.docker("exec", target, "mkdir", "--parents", root)
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        subprocess.run(unpack, stdin=packing.stdout, check=True, timeout=300)
    assert packing.returncode == 0


def power_cut(host: str) -> None:
    """Kill a host and start it again, as in a power cut. Returns when it has booted."""
    engine.docker("kill", "--signal", "KILL", host)
    engine.docker("start", host)
    hosts.reach(host, "/usr/bin/python3")
    await_boot(host)


def await_boot(host: str, patience: float = 180) -> None:
    """Wait until systemd has started all its units. Raises LabError with the failed units after `patience` seconds."""
    deadline = time.monotonic() + patience
    while (state := engine.docker("exec", host, "sh", "-c", "systemctl is-system-running || true").strip()) not in (
        "running",
        "degraded",
    ):
        if time.monotonic() > deadline:
            failed = engine.docker("exec", host, "systemctl", "--failed", "--no-legend")
            raise LabError(f"{host} does not come up: {state}\n{failed}")
        time.sleep(0.2)


def add_cards(host: str) -> None:
    """Give a host two stand-in cards: an nvidia-smi that shows which run uses which card."""
    engine.docker("cp", str(SMI / "nvidia-smi"), f"{host}:/usr/local/bin/nvidia-smi")
    engine.docker("cp", f"{SMI / 'live'}/.", f"{host}:/etc/standin-nvidia-smi")
    engine.docker("exec", host, "chmod", "755", "/usr/local/bin/nvidia-smi")
