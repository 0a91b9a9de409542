"""The directories of the lab, and the lock with which only one process builds something."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "lab"
RECIPES = Path(__file__).resolve().parent / "recipes"
PACKAGES_YAML = ROOT / "neuraltalk_provision" / "catalogue" / "data" / "packages.yaml"


def cache(*parts: str) -> Path:
    """A directory in the lab's cache; created if it is missing."""
    folder = CACHE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(what: str) -> Iterator[None]:
    """A lock between processes. Those that waited must check again whether the work is done."""
    with (cache("locks") / what).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory in the cache's file system, so that a rename out of it is atomic."""
    folder = Path(tempfile.mkdtemp(dir=cache("scratch")))
    try:
        folder.chmod(0o755)  # apt runs without privileges and must be able to read the mounted directory
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
