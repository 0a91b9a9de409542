"""Programs that tests put on the PATH."""

from __future__ import annotations

from pathlib import Path


def program(path: Path, text: str) -> Path:
    """Write an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
