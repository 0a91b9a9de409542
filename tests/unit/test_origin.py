"""Processes whose id stands in a file on a shared disk: of this machine, of another one, and of one with its name."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = {"node": "gpu1", "boot": "b1", "space": "s1", "machine": "m1"}


@pytest.fixture
def origin(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A machine with known ids."""
    module = load("host.origin")
    monkeypatch.setattr(module, "origin", lambda: dict(HERE))
    return module


ORIGINS = {
    "the same process namespace": ({}, True),
    "the host got another name": ({"node": "renamed"}, True),
    "a reboot": ({"boot": "b0"}, True),
    "a container that was started again": ({"space": "s0"}, True),
    "another host": ({"node": "gpu2", "boot": "b2", "machine": "m2"}, False),
    "another container of this machine": ({"node": "c2", "space": "s2"}, False),
    "a clone with the same machine id": ({"node": "gpu2", "boot": "b2"}, False),
    "another host with this name": ({"boot": "b2", "machine": "m2"}, False),
    "a version that recorded the name alone": ({"boot": "", "space": "", "machine": ""}, True),
    "a version that recorded another name alone": ({"node": "gpu2", "boot": "", "space": "", "machine": ""}, False),
    "a version that recorded nothing": ({"node": "", "boot": "", "space": "", "machine": ""}, True),
    "machines that tell no ids": ({"boot": "-", "space": "-", "machine": "-"}, True),
}


@pytest.mark.parametrize("kind", ORIGINS)
def test_process_is_of_this_machine_or_it_is_not(origin: ModuleType, kind: str) -> None:
    changed, here = ORIGINS[kind]
    assert origin.is_here({**HERE, **changed}) is here


def test_own_process_is_here(load: Callable[[str], ModuleType]) -> None:
    module = load("host.origin")
    assert module.is_here(module.origin())
    assert all(value and " " not in value for value in module.origin().values())


@pytest.fixture
def foreign(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes what follows run on another machine."""

    def foreign(node: str = "gpu2") -> None:
        told = {"node": node, "boot": "b2", "space": "s2", "machine": "m2"}
        for name in ("host.origin", "host.commands"):
            monkeypatch.setattr(load(name), "origin", lambda: told)

    return foreign


def test_build_of_another_machine_is_named_and_never_ended(
    load: Callable[[str], ModuleType], tmp_path: Path, foreign: Callable[..., None]
) -> None:
    """The pid of the build belongs to a process of this machine too, even with the same start."""
    commands = load("host.commands")
    (tmp_path / "logs").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        (tmp_path / "logs" / "x.log.pid").write_text(commands._pid_line(innocent.pid))
        own = {"log": str(tmp_path / "logs" / "x.log"), "pid": innocent.pid}
        node = os.uname()[1]
        assert commands.all_builds(str(tmp_path)) == [{**own, "host": ""}]
        assert commands.running_builds(str(tmp_path)) == [own]
        foreign()
        assert commands.all_builds(str(tmp_path)) == [{**own, "host": node}]
        assert commands.end_builds(str(tmp_path)) == []
        assert innocent.poll() is None
        innocent.kill()


@pytest.mark.parametrize("text", ["", "x", "1 2 3", "a b c d e f", "1 2 3 4 5 6 7", "\0" * 9000])
def test_file_of_a_pid_that_says_nothing_is_no_build(
    load: Callable[[str], ModuleType], tmp_path: Path, text: str
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "x.log.pid").write_text(text)
    assert load("host.commands").all_builds(str(tmp_path)) == []


def test_generation_of_a_run_of_another_machine_is_kept_while_the_run_writes(
    load: Callable[[str], ModuleType], tmp_path: Path, foreign: Callable[..., None]
) -> None:
    files, uses, origin = load("runs.files"), load("runs.uses"), load("host.origin")
    run = files.Run(str(tmp_path), "x")
    Path(run.path).mkdir(parents=True)
    Path(run.record).write_text(json.dumps({"generation": "g1", "supervisor": run.path}))
    state = {**origin.origin(), "pid": 1, "start": "1"}
    Path(run.path, "state.json").write_text(json.dumps(state))
    Path(run.process).write_text(json.dumps({"pid": 1, "start": "1"}))
    assert uses.generations_in_use(str(tmp_path)) == set()
    foreign()
    assert run.status()["elsewhere"] == state["node"]
    assert uses.generations_in_use(str(tmp_path)) == {"g1"}
    long_ago = time.time() - uses.KEEPS - 60
    for path in (run.record, run.process):
        os.utime(path, (long_ago, long_ago))
    assert uses.generations_in_use(str(tmp_path)) == set()
    os.utime(run.process)
    Path(run.exit).write_text("0\n")
    assert uses.generations_in_use(str(tmp_path)) == set()


def test_two_that_write_one_log_do_not_disturb_each_other(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    own_log = load("host.own_log").own_log
    log = tmp_path / "logs" / "verify.log"
    left = tmp_path / "logs" / "verify.log.own-killed"
    with own_log(str(log)) as first, own_log(str(log)) as second:
        Path(first).write_text("first")
        Path(second).write_text("second")
        assert first != second
        assert not log.exists()
        left.touch()
    assert log.read_text() == "first"
    assert log.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in log.parent.iterdir() if path != left] == ["verify.log"]
    os.utime(left, (0, 0))
    with own_log(str(log)):
        assert not left.exists()


def test_log_is_there_if_its_process_failed(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    with pytest.raises(KeyError), load("host.own_log").own_log(str(tmp_path / "x.log")) as path:
        Path(path).write_text("words")
        raise KeyError
    assert (tmp_path / "x.log").read_text() == "words"


def test_link_that_a_shared_disk_shows_late_is_waited_for(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, current = load("host.links"), tmp_path / "current"
    for name in ("a", "b"):
        (tmp_path / "generations" / name).mkdir(parents=True)
    current.symlink_to("generations/a")
    waited: list[Any] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            current.unlink()
            current.symlink_to("generations/b")

    monkeypatch.setattr(links.time, "sleep", sleep)
    links.await_link(str(current), "b")
    assert len(waited) == 3
    monkeypatch.setattr(links, "PATIENCE", -1)
    with pytest.raises(links.StackError, match="is generations/b on this host, not generation c"):
        links.await_link(str(current), "c")
    current.unlink()
    with pytest.raises(links.StackError, match="does not exist on this host, not generation c"):
        links.await_link(str(current), "c")
