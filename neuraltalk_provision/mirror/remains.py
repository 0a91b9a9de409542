"""What a killed command left in a mirror: half copies, half locks, and the file before a replacement.

Every name here has a form that only these commands write. Anything else that is hidden in a mirror stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

COPY = ".adding-"
LOCK = ".mirror.lock-"
BEFORE = ".replaced-"
_RANDOM = r"[a-z0-9_]{8}"
_COPY, _LOCK = re.compile(re.escape(COPY) + _RANDOM), re.compile(re.escape(LOCK) + _RANDOM)
_BEFORE = re.compile(re.escape(BEFORE) + r"([0-9a-f]{32,64})-(.+)")


@contextmanager
def copying(mirror: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in the mirror for a copy, held while it is used; what has not been renamed at the end is removed."""
    while True:
        handle, name = tempfile.mkstemp(dir=mirror, prefix=COPY)
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file.fileno()).st_nlink:
                continue  # another command took it for the remains of a killed one, before it was held
            try:
                yield Path(name), file
            finally:
                Path(name).unlink(missing_ok=True)
            return


def before(mirror: Path, file: str, sha256: str) -> Path:
    """The second name of a file of the mirror while it is being replaced or removed.

    It has half of the digest: with all of it, a file name of 200 characters would become longer than 255.
    """
    return mirror / f"{BEFORE}{sha256[:32]}-{file}"


def sweep(mirror: Path, digests: Mapping[str, str]) -> None:
    """Undo what killed commands left. The caller holds the guard; `digests` are {file: sha256} of the lock.

    A file whose replacement did not reach the lock gets its name back: it is the one that the lock describes.
    """
    hidden = [path for path in mirror.iterdir() if path.name.startswith(".")]
    for path in [path for path in hidden if path.is_file() and not path.is_symlink()]:
        if _COPY.fullmatch(path.name):
            _remove_unused(path)
        elif _LOCK.fullmatch(path.name):
            path.unlink(missing_ok=True)  # written only by the holder of the guard
        elif match := _BEFORE.fullmatch(path.name):
            if digests.get(match[2], "").startswith(match[1]):
                path.replace(mirror / match[2])
            else:
                path.unlink(missing_ok=True)


def _remove_unused(path: Path) -> None:
    """Remove a copy unless a process still writes it."""
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
