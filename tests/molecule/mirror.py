"""`python -m tests.molecule.mirror IMAGE [--gpu]`: a mirror of stand-ins for hosts of the image; prints its folder."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
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


def ingredients(places: Sequence[str]) -> Iterator[Path]:
    """The files in these places of the checkout."""
    for place in places:
        path = paths.ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                yield file


def digest(places: Sequence[str] = MADE_OF) -> str:
    """Twelve digits that change when a file there does: if none are named, those that decide what a mirror holds."""
    total = hashlib.sha256()
    for file in ingredients(places):
        total.update(f"{file.relative_to(paths.ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def ensure(image: str, gpu: bool = False) -> Path:
    """The mirror for hosts of an image, with what a card needs if asked, made once for the present sources."""
    kind = f"{image}-gpu" if gpu else image
    place = KEPT / f"{kind}-{digest()}"
    if not place.exists():
        with paths.locked(f"mirror-{kind}"):
            if not place.exists():
                forget_old(image)
                make(image, place, gpu)
    return place


def make(image: str, place: Path, gpu: bool) -> None:
    """Bring everything and file it, as a user would; seen under its name only when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with paths.scratch() as folder:
        brought, half = folder / "brought", folder / "mirror"
        files = write_standins(brought, gpu=gpu)
        files += [packages.archive(image, brought), packages.wheels_archive(image, brought)]
        for file in files:
            store.add(half, file, catalogues.load())
        half.rename(place)


def forget_old(image: str) -> None:
    """Remove what older sources gave, unless a run may still be using it."""
    for old in KEPT.glob(f"{image}-*"):
        if time.time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old)


if __name__ == "__main__":
    images.find(sys.argv[1])
    print(ensure(sys.argv[1], "--gpu" in sys.argv))
