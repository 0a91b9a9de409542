"""`provision data`: what is asked of the programs, here and on hosts, and with which code the command ends."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.dataset import program
from neuraltalk_provision.results.one_run import StartedRun
from neuraltalk_provision.results.run import Ending
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.site import inventory_names
from tests.unit.runs import started_run
from tests.unit.test_cli import Capture, provision, site

__all__ = ["site"]
END = RunEnd("r", "one", "/r/log", 0, (), (), (), ())
Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked of the programs on this machine."""
    asked: Asked = []

    def run(name: str, request: dict[str, Any], show: Callable[[str], None]) -> Mapping[str, Any]:
        asked.append((name, request))
        show("3 pictures\n")
        return {"pictures": 3, "faults": {"empty": 2} if name == "inspect" else {}}

    monkeypatch.setattr(program, "run", run)
    return asked


@pytest.fixture
def on_host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A host that does what is asked; `result` is what the run leaves, `end` how it ended."""
    scene: dict[str, Any] = {"started": [], "result": b'{"pictures": 3}', "end": END}

    def start(runs: Sequence[RunSpec], host: str, settings: object) -> StartedRun:
        scene["started"].append((runs[0], host))
        return started_run("/r/log")

    monkeypatch.setattr(hosts, "start", start)
    monkeypatch.setattr(hosts, "watch", lambda *given: scene["end"])
    monkeypatch.setattr(hosts, "read", lambda *given, most: {"result.json": scene["result"]})
    return scene


def test_paths_on_this_machine_count_from_where_we_are(capsys: Capture, here: Asked, site: Path) -> None:
    code, out, _ = provision(capsys, "data", "prepare", "--input_json", "raw.json", "--num_val", 1)
    assert (code, "3 pictures" in out) == (0, True)
    assert here[0][0] == "prepare"
    assert here[0][1]["input_json"] == [str(site / "raw.json")]
    assert here[0][1]["output_h5"] == str(site / "data.h5")
    assert here[0][1]["images_root"] == str(site)


def test_coco_stands_for_its_captions_and_the_root_of_its_pictures(capsys: Capture, here: Asked, site: Path) -> None:
    assert provision(capsys, "data", "prepare", "--coco", "coco", "--num-val", 5000, "--num-test", 5000)[0] == 0
    assert here[0][1]["images_root"] == str(site / "coco")
    assert [Path(path).name for path in here[0][1]["input_json"]] == [
        "captions_val2014.json",
        "captions_train2014.json",
    ]
    words = ("data", "prepare", "--coco", "coco", "--input_json", "x.json", "--num_val", 1)
    assert provision(capsys, *words)[0] == 2


def test_plan_says_what_would_be_asked_and_asks_nothing(capsys: Capture, here: Asked) -> None:
    words = ("data", "prepare", "--input_json", "raw.json", "--num_val", 1, "--plan", "--json")
    code, out, _ = provision(capsys, *words)
    assert (code, here) == (0, [])
    assert json.loads(out)["plan"]["num_val"] == 1


def test_inspection_that_finds_something_ends_with_1_and_names_the_file_of_all_findings(
    capsys: Capture, here: Asked, tmp_path: Path
) -> None:
    assert provision(capsys, "data", "inspect", "pictures", "--findings", tmp_path / "found.jsonl")[0] == 1
    assert here[0][1]["result"] == str(tmp_path / "found.jsonl")
    assert provision(capsys, "data", "inspect", "pictures")[0] == 1
    assert here[1][1]["result"].endswith(f"-{os.getpid()}.jsonl")
    assert Path(here[1][1]["result"]).parent.is_dir()


@pytest.mark.parametrize(("left", "expected"), [([], 0), ([{"file": "/d/a.jpg", "reason": "it is missing"}], 1)])
def test_files_that_were_not_moved_back_end_with_1(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, left: list[dict[str, str]], expected: int
) -> None:
    monkeypatch.setattr(program, "run", lambda *given: {"moved_back": 1, "left": left})
    assert provision(capsys, "data", "inspect", "/d", "--undo", "/q/quarantine.jsonl")[0] == expected


def test_on_a_host_it_is_a_run_with_paths_as_they_were_given(capsys: Capture, on_host: dict[str, Any]) -> None:
    words = "--input_json /d/raw.json --images_root /d --output_json /d/t.json --output_h5 /d/t.h5 --num_val 1".split()
    code, out, _ = provision(capsys, "data", "prepare", "--host", "one", "--id", "coco", *words, "--json")
    spec, host = on_host["started"][0]
    assert (code, host, spec.id, spec.program) == (0, "one", "coco", "prepare")
    assert spec.arguments["images_root"] == "/d"
    assert json.loads(out) == {"id": "coco", "host": "one", "log": "/r/log", "pictures": 3}


def test_relative_path_on_a_host_is_refused(capsys: Capture, on_host: dict[str, Any]) -> None:
    words = "--input_json raw.json --output_json /d/t.json --output_h5 /d/t.h5 --num_val 1".split()
    code, _, err = provision(capsys, "data", "prepare", "--host", "one", *words)
    assert (code, on_host["started"]) == (2, [])
    assert "--input_json raw.json: must be an absolute path on the host" in err


@pytest.mark.parametrize(
    ("result", "end", "words"),
    [
        (b'{"error": "no space left"}', {"exit_code": 1}, "inspect on one (log /r/log): no space left"),
        (b"", {"exit_code": None, "ended": Ending(by="refused", evidence="no numpy")}, "was not started: no numpy"),
        (b"", {"exit_code": -9}, "was killed before it ended"),
        (b"[]", {"exit_code": 0}, "wrote no result"),
    ],
)
def test_run_that_did_not_do_it_is_an_error_in_its_own_words(
    capsys: Capture, on_host: dict[str, Any], result: bytes, end: dict[str, Any], words: str
) -> None:
    on_host.update(result=result, end=RunEnd(**{**vars(END), **end}))
    code, _, err = provision(capsys, "data", "inspect", "/d", "--host", "one")
    assert (code, words in err) == (1, True), err


def test_run_can_be_left_alone(capsys: Capture, on_host: dict[str, Any]) -> None:
    words = "--input_json /d/r.json --output_json /d/t.json --output_h5 /d/t.h5 --num_val 1 --detach".split()
    code, out, _ = provision(capsys, "data", "prepare", "--host", "one", "--id", "p", *words)
    assert (code, "provision runs watch p" in out) == (0, True)


def test_what_goes_with_a_host_only_is_refused_without_one(capsys: Capture, here: Asked) -> None:
    for words in (("prepare", "--detach"), ("prepare", "--id", "x"), ("inspect", "/d", "--id", "x")):
        code, _, err = provision(capsys, "data", *words)
        assert (code, "need a run on a host" in err) == (2, True)
    assert here == []


def test_plan_of_a_data_set_can_be_typed(
    capsys: Capture, here: Asked, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_names, "refuse_unknown", lambda *_given: None)
    given = ("--input_json", "my raw.json", "--input_json", "b.json", "--num_val", 0, "--set-aside")
    _, out, _ = provision(capsys, "data", "prepare", *given, "--word_count_threshold", 0, "--plan")
    words = ("--input_json", str(site / "my raw.json"), "--input_json", str(site / "b.json"))
    assert f" {shlex.join(words)} " in out
    assert "--num_val 0 --num_test 0 " in out
    assert "--word_count_threshold 0 " in out and " --set-aside" in out and "--jobs" not in out
    assert out.startswith("would prepare on this machine: provision data prepare --input_json")
    again = shlex.split(out.partition("provision ")[2])
    assert provision(capsys, *again, "--plan")[1] == out
    _, out, _ = provision(capsys, "data", "inspect", "/a b", "--jobs", 2, "--host", "one", "--plan")
    assert out == "would inspect on one: provision data inspect '/a b' --jobs 2 --host one\n"
