"""`python -m tests.molecule.mirror IMAGE [--gpu]`: make a mirror of stand-ins for an image; prints its directory."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.mirror import store
from tests.lab import images, packages, paths
from tests.standin.__main__ import write as write_standins

KEPT = paths.ROOT / ".cache" / "molecule" / "mirror"
MADE_OF = (
    "tests/standin",
    "tests/lab",
    "tests/molecule/mirror.py",
    "neuraltalk_provision/catalogue",
    "neuraltalk_provision/mirror",
)
DAY = 86400


def ingredients() -> Iterator[Path]:
    """The files from which a mirror is made."""
    for place in MADE_OF:
        path = paths.ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                yield file


def digest() -> str:
    """Twelve digits that change with the files from which a mirror is made."""
    total = hashlib.sha256()
    for file in ingredients():
        total.update(f"{file.relative_to(paths.ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def ensure(image: str, gpu: bool = False) -> Path:
    """The mirror for hosts of an image; with `gpu` also the files for a card. Made once per version of the sources."""
    kind = f"{image}-gpu" if gpu else image
    place = KEPT / f"{kind}-{digest()}"
    if not place.exists():
        with paths.locked(f"mirror-{kind}"):
            if not place.exists():
                forget_old(image)
                make(image, place, gpu)
    return place


def make(image: str, place: Path, gpu: bool) -> None:
    """Make all files and import them as a user would. The mirror gets its name only when it is complete."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with paths.scratch() as folder:
        source, half = folder / "files", folder / "mirror"
        files = write_standins(source, gpu=gpu)
        files += [packages.archive(image, source), packages.wheels_archive(image, source)]
        for file in files:
            store.add(half, file, catalogues.load())
        half.rename(place)


def forget_old(image: str) -> None:
    """Remove the mirrors of older sources, except those of the last day, which may still be in use."""
    for old in KEPT.glob(f"{image}-*"):
        if time.time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old)


if __name__ == "__main__":
    images.find(sys.argv[1])
    print(ensure(sys.argv[1], "--gpu" in sys.argv))
