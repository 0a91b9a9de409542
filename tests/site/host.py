"""A host of a lab, read and changed through the Docker engine, not by the code under test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.lab import engine
from tests.lab.errors import LabError

ROOT = "/opt/neuraltalk"
COUNTER = "/usr/local/bin/counting-python"
_COUNTED = "/var/tmp/counted"
_CUT = "-- cut here --"


@dataclass(frozen=True)
class Snapshot:
    """What a command without changes must not change: the stack, the OS packages and the users' profiles.

    `files` is {path: kind, permissions, size, time of change, target}.
    """

    files: Mapping[str, str]
    packages: frozenset[str]
    profiles: str

    def differences(self, other: Snapshot) -> list[str]:
        """The paths and packages that differ; empty if nothing does."""
        paths = sorted(self.files.keys() | other.files.keys())
        changed = [path for path in paths if self.files.get(path) != other.files.get(path)]
        packages = sorted(self.packages ^ other.packages)
        profiles = ["profiles"] if self.profiles != other.profiles else []
        return [*changed, *packages, *profiles]


@dataclass(frozen=True)
class Host:
    """One host, a container."""

    name: str

    def run(self, script: str) -> str:
        """Run a shell script as root on the host; its output."""
        return engine.docker("exec", self.name, "bash", "-euc", script)

    def has(self, path: str) -> bool:
        """Whether the path exists; it may be a glob pattern."""
        return self.run(f"compgen -G {path!r} || true") != ""

    def snapshot(self) -> Snapshot:
        """The current state."""
        listed = f"test ! -e {ROOT} || find {ROOT} -printf '%p\\t%y %m %s %C@ %l\\n'"
        packages = "dpkg-query -W -f '${Package} ${Version} ${Status}\\n'"
        profiles = "cd / && sha256sum {root,home/*}/.{bashrc,profile} etc/profile etc/profile.d/* 2>&1 || true"
        parts = self.run(f"{listed}; echo {_CUT}; {packages}; echo {_CUT}; {profiles}").split(f"{_CUT}\n")
        files = dict(line.split("\t", 1) for line in parts[0].splitlines())
        return Snapshot(files, frozenset(parts[1].splitlines()), parts[2])

    @property
    def current(self) -> str:
        """The id of the current generation; empty if there is none."""
        return self.run(f"readlink {ROOT}/current || true").strip().removeprefix("generations/")

    @property
    def generations(self) -> set[str]:
        """The ids of all generations, complete or not."""
        return set(self.run(f"ls {ROOT}/generations || true").split())

    def times(self, generation: str) -> dict[str, str]:
        """{component: time of its stamp}."""
        lines = self.run(f"cd {ROOT}/generations/{generation}/stamps && stat -c '%n %y' *.json").splitlines()
        return {name.removesuffix(".json"): when for name, _, when in (line.partition(" ") for line in lines)}

    def wait_for(self, what: str, script: str, patience: float = 300) -> None:
        """Wait until the script succeeds."""
        until(f"{what} on {self.name}", lambda: self._works(script), patience)

    def _works(self, script: str) -> bool:
        try:
            self.run(script)
        except LabError:
            return False
        return True

    def install_empty(self, package: str) -> None:
        """Install an empty OS package: the package manager reports it as installed, but its files are missing."""
        control = (
            f"Package: {package}\\nVersion: 9\\nArchitecture: all\\nMaintainer: none <x@invalid>\\nDescription: none"
        )
        make = f"mkdir -p /tmp/e/DEBIAN; printf '{control}\\n' >/tmp/e/DEBIAN/control; dpkg-deb -b /tmp/e /tmp/e.deb"
        self.run(f"{make}; dpkg -i /tmp/e.deb; rm -r /tmp/e /tmp/e.deb")

    def count_modules(self) -> str:
        """Start to count how often Ansible runs Python. Returns the interpreter for the inventory."""
        script = f'#!/bin/sh\\necho one >>{_COUNTED}\\nexec /usr/bin/python3 "$@"\\n'
        self.run(f"rm -f {_COUNTED}; touch {_COUNTED}; chmod 0666 {_COUNTED}; printf '{script}' >{COUNTER}")
        self.run(f"chmod 0755 {COUNTER}")
        return COUNTER

    @property
    def modules(self) -> int:
        """How many modules Ansible has run since `count_modules`."""
        return len(self.run(f"cat {_COUNTED}").splitlines())


def until(what: str, true: Callable[[], bool], patience: float) -> None:
    """Wait until the condition is true; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {patience:.0f} s"
        time.sleep(0.2)


def await_model(host: str, run_id: str) -> None:
    """Wait until a run has begun to write a model, and a second more, in which it ends to write that."""
    file = f"{ROOT}/runs/{run_id}/checkpoint/model_id{run_id}.t7"
    Host(host).wait_for(f"a model of {run_id}", f"test -s {file}")
    time.sleep(1)
