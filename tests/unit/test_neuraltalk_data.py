"""The programs that prepare and inspect data: what they are refused for, their requests, results and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.conftest import program

Say = Callable[[str], None]


@pytest.fixture
def data(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("programs.data")


@pytest.fixture
def refusal(load: Callable[[str], ModuleType]) -> type[Exception]:
    found: type[Exception] = load("host.errors").StackError
    return found


@pytest.fixture
def request_(tmp_path: Path) -> dict[str, Any]:
    """A request that can be met."""
    (tmp_path / "raw.json").write_text("[]")
    (tmp_path / "out").mkdir()
    return {
        "input_json": [str(tmp_path / "raw.json")],
        "images_root": str(tmp_path),
        "output_json": str(tmp_path / "out" / "talk.json"),
        "output_h5": str(tmp_path / "out" / "talk.h5"),
    }


def asked(data: ModuleType, folder: Path, name: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """(the exit code, the result) of a program."""
    file = folder / "request.json"
    file.write_text(json.dumps({"program": name, **more}), encoding="utf-8")
    code: int = data.main([str(file)])
    return code, json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_request_that_can_be_met_is_not_refused(
    data: ModuleType, generation: Path, request_: dict[str, Any], tmp_path: Path
) -> None:
    data.refuse("prepare", request_, str(generation))
    data.refuse("inspect", {"path": str(tmp_path), "quarantine": str(tmp_path / "aside")}, str(generation))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_json": ["{}/none.json"]}, "--input_json {}/none.json: there is no such file"),
        ({"images_root": "{}/none"}, "--images_root {}/none: there is no such file"),
        ({"images_root": "{}/raw.json"}, "--images_root {}/raw.json: it has to be a directory"),
        ({"karpathy_split": "{}/none"}, "--karpathy_split {}/none"),
        ({"output_h5": "{}/none/talk.h5"}, "--output_h5: there is no directory {}/none"),
    ],
)
def test_request_that_cannot_be_met_is_refused_before_a_run_begins(
    data: ModuleType,
    refusal: type[Exception],
    generation: Path,
    request_: dict[str, Any],
    tmp_path: Path,
    changes: dict[str, Any],
    words: str,
) -> None:
    def placed(value: Any) -> Any:
        return [placed(one) for one in value] if isinstance(value, list) else value.format(tmp_path)

    request_.update({name: placed(value) for name, value in changes.items()})
    with pytest.raises(refusal) as caught:
        data.refuse("prepare", request_, str(generation))
    assert words.format(tmp_path) in str(caught.value)


def test_output_that_exists_is_refused_before_a_run_begins_unless_it_is_half_done(
    data: ModuleType, refusal: type[Exception], generation: Path, request_: dict[str, Any]
) -> None:
    Path(request_["output_json"]).touch()
    with pytest.raises(refusal, match=r"talk\.json exists already, and is not overwritten"):
        data.refuse("prepare", request_, str(generation))
    Path(request_["output_h5"] + ".part.journal").touch()
    data.refuse("prepare", request_, str(generation))


def test_host_whose_python_lacks_what_it_needs_is_named_with_the_cure(
    data: ModuleType, refusal: type[Exception], generation: Path, request_: dict[str, Any]
) -> None:
    program(generation, "with-stack", 'echo "ImportError: No module named numpy"; exit 1')
    with pytest.raises(refusal, match=r"No module named numpy.*python-wheels.*provision site"):
        data.refuse("prepare", request_, str(generation))


def test_inspection_that_moves_pictures_writes_where_they_are(data: ModuleType, tmp_path: Path) -> None:
    pictures, aside = str(tmp_path / "pictures"), str(tmp_path / "aside")
    Path(pictures).mkdir()
    assert data.outputs("inspect", {"path": pictures}) == []
    moved = data.outputs("inspect", {"path": pictures, "quarantine": aside})
    assert moved == [("quarantine", str(tmp_path)), ("path", pictures)]
    Path(aside).mkdir()
    assert data.outputs("inspect", {"path": pictures, "quarantine": aside})[0] == ("quarantine", aside)
    request = {"path": "/d/captions.csv", "images_root": pictures, "undo": aside + "/quarantine.jsonl"}
    assert data.outputs("inspect", request) == [("undo", aside), ("images_root", pictures)]


def test_result_stands_beside_the_request_and_what_is_said_comes_at_once(
    data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def prepare(request: dict[str, Any], say: Say) -> dict[str, Any]:
        say(f"{request['pictures']} ümlauts")
        return {"pictures": request["pictures"]}

    monkeypatch.setattr(data, "program_of", lambda name: prepare)
    assert asked(data, tmp_path, "prepare", pictures=3) == (0, {"pictures": 3})
    assert capfd.readouterr().out == "3 ümlauts\n"


def test_what_went_wrong_stands_in_the_result_and_at_the_end_of_the_log(
    data: ModuleType,
    refusal: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    errors: list[BaseException] = [
        refusal("no captions"),
        OSError(28, "No space left on device", "/d/talk.h5.part"),
        MemoryError(),
        KeyboardInterrupt(),
        ValueError("odd"),
    ]
    words = (
        "no captions",
        "/d/talk.h5.part: No space left on device",
        "not enough memory",
        "it was interrupted",
        f"bug in neuraltalk-provision: ValueError: odd. Report it with {tmp_path}/bug.txt",
    )

    def prepare(request: dict[str, Any], say: Say) -> dict[str, Any]:
        raise errors.pop(0)

    monkeypatch.setattr(data, "program_of", lambda name: prepare)
    causes = [None, "disk.full", "memory.full", None, "bug"]
    for said, cause in zip(words, causes, strict=True):
        code, result = asked(data, tmp_path, "prepare")
        assert result.get("code") == cause
        assert (code, said in result["error"]) == (1, True), result
        assert capfd.readouterr().out == f"Error: {result['error']}\n"
    assert "Traceback" in (tmp_path / "bug.txt").read_text()


def test_module_loads_without_the_packages_that_its_programs_need() -> None:
    script = (
        "import sys; sys.modules.update(numpy=None, h5py=None, PIL=None)\nimport plugins.module_utils.programs.data"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
