"""Removes artifacts from a mirror: their entries in the lock, and the files that these describe."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import UsageError
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


def look(mirror: Path, names: Collection[str]) -> tuple[Removed, ...]:
    """What `remove` would do. Raises UsageError if the lock does not have one of the names."""
    return tuple(_look(mirror, entry) for entry in _chosen(mirror, lock.read(mirror), names))


def remove(mirror: Path, names: Collection[str]) -> tuple[Removed, ...]:
    """Remove all artifacts with these names, or none. Raises UsageError if the lock does not have one of them.

    The files get second names first, and go when the lock is written: after a kill, the next command gives them their
    names back if the lock still has them, and removes them otherwise.
    """
    lock.refuse_no_directory(mirror)
    with lock.changing(mirror) as before:
        entries = _chosen(mirror, before, names)
        found = tuple(_look(mirror, entry) for entry in entries)
        with guard.writing(mirror), lock.staged(mirror, before.without(entries)) as beside:
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


def _look(mirror: Path, entry: lock.Entry) -> Removed:
    """What is removed of an artifact. A file that the lock does not describe is not ours: it stays."""
    file, findings = mirror / entry.file, store.check(mirror, [entry])
    if not os.path.lexists(file):
        return Removed(entry.name, entry.file)
    if file.is_symlink() or findings:
        stays = "it is a link" if file.is_symlink() else findings[0].detail
        return Removed(entry.name, entry.file, stays=stays)
    return Removed(entry.name, entry.file, there=True, bytes=entry.size)
