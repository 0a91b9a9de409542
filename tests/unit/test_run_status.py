"""The status of a run that ends while its status is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REASON = {"by": "plateau", "evidence": "the validation loss did not fall for 2 validations"}


@pytest.fixture
def run(tmp_path: Path, load: Callable[[str], ModuleType]) -> Any:
    """A run with a process, which is taken for alive."""
    files = load("runs.files")
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"generation": "0a1b2c3d4e5f6071", "program": "train.lua"}))
    (folder / "process.json").write_text(json.dumps({"pid": 1, "start": 1}))
    return files.Run(str(tmp_path), "one")


def end(run: Any) -> None:
    """Write what the supervisor of a run writes at its end, in the same order."""
    Path(run.ended).write_text(json.dumps(REASON))
    Path(run.exit).write_text("143\n")


@pytest.mark.parametrize("step", ["exit_code", "supervisor", "has_ended", "read"])
def test_run_that_ends_at_one_of_the_steps_does_not_look_killed_or_damaged(
    run: Any, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The supervisor lives until it has written that the run ended."""
    monkeypatch.setattr(load("runs.files"), "is_alive", lambda pid, start: not Path(run.exit).exists())
    original = getattr(run, step)

    def after_the_end(*given: Any) -> Any:
        end(run)
        return original(*given)

    monkeypatch.setattr(run, step, after_the_end)
    status = run.status()
    assert status["damaged"] == []
    assert status["running"] or (status["ended"], status["exit_code"]) == (REASON, 143)


def test_run_whose_processes_end_while_they_are_looked_at_has_its_reason(
    run: Any, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(pid: int, start: int) -> bool:
        end(run)
        return False

    monkeypatch.setattr(load("runs.files"), "is_alive", ends)
    status = run.status()
    assert (status["running"], status["ended"], status["exit_code"], status["damaged"]) == (False, REASON, 143, [])


@pytest.mark.parametrize("levels", [90, 110, 900, 200_000])
def test_file_of_a_run_that_is_nested_too_deeply_is_damaged_and_its_status_can_be_written(
    run: Any, load: Callable[[str], ModuleType], levels: int
) -> None:
    """Of 900 levels the text can be read here, but perhaps not written again where the stack of calls is deeper."""
    Path(run.ended).write_text('{"by": ' + "[" * levels + "]" * levels + "}")
    status = run.status()
    assert (status["damaged"] == []) == (levels < 100)
    assert json.dumps(status)
    assert load("runs.summary").rows(run.root)[0]["id"] == "one"


@pytest.mark.parametrize("card", [{"uuid": ["GPU-1"]}, {"uuid": {}}, ["GPU-1"], "GPU-1"])
def test_damaged_run_does_not_refuse_the_start_of_others(
    run: Any, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, card: Any
) -> None:
    monkeypatch.setattr(load("runs.files"), "is_alive", lambda pid, start: True)
    other = Path(run.path).with_name("other")
    other.mkdir()
    (other / "run.json").write_text("[" * 200_000)
    Path(run.process).write_text(json.dumps({"pid": 1, "start": 1, "card": card}))
    assert load("runs.leases").taken(run.root) == {}
