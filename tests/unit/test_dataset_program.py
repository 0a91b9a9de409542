"""The programs of data on this machine: what they print is shown, what comes of them is read, their words are kept."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import command_log, paths
from neuraltalk_provision.dataset import program
from neuraltalk_provision.errors import BugError, CheckError

# Stands in for programs/data.py: it does what the request says.
STANDIN = """
import json, os, sys

def main(words):
    assert words[0] == "attached"
    request = json.load(open(words[1]))
    for line in request["lines"]:
        os.write(1, line.encode() + b"\\n")
    if request["result"] is not None:
        open(os.path.join(os.path.dirname(words[1]), "result.json"), "w").write(request["result"])
    if request["signal"]:
        os.kill(os.getpid(), request["signal"])
    return request["code"]
"""


@pytest.fixture(autouse=True)
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the code that hosts share."""
    package = tmp_path / "module_utils" / "programs"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "data.py").write_text(STANDIN, encoding="utf-8")
    monkeypatch.setattr(paths, "plugins", lambda: tmp_path)


def asked(*lines: str, result: str | None = '{"pictures": 3}', code: int = 0, signal: int = 0) -> dict[str, Any]:
    return {"lines": lines, "result": result, "code": code, "signal": signal}


def test_what_a_program_prints_is_shown_and_its_result_is_returned() -> None:
    shown: list[str] = []
    assert program.run("prepare", asked("one", "two"), shown.append) == {"pictures": 3}
    assert "".join(shown) == "one\ntwo\n"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked(result='{"error": "the disk is full"}', code=1), "prepare on this machine: the disk is full"),
        (asked(result=None, code=1), "prepare on this machine wrote no result"),
        (asked(result="[1", code=0), "wrote no result"),
        (asked(result="[" * 100_000, code=0), "wrote no result"),
        (asked(result=None, signal=9), "was ended by signal 9"),
    ],
)
def test_program_that_did_not_do_it_is_an_error_in_its_own_words(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckError) as caught:
        program.run("prepare", request_, lambda text: None)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "request_", "result", "words"),
    [
        ("inspect", {}, "{}", "wrote no result"),
        ("inspect", {}, '{"pictures": 3}', "faults: field required"),
        ("inspect", {}, '{"faults": {"empty": -1}}', "faults.empty: "),
        ("inspect", {}, '{"faults": ["empty"]}', "faults: "),
        ("inspect", {"undo": "/list"}, '{"faults": {}}', "moved_back: field required"),
        ("prepare", {}, '{"pictures": "many"}', "pictures: "),
        ("prepare", {}, '{"error": 7}', "error: "),
    ],
)
def test_result_without_what_is_needed_is_no_success(
    name: str, request_: dict[str, Any], result: str, words: str
) -> None:
    with pytest.raises(CheckError) as caught:
        program.run(name, {**asked(result=result), **request_}, lambda text: None)
    assert words in caught.value.message
    assert "this machine" in caught.value.message


def test_inspection_and_undo_return_all_that_the_program_wrote() -> None:
    inspected = {"faults": {"empty": 2}, "first": [{"file": "a.png"}]}
    undone = {"moved_back": 2, "left": []}
    assert program.run("inspect", asked(result=json.dumps(inspected)), lambda text: None) == inspected
    assert program.run("inspect", {**asked(result=json.dumps(undone)), "undo": "/l"}, lambda text: None) == undone


def test_what_is_run_here_is_all_that_hosts_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with zipfile.ZipFile(io.BytesIO(program.packed())) as archive:
        packed = {Path(name) for name in archive.namelist() if name != "__main__.py"}
    assert packed == {path.relative_to(paths.plugins()) for path in paths.plugins().glob("module_utils/**/*.py")}


def test_bug_of_a_program_is_one_of_ours_with_its_trace_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    result = json.dumps({"error": "this is a bug: KeyError: 'x'", "code": "bug", "traceback": "Traceback: in read"})
    with command_log.begin(["data", "prepare"]) as log, pytest.raises(BugError, match="prepare on this machine: this"):
        program.run("prepare", asked(result=result, code=1), lambda text: None)
    assert log.path
    assert "Traceback: in read" in log.path.read_text()
