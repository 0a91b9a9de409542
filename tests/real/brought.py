"""A mirror that somebody brought, completed with what can be made here: packages, wheels, random weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from neuraltalk_provision import catalogue
from neuraltalk_provision.mirror import lock, store
from tests.lab import packages

Make = Callable[[Path], list[Path]]


def complete(given: Path, work: Path, image: str, makers: dict[str, Make]) -> Path:
    """`work`/mirror: the brought mirror, linked, and what it lacks of these artifacts, each by its maker."""
    target = work / "mirror"
    target.mkdir(parents=True)
    listed = lock.read(given)
    for entry in listed.artifacts:
        try:
            os.link(given / entry.file, target / entry.file)
        except OSError:
            shutil.copyfile(given / entry.file, target / entry.file)
    lock.write(target, listed)
    made = work / "made"
    made.mkdir()
    common: dict[str, Make] = {
        "packages-debian-12-x86_64": lambda folder: [packages.archive(image, folder)],
        "python-wheels-debian-12-x86_64": lambda folder: [packages.wheels_archive(image, folder)],
    }
    for name, make in {**common, **makers}.items():
        for file in make(made) if name not in listed.by_name() else ():
            store.add(target, file, catalogue.load())
            file.unlink()
    return target
