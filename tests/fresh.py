"""`python -m tests.fresh [MACHINE...]`: the commands of the README on machines on which nothing was installed before.

Each machine is a bare container of a release of Debian or Ubuntu with what the README asks for. It gets a clone of the
last commit and runs the commands as root. No Docker can be started in it, so the demo uses the machine itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import engine, images, paths, shell
from tests.lab.errors import LabError

LOGS = paths.ROOT / ".cache" / "fresh"
ASKED = ("git", "make", "python3", "ca-certificates")
"""The packages of what the README asks for. A container lacks also these."""
COMMANDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "demo": (("demo",), "Look around:"),
    "test": (("test", "ONLY=lint unit"), "all passed after"),
}
"""{command: (the words after make, what it prints at its end, if it succeeded)}."""
LIMIT = 3600
"""Seconds that a command may take."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Machine:
    """A release of Debian or Ubuntu by its code name, and the ansible-core of the controller; empty for the newest."""

    name: str
    release: str
    ansible: str = ""
    commands: tuple[str, ...] = tuple(COMMANDS)


MACHINES = (
    # Debian 11 and Ubuntu 22.04 are no controllers: their Pythons are 3.9 and 3.10.
    Machine("12", "bookworm"),
    Machine("13", "trixie"),
    Machine("testing", "forky"),
    Machine("ubuntu-24", "noble"),
    Machine("ubuntu-26", "resolute"),
    Machine("12-core-2.16", "bookworm", "ansible-core==2.16.*"),
    Machine("12-core-2.18", "bookworm", "ansible-core==2.18.*"),
    Machine("13-core-2.20", "trixie", "ansible-core==2.20.*"),
)


@dataclass(frozen=True)
class Result:
    """What a command did on a machine; `problem` is empty if it passed."""

    machine: str
    command: str
    seconds: float
    problem: str = ""

    @property
    def line(self) -> str:
        """The result in one line."""
        verdict = f"FAIL: {self.problem}" if self.problem else "ok"
        return f"{self.machine:<13} make {self.command:<6} {self.seconds:5.0f} s  {verdict}"


def settings() -> dict[str, str]:
    """The variables with which a machine uses pip's index and the proxies of this one."""
    names = [name for name in os.environ if name.startswith("PIP_") and name not in ("PIP_CERT", "PIP_FIND_LINKS")]
    names += [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "no_proxy")]
    own = {"PIP_CERT": f"/root/{CERTIFICATES.name}"} if CERTIFICATES.exists() else {}
    return {**{name: os.environ[name] for name in sorted(names)}, **own}


def start(machine: Machine, bundle: Path) -> str:
    """Start a bare machine with a clone of the project in /root/project; the name of its container."""
    container = f"fresh-{machine.name}"
    remove(container)
    given = [part for name, value in settings().items() for part in ("--env", f"{name}={value}")]
    image = images.ensure(machine.release)
    # This machine's network and resolver, as for building images.
    engine.docker("run", "--detach", "--name", container, "--network", "host", *given, image, "sleep", "infinity")
    for file in (CERTIFICATES, Path("/etc/pip.conf")):
        if file.exists():
            engine.docker(
                "cp", "--follow-link", str(file), f"{container}:{'/etc' if file.name == 'pip.conf' else '/root'}/"
            )
    engine.docker("cp", str(bundle), f"{container}:/root/project.bundle")
    install = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "
    engine.docker("exec", container, "sh", "-euc", install + " ".join(ASKED), timeout=LIMIT)
    engine.docker("exec", container, "git", "clone", "-q", "/root/project.bundle", "/root/project")
    return container


def remove(container: str) -> None:
    """Remove a machine, if it exists."""
    engine.docker("rm", "--force", "--volumes", container)


def run(machine: Machine, container: str, command: str) -> Result:
    """Run a command on a machine, with its output in a log."""
    words, end = COMMANDS[command]
    log = LOGS / f"{machine.name}-{command}.log"
    wanted = [f"ANSIBLE={machine.ansible}"] if machine.ansible else []
    line = ["docker", "exec", "--workdir", "/root/project", container, "make", *words, *wanted]
    started = time.monotonic()
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=LIMIT, check=False
            )
            problem = f"exit code {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            problem = f"not ended after {LIMIT} s"
    if not problem and end not in log.read_text(encoding="utf-8", errors="replace"):
        problem = f"it did not print {end!r}"
    return Result(machine.name, command, time.monotonic() - started, problem and f"{problem}; see {log}")


def on(machine: Machine, bundle: Path) -> list[Result]:
    """The results of a machine. After a command that failed, the next one is still run."""
    container = start(machine, bundle)
    try:
        return [run(machine, container, command) for command in machine.commands]
    finally:
        remove(container)


def make_bundle() -> Path:
    """The last commit as a file from which git clones."""
    LOGS.mkdir(parents=True, exist_ok=True)
    bundle = LOGS / "project.bundle"
    shell.run("git", "bundle", "create", "--quiet", str(bundle), "HEAD", cwd=paths.ROOT)
    return bundle


def main(argv: Sequence[str] | None = None) -> int:
    """Run the machines one after the other and print what each took. Exit code 1 if something failed."""
    named = {machine.name: machine for machine in MACHINES}
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description=__doc__)
    parser.add_argument("machine", nargs="*", help=f"any of {', '.join(named)}; default: all")
    chosen = parser.parse_args(argv).machine or list(named)
    if unknown := sorted(set(chosen) - set(named)):
        parser.error(f"there is no machine {', '.join(unknown)}; there are {', '.join(named)}")
    results = []
    try:
        engine.ensure()
        bundle = make_bundle()
        for name in chosen:
            for result in on(named[name], bundle):
                results.append(result)
                print(result.line, flush=True)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    failed = [result for result in results if result.problem]
    print(f"{len(results) - len(failed)} of {len(results)} commands passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
