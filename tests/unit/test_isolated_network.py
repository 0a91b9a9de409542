"""A network without a way out on a host: real attempts in it are refused and recorded, and nothing else changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.modules import ModuleError
from tests.unit.waiting import until

Run = Callable[..., dict[str, Any]]
ATTEMPTS = [
    {"kind": "tcp", "to": "192.0.2.1", "port": 9},
    {"kind": "name", "to": "planted-1.invalid"},
]
CAN_MAKE_ONE = not os.geteuid() and not subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("isolated_network")


@pytest.fixture
def place(tmp_path: Path, run_module: Run) -> Iterator[Path]:
    """The directory of the network; at the end it is ended."""
    if not CAN_MAKE_ONE:
        pytest.skip("a network namespace cannot be made here: it needs root, outside of an ordinary container")
    yield tmp_path / "a place"
    run_module("isolated_network", state="ended", directory=tmp_path / "a place")


def found(lines: list[str]) -> list[tuple[str, str, int]]:
    read = [json.loads(line) for line in lines]
    return [(line["kind"], line["to"], line["port"]) for line in read if "kind" in line]


def inside(interpreter: str, program: str) -> str:
    done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_attempt_in_the_network_is_refused_and_recorded(run_module: Run, place: Path, tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "numpy-1.26.4.dist-info").mkdir()
    started = run_module("isolated_network", state="started", directory=place)
    assert started["packages"]
    program = "import socket; socket.create_connection(('198.51.100.7', 443), 5)"
    assert "Connection refused" in inside(started["interpreter"], program)
    ended = run_module("isolated_network", state="ended", directory=place, python_packages=tmp_path / "python")
    assert found(ended["lines"]) == [("tcp", "198.51.100.7", 443)]
    last = json.loads(ended["lines"][-1])
    assert (last["end"], last["dropped"], last["more"]) == (True, 0, 0)
    assert ended["wheels"] == ["numpy-1.26.4.dist-info"]
    assert list(place.iterdir()) == []
    assert "No such file" in inside("/bin/sh", f"true; ls {place}/python") or not (place / "python").exists()


def test_planted_attempt_is_recorded_while_the_network_is_used(run_module: Run, place: Path) -> None:
    started = run_module("isolated_network", state="started", directory=place)
    names = "import socket; socket.socket().connect_ex(('192.0.2.1', 9)); print(socket.if_nameindex())"
    assert "'lo'" in inside(started["interpreter"], names)
    until(lambda: found(json_lines(place)), 60)  # another process records it, which may have to wait for a processor
    assert found(json_lines(place)) == [("tcp", "192.0.2.1", 9)]


def json_lines(place: Path) -> list[str]:
    return (place / "record").read_text().splitlines()


def test_attempt_outside_the_network_is_not_in_the_record(
    module: ModuleType, run_module: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module.socket.socket, "connect_ex", lambda link, address: 0)
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda name, port: [])
    run_module("isolated_network", state="started", directory=place)
    tried = run_module("isolated_network", state="tried", directory=place, attempts=ATTEMPTS)
    assert found(tried["lines"]) == []


def test_network_that_a_killed_command_left_is_ended_by_the_next_one(run_module: Run, place: Path) -> None:
    run_module("isolated_network", state="started", directory=place)
    first = (place / "owner").read_text().split()[0]
    run_module("isolated_network", state="started", directory=place)
    second = (place / "owner").read_text().split()[0]
    assert first != second
    stat = Path(f"/proc/{first}/stat")
    assert not stat.exists() or " Z " in stat.read_text()


def test_recorder_of_a_command_that_was_killed_right_after_its_start_is_ended(
    module: ModuleType, run_module: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knew its pid, so it recorded for 12 hours."""
    began: list[int] = []

    def fork(own: Callable[[], int] = os.fork) -> int:
        if pid := own():
            began.append(pid)
            raise KeyboardInterrupt
        return 0

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module.os, "fork", fork)
        run_module("isolated_network", state="started", directory=place)
    stat = Path(f"/proc/{began[0]}/stat")
    try:
        until(lambda: (place / "owner").exists() and (place / "record").read_text(), 20)
        run_module("isolated_network", state="ended", directory=place)
        assert not stat.exists() or " Z " in stat.read_text()
    finally:
        os.kill(began[0], signal.SIGKILL)


def test_end_of_what_never_started_is_no_error(run_module: Run, tmp_path: Path) -> None:
    if not CAN_MAKE_ONE:
        pytest.skip("a network namespace cannot be made here: it needs root, outside of an ordinary container")
    assert run_module("isolated_network", state="ended", directory=tmp_path / "nothing")["lines"] == []


def test_only_root_can_make_a_network(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    with pytest.raises(ModuleError, match="set ansible_become"):
        run_module("isolated_network", state="started", directory=tmp_path)


def test_check_mode_does_nothing(run_module: Run, tmp_path: Path) -> None:
    said = run_module("isolated_network", check=True, state="started", directory=tmp_path / "place")
    assert (said["changed"], said["predicted"]) == (True, True)
    assert list(tmp_path.iterdir()) == []
