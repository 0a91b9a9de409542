"""Packs a flat directory of wheels into one tar for the mirror; always the same bytes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path


def wheel_tar(folder: Path) -> bytes:
    """python-wheels-<platform>.tar: the wheels of `folder`, at the tar's root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.glob("*.whl")):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return buffer.getvalue()
