"""The state of a mirror: which files it has with the right digest, for the bundle that is made on the other side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import bounded, lock, parts, store
from neuraltalk_provision.mirror.digests import Advance


@dataclass(frozen=True)
class Made:
    """The state of a mirror, and the files that it leaves out because something is wrong with them."""

    state: parts.State
    findings: tuple[store.Finding, ...]


def make(mirror: Path, advance: Advance, cached: Sequence[parts.CachedFile] = ()) -> Made:
    """The state of a mirror, with the files `cached` of its cache.

    Its artifacts are hashed: a damaged one is not in the state, so that it is carried again.
    """
    known = lock.read(mirror)
    content = read_small(mirror / lock.FILE_NAME, parts.LARGEST_LOCK)
    if len(known.artifacts) > parts.MOST_FILES or any(len(entry.file) > 200 for entry in known.artifacts):
        raise MirrorError(f"{mirror} has more than {parts.MOST_FILES:,} files, or one whose name is too long")
    findings = store.check(mirror, known.artifacts, advance)
    wrong = {finding.file for finding in findings}
    files = tuple(
        parts.StateFile(file=entry.file, size=entry.size, sha256=entry.sha256)
        for entry in known.artifacts
        if entry.file not in wrong
    )
    files += tuple(parts.StateFile(file=one.file, size=one.size, sha256=one.sha256) for one in cached)
    return Made(parts.State(lock=hashlib.sha256(content).hexdigest(), files=files), findings)


def read(file: Path) -> parts.State:
    """The state of another mirror, from a file that anybody can have written. Raises UsageError."""
    advice = 'Write it again on the other side with "provision mirror state --out FILE", or leave --against out.'
    try:
        return parts.load(parts.State, read_small(file, parts.LARGEST_DOCUMENT))
    except ValueError as error:
        raise UsageError(f"{file} is not the state of a mirror: {error}", advice=advice) from None
    except MirrorError as error:
        raise UsageError(error.message, advice=advice) from None


def read_small(file: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises MirrorError."""
    with naming(file, "read", MirrorError):
        if file.is_dir():
            raise MirrorError(f"{file} cannot be read: it is a directory")
        return bounded.read(file, limit).content
