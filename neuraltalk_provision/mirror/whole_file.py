"""Writes a file of a mirror as a whole: to a temporary file beside it, which is synced and renamed."""

from __future__ import annotations

import os
from pathlib import Path


def write(file: Path, content: bytes) -> None:
    """Write or replace a file that everybody may read. Raises OSError, and then the file is as it was."""
    # The same temporary name each time: what a kill leaves behind is replaced by the next write.
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    try:
        with beside.open("xb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        beside.chmod(0o644)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
