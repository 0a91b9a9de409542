"""`python -m tests.unchanged FILE... -- COMMAND`: run a check, unless it has passed on files with the same content.

A directory means all files in it that Git tracks or would add. The check is also repeated if the command has changed,
or if the virtual environment was made again.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSED = ROOT / ".cache" / "unchanged"


def files(places: Sequence[str]) -> list[Path]:
    """The files in these places; empty outside of a Git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = sorted(set(listed.stdout.split(b"\0")) - {b""})
    return [path for name in names if (path := ROOT / name.decode()).is_file()]


def digest(found: Sequence[Path], command: Sequence[str]) -> str:
    """A digest of everything on which the result of the check depends."""
    made = Path(sys.prefix, "ready")
    total = hashlib.sha256(repr((command, made.stat().st_mtime if made.exists() else 0)).encode())
    for path in found:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Run the command if needed; its exit code, or 0 if it was not needed."""
    places, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    found = files(places)
    mark = PASSED / digest(found, command)
    if found and mark.exists():
        print(f"{command[0]} passed already, and nothing has changed")
        return 0
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        PASSED.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
