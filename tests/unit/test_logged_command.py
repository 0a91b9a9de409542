"""Long commands: a log on the host, the cause on failure, and text that has to be printed whatever is returned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]


def test_command_runs_in_its_directory_with_its_environment(run_module: Run, tmp_path: Path) -> None:
    log = tmp_path / "the 'log' folder" / "x.log"
    argv = ["sh", "-c", 'echo "$A in $(pwd)"']
    said = run_module("logged_command", argv=argv, log=log, chdir=tmp_path, environment={"A": 7})
    assert (said["changed"], said["rc"], said["printed"]) == (True, 0, f"7 in {tmp_path}")


def test_command_runs_in_the_environment_of_a_generation(run_module: Run, generation: Path) -> None:
    said = run_module("logged_command", argv=["luajit", "-e", "tried"], log=generation / "x.log", generation=generation)
    assert said["rc"] == 0


def test_failure_shows_cause_end_and_log(run_module: Run, tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo 'cannot find -lgfortran'; seq 60; exit 2"]
    with pytest.raises(ModuleError) as caught:
        run_module("logged_command", argv=argv, log=tmp_path / "x.log")
    message = str(caught.value)
    assert "failed (rc 2). The whole log: " + str(tmp_path / "x.log") in message
    assert "\ncannot find -lgfortran\n" in message
    assert "\n60" in message
    assert caught.value.result["log"] == str(tmp_path / "x.log")


def test_program_that_returns_0_and_did_not_print_what_it_should_has_failed(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="rc 0, but it did not print '-language_eval'"):
        run_module("logged_command", argv=["echo", "usage"], log=tmp_path / "x.log", expect="-language_eval")
    said = run_module(
        "logged_command", argv=["echo", " -language_eval"], log=tmp_path / "x.log", expect="-language_eval"
    )
    assert said["rc"] == 0


def test_text_in_the_command_itself_is_not_printed_by_it(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="did not print 'done'"):
        run_module("logged_command", argv=["true", "done"], log=tmp_path / "x.log", expect="done")


def test_text_of_an_earlier_run_does_not_count(run_module: Run, tmp_path: Path) -> None:
    run_module("logged_command", argv=["echo", "done"], log=tmp_path / "x.log", expect="done")
    with pytest.raises(ModuleError, match="did not print 'done'"):
        run_module("logged_command", argv=["true"], log=tmp_path / "x.log", expect="done")


def test_time_that_is_up_is_told(run_module: Run, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="sleep 60 failed \\(ran longer than 1 s\\)"):
        run_module("logged_command", argv=["sleep", "60"], log=tmp_path / "x.log", timeout=1)


def test_check_mode_predicts_and_runs_nothing(run_module: Run, tmp_path: Path) -> None:
    said = run_module("logged_command", check=True, argv=["touch", str(tmp_path / "x")], log=tmp_path / "x.log")
    assert said["changed"] is True
    assert list(tmp_path.iterdir()) == []
