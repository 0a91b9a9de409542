"""Removes artifacts from a mirror: their entries in the lock, and the files that these describe."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import guard, lock, remains, store


@dataclass(frozen=True)
class Removed:
    """An artifact that is removed: its name and file, the bytes that become free, and why its file stays, if it does.

    There is nothing to remove but the entry if the file is neither `there` nor stays.
    """

    name: str
    file: str
    there: bool = False
    bytes: int = 0
    stays: str = ""


def size(mirror: Path, names: Collection[str]) -> int:
    """The bytes that `look` and `remove` hash. Raises UsageError if the lock does not have one of the names."""
    return sum(entry.size for entry in _chosen(mirror, lock.read(mirror), names))


def look(mirror: Path, names: Collection[str], advance: store.Advance = lambda count: None) -> tuple[Removed, ...]:
    """What `remove` would do. Raises UsageError if the lock does not have one of the names."""
    return _look(mirror, _chosen(mirror, lock.read(mirror), names), advance)


def remove(mirror: Path, names: Collection[str], advance: store.Advance = lambda count: None) -> tuple[Removed, ...]:
    """Remove all artifacts with these names, or none. Raises UsageError if the lock does not have one of them.

    The files are hashed before the guard is held for the removal, so that no other command waits for that. They get
    second names first, and go when the lock is written: after a kill, the next command that changes the mirror gives
    them their names back if the lock still has them, and removes them otherwise.
    """
    lock.refuse_no_directory(mirror)
    with lock.changing(mirror) as before:  # what a killed command left has its names again afterwards
        entries = _chosen(mirror, before, names)
    with naming(mirror, "read", MirrorError):
        identities = [_identity(mirror / entry.file) for entry in entries]
    found = _look(mirror, entries, advance)
    with lock.changing(mirror) as before, guard.writing(mirror):
        for entry, identity in zip(entries, identities, strict=True):
            if entry not in before.artifacts or _identity(mirror / entry.file) != identity:
                raise MirrorError(
                    f"{mirror}: nothing was removed, because another command changed {entry.name} or its file "
                    f"{entry.file} while the files were hashed",
                    advice="Run the same command again.",
                )
        with lock.staged(mirror, before.without(entries)) as beside:
            try:
                for entry, one in zip(entries, found, strict=True):
                    if one.there:
                        (mirror / entry.file).replace(remains.before(mirror, entry.file, entry.sha256))
                beside.replace(mirror / lock.FILE_NAME)
            finally:
                remains.sweep(mirror, lock.read(mirror).digests())
    return found


def _chosen(mirror: Path, known: lock.Lock, names: Collection[str]) -> Sequence[lock.Entry]:
    listed = known.by_name()
    for name in names:
        if name not in listed:
            near = difflib.get_close_matches(name, listed, 1)
            raise UsageError(
                f"the lock of {mirror} has no artifact {name}",
                advice=f"Did you mean {near[0]}?" if near else "`provision mirror list` shows the names.",
            )
    return [entry for entry in known.artifacts if entry.name in names]


def _look(mirror: Path, entries: Sequence[lock.Entry], advance: store.Advance) -> tuple[Removed, ...]:
    """What is removed of these artifacts. A file that the lock does not describe is not ours: it stays."""
    wrong = {finding.file: finding.detail for finding in store.check(mirror, entries, advance)}
    return tuple(_judged(mirror / entry.file, entry, wrong.get(entry.file, "")) for entry in entries)


def _judged(file: Path, entry: lock.Entry, wrong: str) -> Removed:
    if not os.path.lexists(file):
        return Removed(entry.name, entry.file)
    if stays := "it is a link" if file.is_symlink() else wrong:
        return Removed(entry.name, entry.file, stays=stays)
    return Removed(entry.name, entry.file, there=True, bytes=entry.size)


def _identity(file: Path) -> tuple[int, ...]:
    """What tells a file from one that was written in its place; empty if there is none."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
