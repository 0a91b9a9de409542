"""Archives for the mirror, cached by the digest of their inputs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.lab import paths


def kept(file: str, ingredients: object, dest: Path, fill: Callable[[Path], None]) -> Path:
    """`dest`/`file`: a tar of the files that `fill` writes into an empty directory. Made once per ingredients."""
    digest = hashlib.sha256(json.dumps(ingredients, sort_keys=True, default=str).encode()).hexdigest()[:16]
    stored = paths.cache("archives", digest) / file
    if not stored.exists():
        with paths.locked(f"archive-{digest}"):
            if not stored.exists():
                make(stored, fill)
    dest.mkdir(parents=True, exist_ok=True)
    target = dest / file
    beside = dest / f".{file}.{os.getpid()}"
    shutil.copyfile(stored, beside)
    beside.rename(target)
    return target


def make(stored: Path, fill: Callable[[Path], None]) -> None:
    """Fill a directory and pack it. The archive gets its name only when it is complete."""
    with paths.scratch() as folder:
        content = folder / "content"
        content.mkdir()
        fill(content)
        half = folder / "half.tar"
        with tarfile.open(half, "w") as tar:
            for path in sorted(content.iterdir()):
                tar.add(path, path.name, filter=anonymous)
        half.rename(stored)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without owner, time and mode, which differ between machines."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() else 0o644
    return member
