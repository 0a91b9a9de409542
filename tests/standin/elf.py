"""Compiles small shared libraries, for stand-ins that a loader must open."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import shell


def library(path: Path, source: str, soname: str = "", options: Sequence[str] = ()) -> Path:
    """Compile C `source` to the shared library `path`. The compiler is installed if it is missing."""
    shell.need("gcc", "gcc")
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [f"-Wl,-soname,{soname}"] if soname else []
    command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(path), *named, *options]
    subprocess.run(command, input=source, text=True, check=True)
    return path
