"""`python -m tests.unchanged FILE... -- COMMAND`: run a check, unless it passed already on files with the same content.

Folders count with all that Git knows in them or would add. What counts besides: the command, and when the environment
that has the program was made.
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
    """The files in these places; none where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = sorted(set(listed.stdout.split(b"\0")) - {b""})
    return [path for name in names if (path := ROOT / name.decode()).is_file()]


def digest(found: Sequence[Path], command: Sequence[str]) -> str:
    """Another one whenever the check might say something else."""
    made = Path(sys.prefix, "ready")
    total = hashlib.sha256(repr((command, made.stat().st_mtime if made.exists() else 0)).encode())
    for path in found:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def main(words: Sequence[str]) -> int:
    """The command's exit code; 0 where it need not be run."""
    places, command = words[: words.index("--")], words[words.index("--") + 1 :]
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
