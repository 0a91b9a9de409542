"""Programs that use the package manager: they are found, waited for with a limit, and named."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.module_utils.host import package_locks
from plugins.module_utils.host.errors import StackError

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of locks in a directory of the test, and a controller that is there."""
    names = ("lock-frontend", "lists")
    monkeypatch.setattr(package_locks, "LOCKS", {"apt": tuple(str(tmp_path / name) for name in names), "dnf": ()})
    monkeypatch.setattr(package_locks, "PID_FILES", {"apt": (), "dnf": (str(tmp_path / "metadata_lock.pid"),)})
    monkeypatch.setattr(package_locks, "ended_with_controller", lambda: None)
    return tmp_path


@pytest.fixture
def holder(places: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds apt's lock, as dpkg does."""
    (places / "lock-frontend").touch()
    argv = [sys.executable, "-c", HOLD, str(places / "lock-frontend")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_holder_of_a_lock_is_named_by_pid_and_command(places: Path, holder: subprocess.Popen[str]) -> None:
    (held,) = package_locks.holders("apt")
    assert (held["pid"], held["file"]) == (holder.pid, str(places / "lock-frontend"))
    assert held["command"].startswith(f"{sys.executable} -c")
    assert len(held["command"]) <= 200


def test_nobody_holds_a_free_lock_or_one_that_does_not_exist(places: Path) -> None:
    assert package_locks.holders("apt") == []
    (places / "lock-frontend").touch()
    assert package_locks.holders("apt") == []
    with (places / "lists").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert package_locks.holders("apt") == []


def test_file_with_the_pid_of_a_process_is_a_lock_and_one_of_an_ended_process_is_not(places: Path) -> None:
    file = places / "metadata_lock.pid"
    with subprocess.Popen(["sleep", "60"]) as process:
        file.write_text(f"{process.pid}")
        assert package_locks.holders("dnf") == [{"pid": process.pid, "command": "sleep 60", "file": str(file)}]
        process.kill()
        process.wait()
    assert package_locks.holders("dnf") == []
    for text in ("", "x", "-1", f"{os.getpid()}"):
        file.write_text(text)
        assert package_locks.holders("dnf") == []


def test_wait_ends_when_the_holder_does(places: Path, holder: subprocess.Popen[str]) -> None:
    threading.Timer(0.5, holder.kill).start()
    started = time.monotonic()
    package_locks.wait("apt", 30, pause=0.05)
    assert 0.3 < time.monotonic() - started < 20


def test_wait_has_a_limit_and_says_who_holds_it(places: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StackError) as caught:
        package_locks.wait("apt", 0, pause=0.01)
    assert f"pid {holder.pid} ({sys.executable} -c" in str(caught.value)
    assert f"`kill {holder.pid}`" in str(caught.value)
    assert caught.value.details["code"] == "busy"


def test_process_that_cannot_be_seen_is_no_pid_to_kill(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_locks, "_locked_by", lambda path: 0)
    with pytest.raises(StackError, match="locked by a process that is not visible here") as caught:
        package_locks.wait("apt", 0, pause=0.01)
    assert "kill" not in str(caught.value)


def test_nothing_is_waited_for_when_the_controller_has_ended(tmp_path: Path) -> None:
    """The module's output is a pipe that nobody reads any more; as long as somebody does, it goes on."""
    program = (
        "import sys, time; sys.path[:0] = sys.argv[1:2]\n"
        "from module_utils.host import package_locks as p\n"
        "p.LOCKS = {'apt': ()}; p.PID_FILES = {'apt': ()}\n"
        "p.wait('apt'); sys.stderr.write('went on\\n'); sys.stderr.flush(); sys.stdin.readline()\n"
        "try: p.wait('apt')\n"
        "except p.StackError as e: sys.stderr.write(str(e) + '\\n')\n"
    )
    shared = str(Path(package_locks.__file__).parents[2])
    argv = [sys.executable, "-c", program, shared]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, text=True, **streams) as process:  # type: ignore[call-overload]
        assert process.stderr.readline() == "went on\n"
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert "the connection to the controller has ended: nothing more is installed" in process.stderr.read()


@pytest.mark.parametrize("name", ["apt", "dnf", "yum"])
def test_real_places_can_be_asked_on_any_machine(name: str) -> None:
    assert isinstance(package_locks.holders(name), list)
