"""Runs told: by rows that stay small, each by its own files, whatever stands in them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.results.run import QueuedRun
from neuraltalk_provision.runs.progress import health, state
from tests.unit.modules import ModuleError
from tests.unit.runs import of_detail, of_row
from tests.unit.test_supervisor import all_of

Tell = Callable[..., dict[str, Any]]


def make(root: Path, name: str, log: str = "iter 0: 3.5\t\n", code: str = "0\n", **record: Any) -> Path:
    """A run that has ended, as its directory keeps it."""
    place = root / "runs" / name
    (place / "checkpoint").mkdir(parents=True)
    (place / "work").mkdir()
    asked = {
        "id": name, "program": "train.lua", "requested": {"seed": "1"}, "generation": "g", "started": 7,
        "supervisor": str(place),
    }  # fmt: skip
    (place / "run.json").write_text(json.dumps({**asked, **record}))
    process = {"pid": 1 << 22, "start": "1", "effective": {"seed": "1", "id": name}, "begins": 0}
    (place / "process.json").write_text(json.dumps(process))
    (place / "log").write_text(log)
    (place / "exit").write_text(code)
    return place


@pytest.fixture
def listed(run_module: Tell, tmp_path: Path) -> Callable[[], dict[str, dict[str, Any]]]:
    """Every run's row, by its id."""
    return lambda: {run["id"]: run for run in run_module("stack_run_info", stack_root=tmp_path, state="listed")["runs"]}


LONG = "assigned 30 images to split train\n" + "".join(f"iter {n}: 5.{n:06d}\t\n" for n in range(20_001))


def test_rows_of_hundreds_of_long_runs_are_small_and_say_how_far_each_got(
    listed: Callable[[], dict[str, dict[str, Any]]], tmp_path: Path
) -> None:
    scores = "validation loss: \t2.5\t\n{\n  CIDEr : 0.5\n  METEOR : 0.1\n}\n"
    for number in range(60):
        make(tmp_path, f"n{number}", LONG.replace("iter 20000:", scores + "iter 20000:"))
    rows = listed()
    assert len(json.dumps(rows)) < 60 * 2000
    progress = rows["n59"]["progress"]
    assert progress["losses"] == [[20_000, 5.02]]
    assert progress["scores"] == [[19_999, {"CIDEr": 0.5, "METEOR": 0.1}]]
    assert progress["validations"] == [[19_999, 2.5]]
    assert of_row(rows["n0"]).health.state == "ended"


@pytest.mark.parametrize(
    ("log", "code", "word", "evidence"),
    [
        ("iter 0: 3.5\niter 1: nan\n", "0\n", "diverged", "loss nan at iteration 1"),
        ("iter 0: 3.5\nloss seems to be exploding, quitting.\n", "0\n", "diverged", "exploding"),
        ("iter 0: 3.5\n/bin/luajit: x.lua:1: boom\n", "1\n", "failed", "exit code 1: x.lua:1: boom"),
        ("iter 0: 3.5\n", "-9\n", "killed", "signal 9"),
        ("", "0\n", "ended", "exit code 0"),
        ("iter 3: 2.5\niter 4: 2", "0\n", "ended", "exit code 0"),
    ],
)
def test_row_tells_a_runs_state_by_the_end_of_its_log(
    listed: Callable[[], dict[str, dict[str, Any]]], tmp_path: Path, log: str, code: str, word: str, evidence: str
) -> None:
    make(tmp_path, "x", log, code)
    said = of_row(listed()["x"])
    assert (said.health.state, evidence in said.health.evidence) == (word, True), said.health


@pytest.mark.parametrize(
    ("log", "code", "starts"),
    [
        ("iter 0: 3.5\niter 1: 2.5\n", "0\n", True),
        ("iter 0: 3.5\niter 1: 2.5\n", "1\n", False),
        ("iter 0: 3.5\niter 1: nan\niter 2: nan\n", "0\n", False),
        ("iter 0: 3.5\nloss seems to be exploding, quitting.\n", "0\n", False),
    ],
)
def test_stage_after_one_that_diverged_is_not_started(
    load: Callable[[str], ModuleType], tmp_path: Path, log: str, code: str, starts: bool
) -> None:
    """The program ends with 0 if the loss explodes, so that the next stage began."""
    make(tmp_path, "x-base", log, code)
    supervisor = load("runs.supervisor").Supervisor(str(tmp_path), {"runs": []}, "")
    after = load("runs.files").Run(str(tmp_path), "x-fine")
    reason = supervisor.reason_not_to_start(after, {"needs": "x-base"})
    assert (reason is None) == starts
    assert starts or reason["by"] == "skipped"


def test_words_about_a_loss_in_the_log_of_another_program_say_nothing(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """The name of a picture is in the log of eval.lua."""
    run = make(tmp_path, "x", "loss seems to be exploding.jpg\n", program="eval.lua")
    succeeded, found = load("runs.summary").succeeded, load("runs.files").Run(str(tmp_path), "x")
    assert succeeded(found)
    (run / "run.json").write_text("{damaged")
    assert not succeeded(found)


@pytest.mark.parametrize(
    ("log", "losses"),
    [
        ("iter 0: 3.5\n", [[0, 3.5]]),
        ("iter 0: 3.5\niter 1: 3.", [[0, 3.5]]),
        ("\x1b[0miter 7: 3.5\x1b[0m\n", [[7, 3.5]]),
        ("loading 9 %\riter 7: 1e-05\n", [[7, 1e-05]]),
        ("", []),
    ],
)
def test_row_has_the_last_loss_however_it_was_printed(
    listed: Callable[[], dict[str, dict[str, Any]]], tmp_path: Path, log: str, losses: list[list[float]]
) -> None:
    make(tmp_path, "x", log)
    assert listed()["x"]["progress"]["losses"] == losses


DAMAGES: dict[str, tuple[str, str]] = {
    "empty record": ("run.json", ""),
    "record cut short": ("run.json", '{"id": "bad", "prog'),
    "record of another type": ("run.json", "[1, 2]"),
    "record of numbers": ("run.json", '{"id": 7, "generation": 8, "requested": 9, "started": "x"}'),
    "code that is none": ("exit", "abc\n"),
    "empty code": ("exit", ""),
    "code of 5,000 digits": ("exit", "9" * 5000),
    "empty process": ("process.json", ""),
    "process of another type": ("process.json", '"x"'),
    "process of odd fields": ("process.json", '{"pid": "../../x", "start": 1, "card": 7, "effective": []}'),
    "empty end": ("ended.json", ""),
    "end of another type": ("ended.json", "[]"),
    "samples that are none": ("samples", '{"time": "x"}\nnull\n[1]\n{"ti'),
    "log of noise": ("log", "\x00\xff" * 1000),
}


@pytest.mark.parametrize(("file", "content"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_file_costs_its_own_run_alone(
    listed: Callable[[], dict[str, dict[str, Any]]], run_module: Tell, tmp_path: Path, file: str, content: str
) -> None:
    make(tmp_path, "good")
    (make(tmp_path, "bad") / file).write_text(content)
    rows = listed()
    assert of_row(rows["good"]).health.state == "ended"
    seen = of_row(rows["bad"]).health
    assert isinstance(seen, health.Health)
    if file in ("run.json", "exit"):
        assert not seen.well, seen
        assert (file if file == "exit" else "") in seen.evidence
    whole = of_detail(all_of(run_module, tmp_path, "bad"))
    assert whole.id == "bad"


def test_file_that_is_a_pipe_or_a_directory_keeps_nobody(
    listed: Callable[[], dict[str, dict[str, Any]]], tmp_path: Path
) -> None:
    for name, make_it in (("pipe", os.mkfifo), ("folder", os.mkdir)):
        (make(tmp_path, name) / "process.json").unlink()
        make_it(tmp_path / "runs" / name / "process.json")
    rows = listed()
    assert all(of_row(rows[name]).health.state == "unreadable" for name in ("pipe", "folder"))


@pytest.mark.parametrize("file", ["log", "samples", "score", "images.json", "exit", "model_idpipe.json"])
def test_pipe_in_the_directory_of_a_run_never_keeps_who_reads_it(
    run_module: Tell, tmp_path: Path, in_time: None, file: str
) -> None:
    place = make(tmp_path, "pipe")
    (place / file).unlink(missing_ok=True)
    os.mkfifo(place / file)
    ways: list[dict[str, Any]] = [
        {"state": "listed"},
        {"state": "listed", "ids": ["pipe"]},
        {"state": "followed", "id": "pipe"},
        {"state": "read", "id": "pipe", "files": [file]},
    ]
    for given in ways:
        try:
            said = run_module("stack_run_info", stack_root=tmp_path, **given)
        except ModuleError as error:
            assert "not an ordinary file" in str(error)
        else:
            assert given["state"] != "read" or said["run"]["files"] == {}


@pytest.fixture
def in_time() -> Iterator[None]:
    """A read that waits for ever fails after some seconds."""

    def fail(*_given: object) -> None:
        pytest.fail("a read waits")  # no Exception, which the reader would take for a damaged file

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_files_of_a_run_are_those_of_exactly_its_name(
    load: Callable[[str], ModuleType], run_module: Tell, tmp_path: Path
) -> None:
    """Ids m1 and m1.5 in one folder; a half-written file is nobody's."""
    folder = tmp_path / "ck"
    folder.mkdir()
    for name in ("m1.t7", "m1.json", "m1.last.t7", "m1.5.t7", "m1.5.json", "m1.t7.new", "m1.5.last.t7"):
        (folder / f"model_id{name}").write_text(json.dumps({"iter": 5}))
    for name in ("m1", "m1.5"):
        make(tmp_path, name, requested={"checkpoint_path": str(folder)})
        (tmp_path / "runs" / name / "process.json").unlink()
    files = {
        name: [Path(entry["file"]).name for entry in all_of(run_module, tmp_path, name)["checkpoints"]]
        for name in ("m1", "m1.5")
    }
    assert files["m1"] == ["model_idm1.json", "model_idm1.last.t7", "model_idm1.t7"]
    assert files["m1.5"] == ["model_idm1.5.json", "model_idm1.5.last.t7", "model_idm1.5.t7"]
    models = all_of(run_module, tmp_path, "m1")["models"]
    assert all("m1.5" not in model["file"] for model in models)


PRINTED = "wrote checkpoint to {folder}/model_idm{ending}\t\n"


@pytest.mark.parametrize(
    ("finished", "modified", "iterations"),
    [
        # Killed before the model of iteration 30 was renamed: what is there is what the log says.
        (False, {".json": 300, ".t7": 100, ".last.t7": 200}, {".t7": 10, ".last.t7": 20}),
        # Killed after it was renamed, before train.lua said so: its report of iteration 30 is older than the model.
        (False, {".json": 300, ".t7": 300.5}, {".t7": 30}),
        (False, {".json": 300, ".t7": 100, ".last.t7": 300}, {".t7": 10, ".last.t7": 30}),
        # The checkpoint was finished, and the clock was set back meanwhile: the log says all.
        (True, {".json": 50, ".t7": 100, ".last.t7": 60}, {".t7": 10, ".last.t7": 30}),
    ],
)
def test_model_that_was_renamed_in_the_moment_of_a_kill_is_of_the_iteration_that_it_is_of(
    run_module: Tell, tmp_path: Path, finished: bool, modified: dict[str, float], iterations: dict[str, int]
) -> None:
    folder = tmp_path / "runs" / "m" / "checkpoint"
    best, last = (PRINTED.format(folder=folder, ending=ending) for ending in (".t7", ".last.t7"))
    log = f"iter 10: 3\nvalidation loss: \t3\n{best}iter 20: 3\nvalidation loss: \t4\n{last}"
    log += f"iter 30: 2\nvalidation loss: \t2\n{last if finished else ''}"
    make(tmp_path, "m", log, "-9\n")
    for ending, when in modified.items():
        file = folder / f"model_idm{ending}"
        file.write_text('{"iter": 30}')
        os.utime(file, (when, when))
    models = all_of(run_module, tmp_path, "m")["models"]
    assert {Path(model["file"]).name[len("model_idm") :]: model["iteration"] for model in models} == iterations


def test_job_in_the_queue_has_the_sweep_and_the_parent_of_its_run(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of a sweep that are pending were missing in its report, and were started although it was stopped."""
    module = load("runs.slurm")
    monkeypatch.setattr(module, "states", lambda: {"41": {"state": "PENDING", "node": "", "reason": "Priority"}})
    request = {"id": "s-1", "requested": {}, "sweep": "s", "parent": {"id": "b", "choose": "best"}}
    record = {"id": "s-1", "job": "41", "program": "train.lua", "submitted": 7, "runs": [request]}
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "s-1.json").write_text(json.dumps(record))
    (told,) = module.queued(str(tmp_path))
    told.pop("runs")
    run = state.queued("one", QueuedRun.model_validate(told))
    assert (run.sweep, run.parent and run.parent.model_dump()) == ("s", request["parent"])


REPORT = {"iter": 15, "val_loss_history": {"0": 9.0, "5": 3.0, "10": 3.1, "15": 3.2}}


@pytest.mark.parametrize(
    ("until", "last", "report", "by"),
    [
        ({"iterations": 15}, 16, REPORT, "iterations"),
        ({"iterations": 15}, 15, REPORT, None),  # the model of this iteration may not be written yet
        ({"iterations": 16}, 16, REPORT, None),
        ({"plateau": 2}, 16, REPORT, "plateau"),
        ({"plateau": 3}, 16, REPORT, None),
        ({"iterations": 16, "plateau": 2}, 16, REPORT, "plateau"),
        ({"iterations": 15}, None, REPORT, None),
        ({"iterations": 15}, 16, None, None),
        ({}, 16, REPORT, None),
        (None, 16, REPORT, None),
    ],
)
def test_stage_ends_when_a_later_iteration_shows_that_its_checkpoint_is_complete(
    load: Callable[[str], ModuleType],
    tmp_path: Path,
    until: dict[str, int] | None,
    last: int | None,
    report: dict[str, Any] | None,
    by: str | None,
) -> None:
    place = make(tmp_path, "x", "" if last is None else f"iter {last}: 2.5\n")
    if report:
        (place / "checkpoint" / "model_idx.json").write_text(json.dumps(report))
    reached = load("runs.stage_end").end_of_stage(load("runs.files").Run(str(tmp_path), "x"), until)
    assert (reached and (reached["by"], reached["iteration"])) == (by and (by, 15))


@pytest.mark.parametrize("name", ["m1.last", "m1.new", "../x", "x/y", "", "-x", "x" * 200])
def test_id_under_which_another_runs_files_would_lie_is_refused(run_module: Tell, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModuleError, match=r"is not a valid run id|missing"):
        run_module("stack_run_info", stack_root=tmp_path, id=name, state="followed")


def test_report_is_read_where_the_models_are(run_module: Tell, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "model_idck.json").write_text('{"iter": 4}')
    make(tmp_path, "ck", requested={"checkpoint_path": str(folder)})
    (tmp_path / "runs" / "ck" / "process.json").unlink()
    names = ["model_idck.json", "../../elsewhere/model_idck.json", "model_idother.json"]
    said = run_module("stack_run_info", stack_root=tmp_path, id="ck", files=names, state="read")["run"]
    assert set(said["files"]) == {"model_idck.json"}


def test_files_that_do_not_fit_into_one_answer_come_with_the_next(run_module: Tell, tmp_path: Path) -> None:
    place = make(tmp_path, "x")
    for number in range(4):
        (place / f"f{number}").write_bytes(b"x" * 100)
    (place / "huge").write_bytes(b"x" * 1000)
    names = ["f0", "f1", "huge", "f2", "f3"]
    said = run_module("stack_run_info", stack_root=tmp_path, id="x", files=names, most=250, state="read")["run"]
    assert (sorted(said["files"]), said["later"]) == (["f0", "f1"], ["f2", "f3"])


def test_link_that_leads_elsewhere_is_told_only_where_it_is_a_picture(run_module: Tell, tmp_path: Path) -> None:
    place = make(tmp_path, "x")
    (place / "images").mkdir()
    (tmp_path / "cat.jpg").write_bytes(b"P6 1 1 255\n\0\0\0")
    (tmp_path / "secret").write_text("root:$6$")
    (place / "images" / "000001.jpg").symlink_to(tmp_path / "cat.jpg")
    (place / "images" / "000002.jpg").symlink_to(tmp_path / "secret")
    names = ["images/000001.jpg", "images/000002.jpg"]
    said = run_module("stack_run_info", stack_root=tmp_path, id="x", files=names, state="read")["run"]
    assert set(said["files"]) == {"images/000001.jpg"}


def test_captions_of_what_is_no_list_of_captions_are_none(run_module: Tell, tmp_path: Path) -> None:
    for number, text in enumerate(['"x"', "[1, null]", '[{"caption": 5, "file_name": ["x"]}]', "{", ""]):
        place = make(tmp_path, f"e{number}", program="eval.lua")
        (place / "work" / "vis").mkdir()
        (place / "work" / "vis" / "vis.json").write_text(text)
        said = run_module("stack_run_info", stack_root=tmp_path, id=f"e{number}", state="followed")["run"]
        assert all(isinstance(entry["caption"], str) for entry in said["wrote"]["captions"])


def test_run_whose_record_cannot_be_read_keeps_no_generation_and_no_card_from_the_others(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """Asked when generations are pruned, as root: the files are the account's, who may put anything there."""
    start = load("host.processes").start_of(os.getpid())
    living = make(tmp_path, "living", generation="g7")
    living_process = {"pid": os.getpid(), "start": start, "card": {"uuid": "GPU-1"}}
    (living / "process.json").write_text(json.dumps(living_process))
    odd = make(tmp_path, "odd", generation=["x"])
    (odd / "process.json").write_text(json.dumps({**living_process, "card": 7}))
    pipe = make(tmp_path, "pipe")
    (pipe / "process.json").unlink()
    os.mkfifo(pipe / "process.json")
    for place in (living, odd, pipe):
        (place / "exit").unlink()
    assert load("runs.uses").generations_in_use(str(tmp_path)) == {"g7"}
    assert load("runs.leases").taken(str(tmp_path)) == {"GPU-1": "living"}


def test_log_that_grows_as_fast_as_it_is_read_comes_to_an_end(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = load("runs.summary")
    (tmp_path / "log").write_text("iter 1: 2.5\n")

    class Growing:
        """A log whose program is as quick as we are."""

        def __enter__(self) -> Growing:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def read(self, size: int) -> bytes:
            return b"iter 1: 2.5\n".ljust(size, b"\n")

    monkeypatch.setattr(summary, "READ_SIZE", 1 << 10)
    monkeypatch.setattr(summary, "MOST_LOG", 1 << 14)
    monkeypatch.setattr(summary, "open_regular", lambda _path: Growing())
    assert summary.read_log(str(tmp_path / "log"), 10).losses.count == 17
