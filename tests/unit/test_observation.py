"""A failure to observe a run never ends it. A run whose directory was deleted ends, also if its name is used again."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugins.module_utils.runs import admission, sampling
from tests.unit.conftest import program
from tests.unit.modules import ModuleError
from tests.unit.test_stack_run import data, ended, root, start_all
from tests.unit.test_supervisor import train, training
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

__all__ = ["data", "root"]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def supervisor(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("runs.supervisor")
    monkeypatch.setattr(module, "POLL", 0.02)
    monkeypatch.setattr(module.signal, "signal", lambda *given: None)
    return module


def supervise(supervisor: ModuleType, root: Path, generation: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Supervise one run to its end in this process; return its status."""
    plan = {"root": str(root), "generation": str(generation), "card": None, "runs": [run]}
    directory = str(root / "runs" / run["id"])
    admission.admit(str(root), plan, directory)
    supervisor.Supervisor(str(root), plan, directory).supervise_all()
    status: dict[str, Any] = supervisor.Run(str(root), run["id"]).status()
    return status


def test_file_of_a_process_that_ended_between_opening_and_reading_is_no_file(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = load("host.files")
    child = subprocess.Popen(["sleep", "60"])
    real = os.open

    def opens(path: str, flags: int, *mode: int) -> int:
        handle = real(path, flags, *mode)
        if path == f"/proc/{child.pid}/stat":
            child.kill()
            child.wait()
        return handle

    monkeypatch.setattr(files.os, "open", opens)
    assert files.read_text(f"/proc/{child.pid}/stat") is None


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ESRCH, "No such process"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        ValueError("not enough values to unpack"),
        MemoryError(),
    ],
    ids=lambda problem: type(problem).__name__ + str(problem)[:12],
)
@pytest.mark.parametrize(
    "where",
    [
        "sampling.sample",
        "sampling.members",
        "sampling.last_iteration",
        "sampling.append_sample",
        "supervisor.last_iteration",
        "supervisor.append_sample",
        "supervisor.end_of_stage",
        "stage_end.last_iteration",
        "stage_end.report_of",
    ],
)
def test_program_continues_whatever_error_a_sample_raises(
    load: Callable[[str], ModuleType],
    supervisor: ModuleType,
    root: Path,
    generation: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    problem: Exception,
) -> None:
    program(generation, "th", "echo 'iter 1: 2.5'; sleep 0.4; echo whole")

    def fails(*_given: Any) -> None:
        raise problem

    module, _, name = where.partition(".")
    monkeypatch.setattr(load(f"runs.{module}"), name, fails)
    until = {"iterations": 1000}
    monkeypatch.setattr(load("runs.sampling"), "INTERVALS", ((float("inf"), 0.05),))
    said = supervise(supervisor, root, generation, training("x", data, until=until))
    assert (said["exit_code"], said["ended"]) == (0, None)
    assert "whole" in (root / "runs" / "x" / "log").read_text()


def test_sample_says_what_could_not_be_determined(
    load: Callable[[str], ModuleType],
    supervisor: ModuleType,
    root: Path,
    generation: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(generation, "th", "sleep 0.3")

    def fails(*_given: Any) -> None:
        raise OSError(errno.ESRCH, "No such process")

    monkeypatch.setattr(load("runs.sampling"), "members", fails)
    supervise(supervisor, root, generation, training("x", data))
    samples = [json.loads(line) for line in (root / "runs" / "x" / "samples").read_text().splitlines()]
    assert "No such process" in samples[0]["problem"]


def test_sample_tells_that_the_card_of_the_run_is_gone(
    load: Callable[[str], ModuleType], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = load("runs.sampling")
    monkeypatch.setattr(sampling.cards, "processes", list)
    monkeypatch.setattr(sampling.cards, "cards", lambda: [{"uuid": None, "used": None, "utilization": None}])
    found = sampling.sample(load("runs.files").Run(str(root), "x"), 0, {"uuid": "GPU-1"}, 0.0)
    assert (found["on"], found["problem"]) == ([], "nvidia-smi does not list GPU-1 any more")


def test_stage_whose_end_cannot_be_written_continues_until_it_can(
    load: Callable[[str], ModuleType],
    supervisor: ModuleType,
    root: Path,
    generation: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(generation, [5.0, 4.0, 3.0, 2.0])
    real, refused = supervisor.write_json, []

    def full(path: str, value: object) -> None:
        if path.endswith("ended.json") and len(refused) < 2:
            refused.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, value)

    monkeypatch.setattr(supervisor, "write_json", full)
    monkeypatch.setattr(load("runs.sampling"), "INTERVALS", ((float("inf"), 0.1),))
    said = supervise(supervisor, root, generation, training("x", data, until={"iterations": 5}))
    assert len(refused) == 2
    assert said["ended"]["by"] == "iterations"


def test_exit_code_is_written_as_soon_as_the_disk_has_room(
    supervisor: ModuleType, root: Path, generation: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(generation, "th", "exit 3")
    real, refused = supervisor.write_whole, []

    def full(path: str, text: str, *mode: int) -> None:
        if path.endswith("exit") and len(refused) < 3:
            refused.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, text, *mode)

    monkeypatch.setattr(supervisor, "write_whole", full)
    assert supervise(supervisor, root, generation, training("x", data))["exit_code"] == 3
    assert len(refused) == 3


def test_full_disk_is_named_where_a_run_fails_on_one(
    supervisor: ModuleType,
    root: Path,
    generation: Path,
    data: Path,
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(generation, "th", "exit 1")
    monkeypatch.setattr(load("host.disk"), "FULL_DISK", 1 << 62)
    said = supervise(supervisor, root, generation, training("x", data))
    assert (said["exit_code"], said["ended"]["by"]) == (1, "disk")
    assert "no space left on the disk of " in said["ended"]["evidence"]


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_clock_that_was_set_does_not_change_when_samples_are_due(
    supervisor: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    (root / "runs" / "x").mkdir(parents=True)
    sampler = sampling.Sampler(supervisor.Run(str(root), "x"), os.getpid(), None)
    assert sampler.due()
    sampler.take()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    assert not sampler.due()
    sampler.last -= 61
    assert sampler.due()
    sampler.close()


STUBBORN = "trap '' TERM; while ! test -e '{go}'; do sleep 0.05; done"


def test_run_whose_directory_was_deleted_ends_and_its_name_is_taken_until_then(
    run_module: Run, root: Path, generation: Path, data: Path, tmp_path: Path, load: Callable[[str], ModuleType]
) -> None:
    program(generation, "th", "trap '' TERM; echo began; exec sleep 60")
    started = start_all(root, [training("s", data), training("t", data)])
    alive = load("host.processes").is_alive
    begun = json.loads((root / "runs" / "s" / "process.json").read_text())["start"]
    shutil.rmtree(root / "runs" / "s")
    with pytest.raises(ModuleError, match=r"a process of a run called s is still running \(pid \d+ on \S+\)"):
        start_all(root, [training("s", data)])
    assert not (root / "runs" / "s").exists()
    until(lambda: not alive(started["pid"], begun))
    # Nothing of it comes back, and what waited for its turn has it.
    until((root / "runs" / "t" / "process.json").exists)
    assert not (root / "runs" / "s").exists()
    program(generation, "th", "echo another")
    start_all(root, [training("s", data)])
    assert ended(run_module, root, "s")["text"] == "another\n"
    with contextlib.suppress(ProcessLookupError):  # it may have begun with the program that came last
        os.killpg(json.loads((root / "runs" / "t" / "process.json").read_text())["pid"], signal.SIGKILL)
    ended(run_module, root, "t")


def test_directory_that_another_has_put_in_its_place_is_not_written_into(
    supervisor: ModuleType, root: Path, generation: Path, data: Path
) -> None:
    program(generation, "th", "exec sleep 60")
    place = root / "runs" / "x"

    def exchange() -> None:
        until((place / "process.json").exists)
        shutil.rmtree(place)
        place.mkdir()

    other = threading.Thread(target=exchange)
    other.start()
    supervise(supervisor, root, generation, training("x", data))
    other.join()
    assert list(place.iterdir()) == []


def test_name_is_held_as_long_as_a_process_of_the_run_lives(
    run_module: Run, root: Path, generation: Path, data: Path, load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """Also where the process that led it is gone."""
    program(generation, "th", STUBBORN.format(go=tmp_path / "go"))
    started = start_all(root, [training("x", data)])
    run = load("runs.files").Run(str(root), "x")
    time.sleep(0.3)  # by then the trap is set
    os.kill(run.supervisor()["pid"], signal.SIGKILL)
    shutil.rmtree(run.path)
    with pytest.raises(ModuleError, match="a process of a run called x is still running"):
        start_all(root, [training("x", data)])
    (tmp_path / "go").touch()
    until(lambda: not load("host.processes").start_of(started["pid"]))
    os.close(run.hold())
