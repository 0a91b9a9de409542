"""A command that gets SIGTERM, or whose terminal ends (SIGHUP), ends as with Ctrl-C, and nothing temporary is left."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.waiting import until

pytestmark = pytest.mark.slow


def test_command_ends_with_a_message_and_leaves_nothing(tmp_path: Path) -> None:
    """SIGHUP becomes SIGTERM, so that both are tested here. Both the shell and the kernel send it."""
    temporary, script, begun = tmp_path / "tmp", tmp_path / "inventory.sh", tmp_path / "begun"
    temporary.mkdir()
    script.write_text(f"#!/bin/sh\necho $$ >{begun}.new; mv {begun}.new {begun}\nexec sleep 300\n", encoding="utf-8")
    script.chmod(0o755)
    verb = ("runs", "list", "--inventory", str(script))
    with (tmp_path / "output").open("w") as output:
        running = subprocess.Popen(
            # As from a terminal, also if these tests were started by nohup: then all that they start ignores SIGHUP.
            ["env", "--default-signal=HUP", sys.executable, "-m", "neuraltalk_provision", *verb],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(temporary), "XDG_STATE_HOME": str(tmp_path / "state")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    until(begun.exists, 200)
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGHUP)
    running.wait(timeout=200)
    printed = (tmp_path / "output").read_text(encoding="utf-8")
    assert (running.returncode, "interrupted" in printed) == (130, True), printed
    assert list(temporary.iterdir()) == []
    script_pid = int(begun.read_text(encoding="utf-8"))
    until(lambda: not Path(f"/proc/{script_pid}").exists(), 200)


def test_signal_that_the_caller_ignores_stays_ignored() -> None:
    """As with nohup, which ignores SIGHUP."""
    program = (
        "import signal; both = [signal.SIGTERM, signal.SIGHUP]\n"
        "for one in both: signal.signal(one, signal.SIG_IGN)\n"
        "from neuraltalk_provision.cli import main; main._end_like_ctrl_c()\n"
        "print([signal.getsignal(one) is signal.SIG_IGN for one in both])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, True]\n"


_WITH_SPINNER = """
import os, signal, sys, time, types
from neuraltalk_provision.cli import main
from neuraltalk_provision.output import Output

def wait() -> None:
    with Output().working("it waits"):
        while os.getppid() != 1 and (os.path.exists("wait") or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN):
            time.sleep(0.01)

main.COMMANDS = {"wait": ("wait", "wait")}
sys.modules["neuraltalk_provision.cli.wait"] = types.SimpleNamespace(wait=wait)
sys.argv = ["provision", "wait"]
main.main()
"""
"""A command that shows a spinner until a signal ends it; if SIGHUP is ignored, until the file `wait` is gone."""


@pytest.mark.parametrize(("hangup", "code"), [(signal.SIG_DFL, 130), (signal.SIG_IGN, 0)])
def test_spinner_on_a_terminal_that_is_gone_changes_nothing(hangup: signal.Handlers, code: int, tmp_path: Path) -> None:
    """Writing to it fails with EIO. With nohup, or in a shell that does not send SIGHUP, the command goes on."""
    (tmp_path / "wait").touch()
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, hangup)
        os.chdir(tmp_path)
        os.environ |= {"PYTHONPATH": str(Path(__file__).parents[2]), "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-c", _WITH_SPINNER], os.environ)
    shown = b""
    while b"it waits" not in shown:
        shown += os.read(terminal, 1024)
    os.close(terminal)
    (tmp_path / "wait").unlink()
    logs = "".join(file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.log"))
    assert (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "Traceback" in logs) == (code, False)
