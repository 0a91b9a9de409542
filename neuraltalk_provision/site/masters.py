"""SSH's shared connections: the playbooks of one command have them in common, and they end with it."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

# Of 108 characters that a socket's path may have, ssh and Ansible add up to 28.
_LONGEST = 70
_place: Path | None = None


def directory() -> Path:
    """Where this command's connections have their sockets: a directory of its own, for its user alone (0700)."""
    global _place
    if _place is None or not _place.is_dir():
        _place = Path(tempfile.mkdtemp(prefix="prov-ssh-"))
        atexit.register(end)
        if len(str(_place)) > _LONGEST:
            _place.rmdir()
            _place = Path(tempfile.mkdtemp(prefix="prov-ssh-", dir="/tmp"))
    return _place


def end() -> None:
    """End every connection of this command; sessions that hang on one end with it."""
    global _place
    if _place is None:
        return
    place, _place = _place, None
    ssh = shutil.which("ssh")
    for socket in sorted(place.glob("*")) if ssh else ():
        words = [str(ssh), "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "ended"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
    shutil.rmtree(place, ignore_errors=True)
