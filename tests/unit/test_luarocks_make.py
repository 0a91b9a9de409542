"""Rocks: the rockspec is found, old caches are removed, and the rock is built, installed and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.conftest import program
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A rock's source, at a path with a space and a quote."""
    place = tmp_path / "nn's source"
    (place / "rocks").mkdir(parents=True)
    (place / "rocks" / "nn-scm-1.rockspec").write_text("package = 'nn'")
    return place


def arguments(generation: Path, source: Path, **more: Any) -> dict[str, Any]:
    log = generation / "logs" / "nn.log"
    given = {"generation": generation, "source": source, "rockspec": "rocks/*.rockspec", "loads": ["nn"], "log": log}
    return {**given, **more}


def test_the_one_rockspec_is_found(load: Callable[[str], ModuleType], source: Path) -> None:
    module = load("luarocks_make")
    for pattern in ("rocks/nn-scm-1.rockspec", "rocks/nn-*.rockspec", "*/*.rockspec"):
        assert module.find_rockspec(str(source), pattern) == "rocks/nn-scm-1.rockspec"


def test_no_rockspec_or_several_is_an_error_that_lists_what_there_is(
    load: Callable[[str], ModuleType], source: Path
) -> None:
    module = load("luarocks_make")
    with pytest.raises(module.StackError, match=r"0 rockspecs match hdf5.* There are: rocks/nn-scm-1\.rockspec"):
        module.find_rockspec(str(source), "hdf5-0-0.rockspec")
    (source / "nn-2-1.rockspec").touch()
    (source / "nn-1-1.rockspec").touch()
    with pytest.raises(module.StackError, match=r"2 rockspecs match nn.* There are: nn-1-1\.rockspec, nn-2-1"):
        module.find_rockspec(str(source), "nn-*.rockspec")
    with pytest.raises(module.StackError, match="There are: none"):
        module.find_rockspec(str(source / "rocks" / "none"), "*.rockspec")


def test_what_an_earlier_build_left_is_removed_and_nothing_else(
    load: Callable[[str], ModuleType], source: Path
) -> None:
    for folder in ("build/CMakeFiles", "build.luarocks", "lib"):
        (source / folder).mkdir(parents=True)
    for file in ("build/x.o", "CMakeCache.txt", "CMakeLists.txt"):
        (source / file).touch()
    load("luarocks_make").clean(str(source))
    assert sorted(path.name for path in source.iterdir()) == ["CMakeLists.txt", "lib", "rocks"]
    load("luarocks_make").clean(str(source))


def test_rock_is_made_and_loaded(run_module: Run, generation: Path, source: Path) -> None:
    program(generation, "luarocks", 'echo "$@ in $(pwd) with $MAKEFLAGS"')
    said = run_module("luarocks_make", **arguments(generation, source, jobs=3))
    assert said["changed"] is True
    assert [seen["module"] for seen in said["evidence"]] == ["nn"]
    log = (generation / "logs" / "nn.log").read_text()
    assert f"make rocks/nn-scm-1.rockspec in {source} with -j3" in log


def test_cache_of_another_machine_is_gone_when_the_rock_is_made(
    run_module: Run, generation: Path, source: Path
) -> None:
    (source / "build").mkdir()
    (source / "build" / "CMakeCache.txt").touch()
    program(generation, "luarocks", "test ! -e build")
    assert run_module("luarocks_make", **arguments(generation, source))["changed"] is True


def test_rock_that_is_not_made_shows_the_end_of_its_log(run_module: Run, generation: Path, source: Path) -> None:
    program(generation, "luarocks", "echo 'fatal error: TH.h: No such file'; exit 1")
    with pytest.raises(ModuleError) as caught:
        run_module("luarocks_make", **arguments(generation, source))
    assert "luarocks make rocks/nn-scm-1.rockspec" in str(caught.value)
    assert "fatal error: TH.h" in str(caught.value)
    assert caught.value.result["log"] == str(generation / "logs" / "nn.log")


@pytest.mark.parametrize("loads", [["broken"], ["silent"]])
def test_rock_that_was_made_and_does_not_load_is_an_error(
    run_module: Run, generation: Path, source: Path, loads: list[str]
) -> None:
    """luarocks ends with 0 when a module is missing that it was to install."""
    program(generation, "luarocks", "true")
    with pytest.raises(ModuleError, match=f"{loads[0]} was installed, but"):
        run_module("luarocks_make", **arguments(generation, source, loads=loads))


def test_rock_that_loads_and_does_not_work_is_an_error(run_module: Run, generation: Path, source: Path) -> None:
    program(generation, "luarocks", "true")
    with pytest.raises(ModuleError, match="nn loads, but does not work: its trial failed"):
        run_module("luarocks_make", **arguments(generation, source, tries=["silence()"]))


def test_check_mode_predicts_and_builds_nothing(run_module: Run, generation: Path, tmp_path: Path) -> None:
    said = run_module("luarocks_make", check=True, **arguments(generation, tmp_path / "not there yet"))
    assert (said["changed"], said["evidence"]) == (True, [])
    assert list((generation / "logs").iterdir()) == []
