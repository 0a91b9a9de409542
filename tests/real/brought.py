"""The user's mirror, completed with artifacts that this machine can make: packages, wheels, weights."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from neuraltalk_provision import catalogue
from neuraltalk_provision.mirror import lock, store
from tests.lab import archives, images, names, packages, shell

Make = Callable[[Path], list[Path]]
JAVA = "default-jre-headless"
SCORER = "pycocoevalcap==1.2"


def linked(given: Path, work: Path) -> Path:
    """Make `work`/mirror, with links to the files of the given mirror, which is not changed."""
    target = work / "mirror"
    target.mkdir(parents=True)
    listed = lock.read(given)
    for entry in listed.artifacts:
        try:
            os.link(given / entry.file, target / entry.file)
        except OSError:
            shutil.copyfile(given / entry.file, target / entry.file)
    lock.write(target, listed)
    return target


def complete(given: Path, work: Path, image: str, makers: dict[str, Make]) -> Path:
    """Make `work`/mirror with links to the files of the given mirror, and make the artifacts that it does not have."""
    target = linked(given, work)
    listed = lock.read(target)
    made = work / "made"
    made.mkdir()
    platform = images.find(image).platform
    common: dict[str, Make] = {
        f"packages-{platform}": lambda folder: [packages_with_java(image, folder)],
        f"python-wheels-{platform}": lambda folder: [packages.wheels_archive(image, folder)],
        "score-wheels": lambda folder: [score_wheels(folder)],
    }
    for name, make in {**common, **makers}.items():
        for file in make(made) if name not in listed.by_name() else ():
            store.add(target, file, catalogue.load())
            file.unlink()
    return target


def packages_with_java(image: str, dest: Path) -> Path:
    """The packages of packages.yaml, with Java for the scorer and without the large optional ones."""
    wanted = names.wanted("apt", images.find(image).system, (*names.SMALL_OPTIONAL, JAVA))
    return packages.debian_archive(image, wanted, dest)


def score_wheels(dest: Path) -> Path:
    """score-wheels.tar in `dest`: the real scorer's wheel, as pip downloads it (docs/mirror.md)."""

    def fill(folder: Path) -> None:
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), SCORER)
        shell.run(*command, timeout=900, hint="check that pip can reach a package index")

    return archives.kept("score-wheels.tar", ["scorer", SCORER], dest, fill)
