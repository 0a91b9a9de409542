"""Scores of what a run has captioned: which captions, against which annotations, in which generation, kept whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugins.module_utils.host.errors import StackError
from tests.unit import contract
from tests.unit.test_neuraltalk_scorer import like_coco, module, wheels

__all__ = ["module", "wheels"]
SAID = [{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "a dog"}]


@pytest.fixture
def scores(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("scoring.scores")


@pytest.fixture
def ran(load: Callable[[str], ModuleType], generation: Path, wheels: Path) -> Callable[..., Any]:
    """Makes a run that has ended."""

    def make(program: str, arguments: dict[str, Any], **files: Any) -> Any:
        root = generation.parents[1]
        run = load("runs.files").Run(str(root), "r1")
        place = Path(run.path)
        place.mkdir(parents=True)
        record = {"program": program, "requested": arguments, "generation": generation.name}
        (place / "run.json").write_text(json.dumps(record))
        (place / "process.json").write_text(json.dumps({"pid": 1, "start": "x", "effective": arguments}))
        (place / "exit").write_text("0\n")
        for name, content in files.items():
            path = place / {"vis": "work/vis/vis.json", "given": "work/coco-caption/valr1.json",
                            "report": "checkpoint/model_idr1.json"}[name]  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return run

    return make


def left(run: Any) -> set[str]:
    return {path.name for path in Path(run.path).iterdir()}


def test_captions_of_an_evaluation_are_scored_and_the_scores_kept(
    scores: ModuleType, ran: Callable[..., Any], generation: Path
) -> None:
    run = ran("eval.lua", {"input_json": "/data/x.json"}, vis=[*SAID, {"image_id": 99, "caption": "no"}])
    before = left(run)
    told = scores.score(run)
    contract.check("stack_run", {"state": "scored"}, {"run": told})
    assert told["scores"]["Bleu_1"] == 0.75
    assert told["scores"].keys() == {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"}
    assert (told["used"], told["of"], told["remarks"]) == (2, 3, [])
    assert told["source"].endswith("/vis/vis.json")
    assert told["annotations"].endswith("coco-caption/annotations/captions_val2014.json")
    kept = json.loads(Path(told["file"]).read_text())
    assert kept == {name: value for name, value in told.items() if name != "remarks"}
    assert left(run) - before == {"scores.json", "score.log"}
    assert "using 2/3 predictions" in (Path(run.path) / "score.log").read_text()
    assert scores.score(run)["scores"] == told["scores"], "a second time"


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"report": {"val_predictions": SAID}, "given": {"val_predictions": SAID[:1]}}, "model_idr1.json"),
        ({"given": {"val_predictions": SAID}}, "valr1.json"),
    ],
)
def test_last_validation_of_a_training_is_scored(
    scores: ModuleType, ran: Callable[..., Any], files: dict[str, Any], source: str
) -> None:
    told = scores.score(ran("train.lua", {}, **files))
    assert (told["used"], told["of"]) == (2, 2)
    assert told["source"].endswith(source)


def test_evaluation_whose_own_scorer_failed_has_left_its_captions_to_the_scorer(
    scores: ModuleType, ran: Callable[..., Any]
) -> None:
    assert scores.score(ran("eval.lua", {}, given={"val_predictions": SAID}))["used"] == 2


def test_annotations_are_those_beside_the_data_set_or_those_that_are_named(
    scores: ModuleType, ran: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "x.annotations.json").write_text(like_coco(1))
    (tmp_path / "mine.json").write_text(like_coco(2))
    run = ran("eval.lua", {"input_json": str(tmp_path / "x.json")}, vis=SAID)
    assert scores.score(run)["annotations"] == str(tmp_path / "x.annotations.json")
    told = scores.score(run, str(tmp_path / "mine.json"))
    assert (told["annotations"], told["scores"]["Bleu_1"]) == (str(tmp_path / "mine.json"), 0.5)


def test_current_generation_scores_where_the_runs_own_is_gone_and_that_is_said(
    scores: ModuleType, ran: Callable[..., Any], generation: Path
) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    other = generation.with_name("ffffffffffffffff")
    generation.rename(other)
    (generation.parents[1] / "current").symlink_to(other)
    told = scores.score(run)
    assert told["generation"] == other.name
    assert told["remarks"] == [
        f"generation {generation.name}, which r1 used, is no longer on this host: scored with the current one, "
        f"{other.name}"
    ]
    (generation.parents[1] / "current").unlink()
    with pytest.raises(StackError, match=r"neither generation .* which run r1 used, nor a current one"):
        scores.score(run)


def test_run_that_goes_on_is_refused(scores: ModuleType, ran: Callable[..., Any], load: Any) -> None:
    run = ran("train.lua", {}, report={"val_predictions": SAID})
    (Path(run.path) / "exit").unlink()
    start = load("host.processes").start_of(os.getpid())
    (Path(run.path) / "process.json").write_text(json.dumps({"pid": os.getpid(), "start": start}))
    with pytest.raises(StackError, match=r"run r1 is still running: wait until it has ended"):
        scores.score(run)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, r"run r1 has no captions: there is neither .*vis.json nor .*valr1.json"),
        ({"vis": "["}, "vis.json is not JSON"),
        ({"vis": "[" * 100_000}, "vis.json is not JSON"),
        ({"vis": {}}, "vis.json: there is no list of captions in it"),
        ({"vis": []}, "vis.json: there is no list of captions in it"),
        ({"vis": [7]}, "entry 0 has no `image_id`"),
        ({"vis": [SAID[0], {"caption": "x"}]}, "entry 1 has no `image_id`"),
        ({"vis": [{"image_id": [1], "caption": "x"}]}, "entry 0 has no `image_id`"),
        ({"vis": '[{"image_id": NaN, "caption": "x"}]'}, "entry 0 has no `image_id`"),
        ({"vis": '[{"image_id": 1e999, "caption": "x"}]'}, "entry 0 has no `image_id`"),
        ({"vis": [{"image_id": 1, "caption": ["x"]}]}, "entry 0 has no `caption`"),
        ({"vis": [{"image_id": 1, "caption": "x" * 10_001}]}, "entry 0 has no `caption` of at most 10000"),
        (
            {"vis": [{"image_id": 50, "caption": "x"}]},
            "r1 could not be scored: none of the 1 predictions is of an image",
        ),
    ],
)
def test_what_cannot_be_scored_is_said_and_nothing_is_kept(
    scores: ModuleType, ran: Callable[..., Any], files: dict[str, Any], words: str
) -> None:
    run = ran("eval.lua", {}, **files)
    with pytest.raises(StackError, match=words):
        scores.score(run)
    assert not any(name == "scores.json" or name.startswith(".score-") for name in left(run))


def test_captions_of_a_folder_have_no_annotations(scores: ModuleType, ran: Callable[..., Any]) -> None:
    run = ran("eval.lua", {"image_folder": "/data/images"}, vis=SAID)
    with pytest.raises(StackError, match=r"run r1 captioned a folder: eval.lua numbers such pictures itself"):
        scores.score(run)


def test_pipe_in_the_place_of_captions_or_log_is_waited_for_by_nobody(
    scores: ModuleType, ran: Callable[..., Any]
) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    os.mkfifo(Path(run.path) / "score.log")
    assert scores.score(run)["used"] == 2
    (Path(run.path) / "work" / "vis" / "vis.json").unlink()
    os.mkfifo(Path(run.path) / "work" / "vis" / "vis.json")
    with pytest.raises(StackError, match=r"vis.json cannot be read: it is a directory, a pipe or a device"):
        scores.score(run)


def test_host_that_lacks_something_is_told(scores: ModuleType, ran: Callable[..., Any], tmp_path: Path) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    with pytest.raises(StackError, match=r"--annotations /none.json: there is no such file on this host"):
        scores.score(run, "/none.json")
    (tmp_path / "bin" / "java").unlink()
    with pytest.raises(StackError, match=r"run r1 cannot be scored on this host. It lacks java"):
        scores.score(run)


def test_what_a_killed_scoring_left_goes_with_the_next_one(scores: ModuleType, ran: Callable[..., Any]) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    for name in (".score-999999-1-abc", ".score-x"):
        (Path(run.path) / name).mkdir()
    alive = Path(run.path) / f".score-{os.getpid()}-{scores.start_of(os.getpid())}-abc"
    alive.mkdir()
    scores.score(run)
    assert {name for name in left(run) if name.startswith(".score-")} == {alive.name, ".score-x"}


def test_temporary_files_of_a_killed_scoring_go_with_the_next_one(scores: ModuleType, ran: Callable[..., Any]) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    old, new = Path(run.path) / ".new-ab12_x9z", Path(run.path) / ".new-cd34_x9z"
    for file in (old, new):
        file.write_text("half")
    os.utime(old, (0, 0))
    scores.score(run)
    assert (old.exists(), new.exists()) == (False, True), "the supervisor of another run may write the new one"


@pytest.mark.parametrize(("number", "words"), [(errno.EIO, "Input/output error"), (errno.ENOSPC, "No space left")])
def test_error_of_a_disk_is_told_by_its_cause(
    scores: ModuleType, ran: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """A file that could not be read was told as one that could not be written, for want of room."""

    def broken(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(scores, "read_scores", broken)
    with pytest.raises(StackError, match=rf"run r1 could not be scored: .*/valr1\.json_out\.json: {words}") as told:
        scores.score(ran("eval.lua", {}, vis=SAID))
    assert told.value.details["code"] == {errno.EIO: "disk.broken", errno.ENOSPC: "disk.full"}[number]


def test_scoring_on_another_host_that_shares_the_disk_is_left_alone(
    scores: ModuleType, ran: Callable[..., Any]
) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    names = [f".score-999999-1-{boot}-abc" for boot in (scores.boot(), "0000beef", "0000dead")]
    for name in names:
        (Path(run.path) / name).mkdir()
    os.utime(Path(run.path) / names[2], (0, 0))
    scores.score(run)
    assert {name for name in left(run) if name.startswith(".score-")} == {names[1]}


def test_scorer_that_dies_without_a_word_is_said(scores: ModuleType, ran: Callable[..., Any], wheels: Path) -> None:
    run = ran("eval.lua", {}, vis=SAID)
    (wheels / "myeval.py").write_text("import sys; sys.exit(0 if '--check' in sys.argv else 3)")
    with pytest.raises(StackError, match=r"run r1 could not be scored: it printed nothing"):
        scores.score(run)
    shutil.rmtree(run.path)
