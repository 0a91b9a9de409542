"""Calls the Docker engine, and starts it if nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.lab import paths, shell
from tests.lab.errors import LabError

_daemons: list[subprocess.Popen[bytes]] = []
"""The engines that this process started. They outlive it; without the reference Python would print a warning."""


def docker(*args: str, timeout: float | None = 600, stdin: str | None = None) -> str:
    """The output of `docker ARGS`."""
    return shell.run("docker", *args, timeout=timeout, stdin=stdin)


def logs(container: str, *options: str) -> str:
    """The standard output and error output of the container's program."""
    return shell.run("docker", "logs", *options, container, merged=True)


def build(tag: str, folder: Path, recipe: str, **arguments: str) -> None:
    """Build an image from a recipe in the directory. Its RUN lines use this machine's network and resolver."""
    # The client uses the old builder only if DOCKER_BUILDKIT is 0, and BuildKit needs the buildx plug-in.
    buildx = shell.works("docker", "buildx", "version")
    env = {} if buildx else {"DOCKER_BUILDKIT": "0"}
    tidy = () if buildx else ("--force-rm",)
    named = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    file = ("--file", str(folder / recipe))
    command = ("docker", "build", "--network", "host", "--tag", tag, *tidy, *file, *named, str(folder))
    shell.run(*command, env=env, timeout=1800, merged=True)


def answers() -> bool:
    """Whether an engine answers (a client alone proves nothing)."""
    return shutil.which("docker") is not None and shell.works("docker", "info")


def ensure() -> None:
    """Use a running engine, or start one as root, which outlives this process. Raises LabError if there is none."""
    if answers():
        return
    with paths.locked("engine"):
        if answers():
            return
        if os.geteuid():
            raise LabError(
                "no Docker engine answers and only root may start one: start it (systemctl start docker), "
                "join the group docker, or set DOCKER_HOST"
            )
        shell.need("dockerd", "docker.io")
        shell.need("docker", "docker-cli")
        if not answers():  # the package's own service may have started it
            start()


def start() -> None:
    """Start dockerd detached from this process and wait until it answers."""
    log = paths.cache() / "dockerd.log"
    with log.open("a", encoding="utf-8") as sink:
        daemon = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd="/", start_new_session=True
        )
    _daemons.append(daemon)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if answers():
            return
        if daemon.poll() is not None:
            raise LabError(f"dockerd ended with exit code {daemon.returncode}: read {log}")
        time.sleep(0.3)
    raise LabError(f"dockerd did not answer within 60 s: read {log}")
