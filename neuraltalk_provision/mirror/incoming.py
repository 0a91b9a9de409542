"""Files on their way into the mirror: read, hashed, copied."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from neuraltalk_provision.errors import MirrorError, UsageError, naming

BLOCK = 1 << 20
Advance = Callable[[int], None]


def refuse_no_file(file: Path) -> None:
    """UsageError unless `file` is a regular file that can be read."""
    with naming(file, "read"):
        if file.is_dir():
            raise UsageError(
                f"{file} is a directory, not a file",
                advice=f"Pack it from outside, then add the archive: tar czf {file.name}.tgz {file.name}",
            )
        if not file.is_file():
            if os.path.lexists(file):
                raise UsageError(f"{file} is not a regular file", advice="No file was added.")
            raise UsageError(f"{file}: there is no such file", advice="No file was added.")
        with file.open("rb"):
            pass


def copy(file: Path, mirror: Path, target: BinaryIO, advance: Advance) -> tuple[str, int]:
    """Copy a file to `target`, a new file in the mirror, and flush it to disk; returns its sha256 and size."""
    with naming(file, "read"):
        size = file.stat().st_size
    free = shutil.disk_usage(mirror).free
    if free < size:
        raise MirrorError(
            f"{mirror} has {free:,} bytes free, but {file.name} needs {size:,}",
            advice="Free some space, then add the file again.",
        )
    found, written = hashlib.sha256(), 0
    with naming(file, "read"):
        source = file.open("rb")
    with source:
        while written <= size and (block := _block(file, source)):
            found.update(block)
            written += len(block)
            try:
                target.write(block)
            except OSError as error:
                raise _full(file, mirror, error) from None
            advance(len(block))
    try:
        target.flush()
        os.fsync(target.fileno())
    except OSError as error:
        raise _full(file, mirror, error) from None
    if written != size:
        raise MirrorError(
            f"{file} changed while it was read: it had {size:,} bytes, then {written:,}",
            advice="Wait until nothing writes to it, then add it again.",
        )
    return found.hexdigest(), size


def digest(file: Path, advance: Advance = lambda count: None) -> tuple[str, int]:
    """The sha256 and the size of a file. Raises OSError."""
    found, size = hashlib.sha256(), 0
    with file.open("rb", buffering=0) as source:
        while block := source.read(BLOCK):
            found.update(block)
            size += len(block)
            advance(len(block))
    return found.hexdigest(), size


def is_the_same(file: Path, size: int, sha256: str) -> bool:
    """Whether a file is a regular file with that content."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size != size:
        return False
    with naming(file, "read"):
        return digest(file)[0] == sha256


def second_name(file: Path, name: Path) -> None:
    """Give a file a second name, if its file system can do that."""
    name.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(file, name)


def _block(file: Path, source: BinaryIO) -> bytes:
    with naming(file, "read"):
        return source.read(BLOCK)


def _full(file: Path, mirror: Path, error: OSError) -> MirrorError:
    return MirrorError(
        f"{file.name} could not be copied to {mirror}: {error.strerror}",
        advice="The mirror is as it was before. Free some space or repair the disk, then add the file again.",
    )
