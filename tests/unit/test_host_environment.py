"""The environment of builds and trials: the login's compiler, paths and variables have no effect on them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugins.module_utils.gpu import toolkits
from plugins.module_utils.host import commands, environment, lua, packages
from plugins.module_utils.rules.texts import UTF8
from tests.unit import conftest
from tests.unit.programs import program

Run = Callable[..., dict[str, Any]]
LEAKS = {
    "BASH_ENV": "/root/.bashrc",
    "CC": "/opt/conda/bin/gcc",
    "CFLAGS": "-march=native",
    "CMAKE_PREFIX_PATH": "/opt/conda",
    "CONDA_PREFIX": "/opt/conda",
    "CPATH": "/opt/conda/include",
    "CXX": "/opt/conda/bin/g++",
    "CXXFLAGS": "-Werror",
    "LDFLAGS": "-L/opt/conda/lib",
    "LD_LIBRARY_PATH": "/opt/conda/lib",
    "LD_PRELOAD": "",
    "LIBRARY_PATH": "/opt/conda/lib",
    "LUA_CPATH": "/root/?.so",
    "LUA_INIT": "os.exit(1)",
    "LUA_PATH": "/root/?.lua",
    "MAKEFLAGS": "-k",
    "PIP_TARGET": "/root/packages",
    "PKG_CONFIG_PATH": "/opt/conda/lib/pkgconfig",
    "PYTHONHOME": "/opt/conda",
    "PYTHONPATH": "/opt/conda/lib/python3.12",
    "TORCH_LUA_VERSION": "LUA52",
}
KEPT = {"HOME": "/root", "CUDA_VISIBLE_DEVICES": "1", "https_proxy": "http://proxy.example.org:3128"}


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login with conda first in PATH, whose compilers fail, and with every variable that builds read."""
    place = tmp_path / "conda" / "bin"
    for name in ("gcc", "cmake", "make", "luarocks", "lua", "dpkg-query", "rpm"):
        program(place / name, "#!/bin/sh\necho 'this is conda'; exit 1\n")
    monkeypatch.setenv("PATH", f"{place}:{environment.PATH}")
    for name, value in {**LEAKS, **KEPT}.items():
        monkeypatch.setenv(name, value)
    return place


def seen(log: Path) -> dict[str, str]:
    """The environment that `env` wrote into a log."""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines()[1:] if "=" in line]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_program_gets_nothing_of_the_login_that_changes_what_it_builds(login: Path, tmp_path: Path) -> None:
    commands.run_logged(["env"], str(tmp_path / "x.log"), environment={"MINE": "1"})
    got = seen(tmp_path / "x.log")
    assert sorted(LEAKS.keys() & got.keys()) == []
    assert got["PATH"] == environment.PATH
    assert {name: got[name] for name in KEPT} == KEPT
    assert got["MINE"] == "1"


def test_names_of_files_are_utf8_and_messages_english(
    login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "de_DE.ISO-8859-1", "LANG": "de_DE", "LANGUAGE": "de"}.items():
        monkeypatch.setenv(name, value)
    commands.run_logged(["env"], str(tmp_path / "x.log"))
    got = seen(tmp_path / "x.log")
    assert UTF8.items() <= got.items()
    assert not {"LANG", "LANGUAGE"} & got.keys()


@pytest.mark.parametrize("there", [True, False])
def test_directory_for_temporary_files_is_passed_on_only_if_it_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path if there else tmp_path / "none"))
    assert environment.clean().get("TMPDIR") == (str(tmp_path) if there else None)


def test_host_without_that_locale_hides_no_cause(tmp_path: Path) -> None:
    """EL 7 has no C.UTF-8, and each shell says so; so does the loader of a library that is gone."""
    said = "bash: warning: setlocale: LC_ALL: cannot change locale (C.UTF-8)\n" * 9
    said += "ERROR: ld.so: object '/x.so' from /etc/ld.so.preload cannot be preloaded (none): ignored.\n" * 9
    (tmp_path / "x.log").write_text(said + "x.c:1: error: no such type\n" + "make: leaving\n" * 99)
    assert commands.log_tail(str(tmp_path / "x.log"))[:2] == ["x.c:1: error: no such type", "..."]


def test_value_that_a_task_gives_wins(login: Path, tmp_path: Path) -> None:
    commands.run_logged(["env"], str(tmp_path / "x.log"), environment={"CC": "gcc-12", "PATH": "/usr/bin:/bin"})
    assert (seen(tmp_path / "x.log")["CC"], seen(tmp_path / "x.log")["PATH"]) == ("gcc-12", "/usr/bin:/bin")


def test_every_door_to_a_build_uses_it(login: Path, run_module: Run, generation: Path, tmp_path: Path) -> None:
    """luarocks make, the trials after it, and a command of a role: the compiler and the variables are the system's."""
    conftest.program(generation, "luarocks", "env; command -v make")
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "nn-1.rockspec").touch()
    logs = generation / "logs"
    run_module(
        "luarocks_make",
        generation=generation,
        source=tmp_path / "nn",
        rockspec="nn-1.rockspec",
        loads=["nn"],
        env={"CUDA_PATH": "/c"},
        log=logs / "nn.log",
    )
    assert sorted(LEAKS.keys() & (seen(logs / "nn.log").keys() - {"MAKEFLAGS"})) == []
    assert (seen(logs / "nn.log")["MAKEFLAGS"], seen(logs / "nn.log")["CUDA_PATH"]) == ("-j1", "/c")
    assert f"{login}/make" not in (logs / "nn.log").read_text(encoding="utf-8")
    run_module("logged_command", argv=["env"], log=logs / "x.log", generation=generation)
    assert sorted(LEAKS.keys() & seen(logs / "x.log").keys()) == []
    conftest.program(generation, "luajit", "env; echo 'loaded nn 1'")
    lua.load_modules(str(generation), ["nn"], str(logs / "load.log"))
    assert sorted(LEAKS.keys() & seen(logs / "load.log").keys()) == []


def test_program_that_is_asked_gets_nothing_of_the_login_either(login: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plan sees is what the build will use: the libraries of conda would end dpkg-query and apt-get."""
    text, _code = commands.output_of(["env"], environment={"MINE": "1"})
    got = dict(line.split("=", 1) for line in text.splitlines())
    assert sorted(LEAKS.keys() & got.keys()) == []
    assert (got["PATH"], got["MINE"], got["LC_ALL"]) == (environment.PATH, "1", "C")
    assert "this is conda" not in packages.query(["rpm", "--version"]) + packages.query(["dpkg-query", "--version"])
    assert toolkits.version_of("gcc") != "this is conda"


def test_only_what_names_it_gets_the_login(login: Path) -> None:
    """Slurm's jobs inherit the environment; nvidia-smi and systemctl can be elsewhere."""
    text, _code = commands.output_of(["env"], login=True)
    assert set(LEAKS) <= {line.partition("=")[0] for line in text.splitlines()}
    assert "\nLC_ALL=C\n" in f"\n{text}"
    found, _code = commands.output_of(["sh", "-c", "command -v luarocks"], environment=environment.login_path())
    assert found.strip() == str(login / "luarocks")


def test_files_in_the_directory_of_the_login_are_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks first in the directory in which it is started, also for its own modules."""
    (tmp_path / "json.py").write_text("print('executed')")
    monkeypatch.chdir(tmp_path)
    argv = [sys.executable, "-c", "import json, os; print(os.getcwd())"]
    commands.run_logged(argv, str(tmp_path / "x.log"))
    assert (tmp_path / "x.log").read_text().splitlines()[1:] == ["/"]
    for login in (False, True):
        assert commands.output_of(argv, login=login) == ("/\n", 0)


def test_login_without_any_variable_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(commands.os.environ):
        monkeypatch.delenv(name)
    commands.run_logged([sys.executable, "-c", "import os; print(os.environ['HOME'])"], str(tmp_path / "x.log"))
    assert (tmp_path / "x.log").read_text(encoding="utf-8").splitlines()[-1] == "/"


def test_output_that_a_program_wrote_just_before_it_ended_is_not_lost(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a program can write and end between the look at its output and the look at its process."""
    commands = load("host.commands")
    real, looks = commands.select.select, []

    def select(ready: Any, *more: Any) -> Any:
        looks.append(more[-1])
        if len(looks) == 1:
            real(ready, [], [], 10)  # it has written
            time.sleep(0.3)  # and ended
            return [], [], []
        return real(ready, *more)

    monkeypatch.setattr(commands.select, "select", select)
    assert commands.output_of(["sh", "-c", "echo said"], timeout=None) == ("said\n", 0)


def test_files_are_installed_although_one_with_the_same_time_is_there() -> None:
    """Otherwise `make install` would leave a file that somebody changed and gave its former time."""
    assert environment.clean()["CMAKE_INSTALL_ALWAYS"] == "1"
