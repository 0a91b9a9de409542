"""Mirrors to try things with: copies that share what is not changed, and archives that are not as they were."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.lab import packages
from tests.site.command import Directory
from tests.standin import archives
from tests.standin.__main__ import write as write_standins

LOCK = "mirror.lock"


def make(folder: Path, image: str) -> Path:
    """A mirror in `folder` with all that hosts of an image need: stand-in sources, OS packages and wheels."""
    brought = folder.with_name("brought")
    files = write_standins(brought)
    files += [packages.archive(image, brought), packages.wheels_archive(image, brought)]
    controller = Directory(folder.with_name("filing")).settle(mirror=str(folder))
    controller.provision("mirror", "add", *map(str, files)).ended_with(0)
    shutil.rmtree(brought)
    return folder


def copy(mirror: Path, to: Path) -> Path:
    """A mirror with the same content; the files themselves are shared until one is replaced."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for file in mirror.iterdir():
        if file.name == LOCK:
            shutil.copyfile(file, to / file.name)
        elif not file.name.startswith("."):
            os.link(file, to / file.name)
    return to


def replace(mirror: Path, file: str, content: bytes) -> None:
    """Put other content under the name of a file, without a word to the lock."""
    (mirror / file).unlink(missing_ok=True)
    (mirror / file).write_bytes(content)


def force(mirror: Path, file: str, content: bytes) -> None:
    """Put other content there and make the lock agree, as somebody does who edits it by hand."""
    replace(mirror, file, content)
    lock = read_lock(mirror)
    for entry in lock["artifacts"]:
        if entry["file"] == file:
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (mirror / LOCK).write_text(yaml.safe_dump(lock), encoding="utf-8")


def read_lock(mirror: Path) -> dict[str, Any]:
    """The lock, as it stands."""
    lock: dict[str, Any] = yaml.safe_load((mirror / LOCK).read_text(encoding="utf-8"))
    return lock


def repacked(name: str, changes: Mapping[str, Callable[[str], str]]) -> bytes:
    """A stand-in archive with some of its files changed, or added where they are not there."""
    members = archives.members(name)
    for path, change in changes.items():
        whole = f"{name}/{path}"
        members[whole] = change(members.get(whole, b"").decode()).encode()
    return archives.pack(members)
