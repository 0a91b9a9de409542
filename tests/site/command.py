"""`provision` as a user calls it: another process, in a working directory with a provision.yml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LONG = 900
"""Seconds that nothing here takes, not even on a busy machine."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    line: str
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """All that it printed."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        """What --json printed: one document and nothing else."""
        told: dict[str, Any] = json.loads(self.out)
        return told

    def ended_with(self, code: int) -> Done:
        """Itself, if that was its exit code and it spoke as to a person."""
        assert self.code == code, f"{self.line} ended with {self.code}, not {code}:\n{self.words}"
        assert "Traceback" not in self.words, f"{self.line} printed a traceback:\n{self.words}"
        return self

    def says(self, *texts: str) -> Done:
        """Itself, if it printed all of these."""
        for text in texts:
            assert text in self.words, f"{self.line} did not say {text!r}:\n{self.words}"
        return self


@dataclass(frozen=True)
class Directory:
    """A working directory with settings."""

    path: Path

    def settle(self, **settings: Any) -> Directory:
        """Write provision.yml; gives itself."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "provision.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return self

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment, with state and tracebacks kept here."""
        return {**os.environ, "XDG_STATE_HOME": str(self.path / "state")}

    def line(self, *words: str) -> list[str]:
        """The command line of `provision WORDS`."""
        return [sys.executable, "-m", "neuraltalk_provision", *words]

    def provision(self, *words: str) -> Done:
        """Run it to its end."""
        done = subprocess.run(
            self.line(*words),
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        return Done("provision " + " ".join(words), done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and go on; what it prints comes through one pipe."""
        return subprocess.Popen(
            self.line(*words),
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def end(words: str, running: subprocess.Popen[str]) -> Done:
    """The command that `start` started, once it has ended."""
    out, _ = running.communicate(timeout=LONG)
    return Done(words, running.returncode, out, "")
