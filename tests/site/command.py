"""`provision` as a user calls it: another process, in a working directory with a provision.yml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LONG = 900
"""Time limit of a command, in seconds, also on a busy machine."""
GROUPS = ("mirror", "cudnn", "cache", "runs", "data")
"""Commands whose verb is their second word."""
SPENT: dict[str, list[float]] = {}
"""The seconds of each command that ended, by its verb."""


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    line: str
    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        """Its standard output and error output."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        """The document that --json printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def ended_with(self, code: int) -> Done:
        """Check the exit code, and that no traceback was printed. Returns self."""
        assert self.code == code, f"{self.line} ended with {self.code}, not {code}:\n{self.output}"
        assert "Traceback" not in self.output, f"{self.line} printed a traceback:\n{self.output}"
        return self

    def says(self, *texts: str) -> Done:
        """Check that it printed all these texts. Returns self."""
        for text in texts:
            assert text in self.output, f"{self.line} did not print {text!r}:\n{self.output}"
        return self


@dataclass(frozen=True)
class Directory:
    """A working directory with settings."""

    path: Path

    def configure(self, **settings: Any) -> Directory:
        """Write provision.yml, without the cache unless it is given: tests want a build on each host. Returns self."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "provision.yml").write_text(yaml.safe_dump({"cache": False, **settings}), encoding="utf-8")
        return self

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment, with the logs of commands in this directory."""
        return {**os.environ, "XDG_STATE_HOME": str(self.path / "state")}

    def line(self, *arguments: str) -> list[str]:
        """The command line of `provision ARGUMENTS`."""
        return [sys.executable, "-m", "neuraltalk_provision", *arguments]

    def provision(self, *arguments: str) -> Done:
        """Run a command and wait for its end."""
        started = time.monotonic()
        done = subprocess.run(
            self.line(*arguments),
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        verb = " ".join(arguments[: 2 if arguments[0] in GROUPS else 1])
        SPENT.setdefault(verb, []).append(time.monotonic() - started)
        return Done("provision " + " ".join(arguments), done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command without waiting. Its output and error output come through one pipe."""
        return subprocess.Popen(
            self.line(*arguments),
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def end(line: str, running: subprocess.Popen[str]) -> Done:
    """Wait for the end of a command that `start` started; its result."""
    out, _ = running.communicate(timeout=LONG)
    return Done(line, running.returncode, out, "")
