"""Runs other programs for the lab."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.lab.errors import LabError


def run(
    *args: str,
    hint: str = "run it by hand to see more",
    timeout: float | None = None,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    merged: bool = False,
) -> str:
    """Run a program; its output, and with `merged` its error output. LabError with the last lines if it fails."""
    line = shlex.join(args)
    shown = line if len(line) < 400 else line[:400] + " ..."
    try:
        done = subprocess.run(
            args,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{args[0]} is not installed; install it, then try again") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"not ended after {timeout:g} s: {shown}\nwhat to do: {hint}") from error
    if done.returncode:
        output = "\n".join(((done.stderr or "").strip() or done.stdout.strip()).splitlines()[-15:])
        raise LabError(f"exit code {done.returncode}: {shown}\n{output}\nwhat to do: {hint}")
    return done.stdout


def works(*args: str, timeout: float = 20) -> bool:
    """Whether the program ran and succeeded."""
    try:
        run(*args, timeout=timeout)
    except LabError:
        return False
    return True


def need(program: str, package: str) -> None:
    """Install a program with apt if it is missing. Raises LabError if that needs root or failed."""
    if shutil.which(program):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise LabError(f"{program} is not installed and only root can install it: apt-get install {package}")
    # Another part of the test suite can be installing something at this moment.
    install = ("apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", package)
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(*install, env=env)
    except LabError:
        # apt's package lists may be old or missing. A list that cannot be updated may not be needed, so continue.
        works("apt-get", "update", timeout=300)
        run(*install, env=env, hint=f"install {package} by hand")
