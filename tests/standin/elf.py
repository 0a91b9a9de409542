"""Small shared libraries, really compiled: what stand-ins need where a loader has to open them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import shell


def library(path: Path, source: str, soname: str = "", options: Sequence[str] = ()) -> Path:
    """Compile C `source` to the shared library `path`; the compiler is installed where it is missing."""
    shell.need("gcc", "gcc")
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [f"-Wl,-soname,{soname}"] if soname else []
    command = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(path), *named, *options]
    subprocess.run(command, input=source, text=True, check=True)
    return path
