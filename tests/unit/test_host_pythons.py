"""The Python that the stack uses on a host: the one with pip, which is the distribution's unless one was requested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.host import pythons
from tests.unit.programs import program

NEWER, DISTRIBUTION, OLD = "/usr/local/bin/python3.12", "/usr/bin/python3", "/usr/bin/python2.7"


def host(monkeypatch: pytest.MonkeyPatch, with_pip: set[str], there: set[str], own: str = NEWER) -> None:
    """A host on which Ansible runs `own`."""
    monkeypatch.setattr(pythons.sys, "executable", own)
    monkeypatch.setattr(pythons.os.path, "exists", lambda path: path in there)
    monkeypatch.setattr(pythons, "_is_same", lambda path, other: path == other)
    versions = {NEWER: "3.12.1", DISTRIBUTION: "3.11.2", OLD: "2.7.18", "/usr/libexec/platform-python": "3.6.8"}
    monkeypatch.setattr(pythons.platform, "python_version", lambda: versions[own])

    def inspect(path: str) -> dict[str, Any]:
        return {"python": versions[path], "pip": path in with_pip} if path in there else {}

    monkeypatch.setattr(pythons, "inspect", inspect)
    monkeypatch.setattr(pythons, "this_python", lambda: inspect(own))


@pytest.mark.parametrize(
    ("requested", "with_pip", "there", "chosen", "pip"),
    [
        # A newer Python without pip, found by Ansible because it is first on the PATH.
        ("", {DISTRIBUTION}, {NEWER, DISTRIBUTION}, DISTRIBUTION, True),
        ("auto_silent", {DISTRIBUTION}, {NEWER, DISTRIBUTION}, DISTRIBUTION, True),
        ("", {DISTRIBUTION, NEWER}, {NEWER, DISTRIBUTION}, DISTRIBUTION, True),
        # A bare host: the pip that will be installed is the distribution's.
        ("", set(), {NEWER, DISTRIBUTION}, DISTRIBUTION, False),
        ("", {NEWER}, {NEWER, DISTRIBUTION}, NEWER, True),
        # Who requests a Python gets it, if it has pip.
        (NEWER, {DISTRIBUTION, NEWER}, {NEWER, DISTRIBUTION}, NEWER, True),
        (NEWER, {DISTRIBUTION}, {NEWER, DISTRIBUTION}, DISTRIBUTION, True),
        (NEWER, set(), {NEWER, DISTRIBUTION}, DISTRIBUTION, False),
        ("", set(), {NEWER}, NEWER, False),
        ("", {NEWER}, {NEWER, OLD}, NEWER, True),
        ("", {NEWER, OLD}, {NEWER, OLD}, NEWER, True),
        ("", set(), {NEWER, OLD}, OLD, False),
    ],
)
def test_python_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, requested: str, with_pip: set[str], there: set[str], chosen: str, pip: bool
) -> None:
    host(monkeypatch, with_pip, there)
    found = pythons.choose(requested)
    assert (found["executable"], found["pip"]) == (chosen, pip)
    assert set(found) == {"executable", "python", "pip"}


@pytest.mark.parametrize(
    ("own", "requested", "with_pip", "there", "chosen"),
    [
        # EL 7, whose OS package of pip is for its Python 2.7, with and without a python3.
        (OLD, "", set(), {OLD}, OLD),
        (OLD, "", set(), {OLD, DISTRIBUTION}, OLD),
        (OLD, OLD, set(), {OLD, DISTRIBUTION}, OLD),
        (OLD, OLD, {OLD, DISTRIBUTION}, {OLD, DISTRIBUTION}, OLD),
        # EL 8 before its python3 is installed.
        (
            "/usr/libexec/platform-python",
            "",
            set(),
            {"/usr/libexec/platform-python", OLD},
            "/usr/libexec/platform-python",
        ),
        (DISTRIBUTION, "", set(), {DISTRIBUTION, OLD}, DISTRIBUTION),
    ],
)
def test_python_of_the_distribution_stays_as_ansible_found_it(
    monkeypatch: pytest.MonkeyPatch, own: str, requested: str, with_pip: set[str], there: set[str], chosen: str
) -> None:
    host(monkeypatch, with_pip, there, own)
    assert pythons.choose(requested)["executable"] == chosen


def test_distribution_s_python_that_does_not_start_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    host(monkeypatch, {NEWER}, {NEWER, DISTRIBUTION})
    good = pythons.inspect
    monkeypatch.setattr(pythons, "inspect", lambda path: {} if path == DISTRIBUTION else good(path))
    assert pythons.choose("")["executable"] == NEWER


def test_python_is_inspected_by_running_it(tmp_path: Path) -> None:
    found = pythons.inspect(sys.executable)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["pip"] == "" or Path(found["pip"]).parent.name == "pip"
    talkative = program(tmp_path / "talkative", f"#!/bin/sh\necho welcome\nexec '{sys.executable}' \"$@\"\n")
    assert pythons.inspect(str(talkative)) == found, "its sitecustomize prints a line"
    assert pythons.inspect(str(tmp_path / "none")) == {}
    assert pythons.inspect(str(program(tmp_path / "python", "#!/bin/sh\necho 'no json' >&2; exit 1\n"))) == {}
    assert pythons.inspect(str(program(tmp_path / "odd", "#!/bin/sh\necho one two three\n"))) == {}


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_python_that_runs_this_need_not_be_started(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """It is, if PYTHONPATH may show it a pip that the stack will not see."""
    monkeypatch.setenv("PYTHONPATH", path)
    started: list[str] = []
    inspect = pythons.inspect
    monkeypatch.setattr(pythons, "inspect", lambda one: started.append(one) or inspect(one))
    assert pythons.this_python() == inspect(sys.executable)
    assert started == ([sys.executable] if path else [])


@pytest.mark.parametrize(
    "left", [None, "", "raise ImportError('of another Python')\n", "x ==\n", "__version__ = '9'\n"]
)
def test_python_without_a_whole_pip_has_none(tmp_path: Path, left: str | None) -> None:
    """No pip, a directory without files, which Python takes as a package, and a package that does not start or lacks
    its program."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    python = tmp_path / "v" / "bin" / "python"
    if left is not None:
        (package := next((tmp_path / "v" / "lib").iterdir()) / "site-packages" / "pip").mkdir()
        if left:
            (package / "__init__.py").write_text(left, encoding="utf-8")
    assert pythons.inspect(str(python))["pip"] == ""
    assert not pythons._is_same(sys.executable, str(python))
