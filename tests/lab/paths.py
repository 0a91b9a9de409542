"""Where the lab keeps things, and the lock that makes building them happen once."""

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
    """A folder under the lab's cache, made if need be."""
    folder = CACHE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(what: str) -> Iterator[None]:
    """One process at a time does `what`; the others wait, and then look again whether it is done."""
    with (cache("locks") / what).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder in the cache's file system, so that a rename out of it is atomic."""
    folder = Path(tempfile.mkdtemp(dir=cache("scratch")))
    try:
        folder.chmod(0o755)  # apt drops its privileges and must still reach what is mounted from here
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
