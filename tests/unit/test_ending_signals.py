"""A command that gets SIGTERM or SIGHUP ends as with Ctrl-C: with a message, and nothing temporary is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_command_ends_with_a_message_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    temporary, script, begun = tmp_path / "tmp", tmp_path / "inventory.sh", tmp_path / "begun"
    temporary.mkdir()
    script.write_text(f"#!/bin/sh\necho $$ >{begun}.new; mv {begun}.new {begun}\nexec sleep 300\n", encoding="utf-8")
    script.chmod(0o755)
    running = subprocess.Popen(
        [sys.executable, "-m", "neuraltalk_provision", "runs", "list", "--inventory", str(script)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary), "XDG_STATE_HOME": str(tmp_path / "state")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert (running.returncode, "interrupted" in output) == (130, True), output
    assert list(temporary.iterdir()) == []
    script_pid = int(begun.read_text(encoding="utf-8"))
    while Path(f"/proc/{script_pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{script_pid}").exists(), "the script of the inventory was left behind"


def test_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    """As with nohup."""
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from neuraltalk_provision.cli import main; main._end_like_ctrl_c()\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
