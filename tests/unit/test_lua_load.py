"""Lua modules must load, each in its own process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]


def test_modules_are_loaded_and_programs_tried(run_module: Run, generation: Path) -> None:
    log = generation / "logs" / "load.log"
    said = run_module("lua_load", generation=generation, modules=["torch", "nn"], tries=["assert(1)"], log=log)
    assert [seen["module"] for seen in said["evidence"]] == ["torch", "nn", "a trial"]
    assert said["changed"] is False


def test_directories_that_killed_trials_left_are_removed_and_those_of_now_stay(
    run_module: Run, generation: Path
) -> None:
    (generation / "logs").mkdir(exist_ok=True)
    old, new = generation / "logs" / ".trial-abc123", generation / "logs" / ".trial-def456"
    for folder in (old, new):
        folder.mkdir()
        (folder / "part.h5").write_text("x")
    os.utime(old, (1, 1))
    run_module(
        "lua_load", generation=generation, modules=["torch"], tries=["assert(1)"], log=generation / "logs" / "load.log"
    )
    assert [path.name for path in (generation / "logs").glob(".trial-*")] == [new.name]


@pytest.mark.parametrize("modules", [["torch", "broken"], ["silent"]])
def test_module_that_does_not_load_is_an_error(run_module: Run, generation: Path, modules: list[str]) -> None:
    with pytest.raises(ModuleError, match=f"{modules[-1]} was installed, but"):
        run_module("lua_load", generation=generation, modules=modules, log=generation / "logs" / "load.log")


def test_log_of_an_earlier_load_is_replaced(run_module: Run, generation: Path) -> None:
    log = generation / "logs" / "load.log"
    log.write_text("loaded silent 1.0\n")
    with pytest.raises(ModuleError):
        run_module("lua_load", generation=generation, modules=["silent"], log=log)
    assert "loaded silent 1.0" not in log.read_text().splitlines()


def test_check_mode_loads_nothing(run_module: Run, generation: Path) -> None:
    log = generation / "logs" / "load.log"
    assert run_module("lua_load", check=True, generation=generation, modules=["broken"], log=log)["evidence"] == []
    assert not log.exists()
