"""Mirrors for tests: copies that share unchanged files, and changed archives."""

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
    """Make a mirror in `folder` with everything for hosts of an image: stand-in sources, OS packages and wheels."""
    source = folder.with_name("files")
    files = write_standins(source)
    files += [packages.archive(image, source), packages.wheels_archive(image, source)]
    controller = Directory(folder.with_name("importing")).configure(mirror=str(folder))
    controller.provision("mirror", "add", *map(str, files)).ended_with(0)
    shutil.rmtree(source)
    return folder


def copy(mirror: Path, to: Path) -> Path:
    """A mirror with the same content, without its cache. Files are shared (hard links) until one is replaced."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for file in mirror.iterdir():
        if file.name == LOCK:
            shutil.copyfile(file, to / file.name)
        elif file.is_file() and not file.name.startswith("."):
            os.link(file, to / file.name)
    return to


def replace(mirror: Path, file: str, content: bytes) -> None:
    """Replace a file without changing the lock."""
    (mirror / file).unlink(missing_ok=True)
    (mirror / file).write_bytes(content)


def force(mirror: Path, file: str, content: bytes) -> None:
    """Replace a file and write its SHA-256 and size into the lock, like somebody who edits the lock by hand."""
    replace(mirror, file, content)
    lock = read_lock(mirror)
    for entry in lock["artifacts"]:
        if entry["file"] == file:
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (mirror / LOCK).write_text(yaml.safe_dump(lock), encoding="utf-8")


def read_lock(mirror: Path) -> dict[str, Any]:
    """The content of the lock."""
    lock: dict[str, Any] = yaml.safe_load((mirror / LOCK).read_text(encoding="utf-8"))
    return lock


def repacked(name: str, changes: Mapping[str, Callable[[str], str]]) -> bytes:
    """A stand-in archive with some of its files changed or added."""
    members = archives.members(name)
    for path, change in changes.items():
        member = f"{name}/{path}"
        members[member] = change(members.get(member, b"").decode()).encode()
    return archives.pack(members)
