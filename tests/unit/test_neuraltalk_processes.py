"""Child processes that answer tasks: shared out, told when they die, and gone with their parent."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.waiting import until

Load = Callable[[str], ModuleType]


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("programs.processes")


def run(module: ModuleType, tasks: list[Any], work: Callable[..., Any], jobs: int = 2) -> list[tuple[Any, Any]]:
    """The tasks and their answers, in the order in which they were done."""
    pool, done = module.Pool(jobs, work), []
    try:
        pool.run(tasks, lambda task, answer: done.append((task, answer)), lambda task, at, _number: [task, at], int)
    finally:
        pool.end()
    return done


def test_all_tasks_are_done_once_by_several_processes(module: ModuleType) -> None:
    done = run(module, list(range(50)), lambda task, _note: [task * task, os.getpid()])
    assert sorted(task for task, _answer in done) == list(range(50))
    assert all(answer[0] == task * task for task, answer in done)
    pids = {answer[1] for _task, answer in done}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_answers_and_tasks_may_be_larger_than_a_pipe(module: ModuleType) -> None:
    long = "x" * 300_000
    assert run(module, [long] * 3, lambda task, _note: task + "y") == [(long, long + "y")] * 3


def test_crash_is_told_with_its_place_and_another_process_goes_on(module: ModuleType) -> None:
    def work(task: Any, note: Callable[[int], None]) -> Any:
        if isinstance(task, list):
            return f"left out {task[1]}"
        note(7)
        if task == 3:
            os.kill(os.getpid(), signal.SIGBUS)
        return "fine"

    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    done = run(module, [1, 2, 3, 4, 5, 6], work)
    assert len(done) == 6
    assert ([3, 7], "left out 7") in done


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "out-of-memory killer"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "ended (signal 15)"),
        (lambda: os._exit(3), "ended (exit code 3)"),
        (lambda: {}["a"], "KeyError: 'a'"),
    ],
)
def test_process_that_ends_or_fails_ends_all_with_words(module: ModuleType, act: Callable[[], Any], words: str) -> None:
    with pytest.raises(module.StackError) as caught:
        run(module, [1, 2, 3], lambda _task, _note: act())
    assert words in str(caught.value)


@pytest.mark.parametrize("file", [None, "/data/o.h5"])
def test_full_disk_that_a_process_meets_has_its_code_and_its_file(module: ModuleType, file: str | None) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", file)

    with pytest.raises(module.StackError) as caught:
        module.in_child(full)
    assert caught.value.details["code"] == "disk.full"
    assert str(caught.value) == (f"{file}: No space left on device" if file else "[Errno 28] No space left on device")


def test_what_libraries_print_reaches_nobody(module: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    run(module, [1], lambda _task, _note: [os.write(1, b"out"), os.write(2, b"error")])
    assert capfd.readouterr() == ("", "")


def test_children_die_with_their_parent_whatever_ends_it(module: ModuleType) -> None:
    receive, send = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = module.Process(lambda _task, _note: time.sleep(100))
        child.give({})
        os.write(send, b"%d\n" % child.pid)
        time.sleep(100)
    child = int(os.read(receive, 100))
    assert Path(f"/proc/{child}/status").exists()
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until(lambda: not alive(child))
    os.close(receive)
    os.close(send)


def alive(pid: int) -> bool:
    """Whether a process runs and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_work_done_apart_gives_its_result_or_its_error(module: ModuleType) -> None:
    assert module.in_child(lambda: {"pid": os.getpid()})["pid"] != os.getpid()

    def refuse() -> None:
        raise module.StackError("no \u00fc", field="x")

    with pytest.raises(module.StackError, match="no \u00fc") as caught:
        module.in_child(refuse)
    assert caught.value.details == {"field": "x"}
