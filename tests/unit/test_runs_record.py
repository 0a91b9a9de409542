"""The runs of a site, put together from what its hosts tell; and the report that a training leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import record, report
from neuraltalk_provision.runs.verdict import verify
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.runs import detail, job, read
from tests.unit.test_cli_runs import MODEL, told


def said(run_id: str, **more: Any) -> dict[str, Any]:
    """A run as stack_run returns it in full."""
    given = {"requested": {"seed": 1}, "effective": {"seed": 1, "id": run_id}, "started": 5}
    return detail(run_id, **{**given, **more})


def hosts_tell(monkeypatch: pytest.MonkeyPatch, **hosts: dict[str, Any]) -> list[playbook.Request]:
    asked: list[playbook.Request] = []

    def run(request: playbook.Request) -> playbook.Outcome:
        asked.append(request)
        results = tuple(
            (host, "stack_run_info", {"queued": [], "free": [], "runs": [], **r}) for host, r in hosts.items()
        )
        return playbook.Outcome(0, PlayResults(results=results))

    monkeypatch.setattr(playbook, "run", run)
    return asked


def test_runs_of_all_hosts_are_listed_the_latest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hosts_tell(
        monkeypatch, one={"runs": [said("a"), said("b", started=9)]}, two={"runs": [said("a", started=7)]}
    )
    found = hosts.query(Settings(), ids=["a", "b"]).runs
    assert [(run.host, run.id) for run in found] == [("one", "b"), ("two", "a"), ("one", "a")]
    assert found[0].effective == {"seed": 1, "id": "b"}
    assert found[0].requested == {"seed": 1}
    assert asked[0].variables["provision_gpu"] == "none"
    with pytest.raises(UsageError, match="run a exists on several hosts: two, one"):
        record.find("a", found)
    assert record.find("a", found, "one").host == "one"
    with pytest.raises(UsageError, match="no host has a run called c; the latest runs are: b, a, a"):
        record.find("c", found)


def test_run_on_a_shared_disk_is_told_by_the_host_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = said("a", running=True, exit_code=None), said("a", elsewhere="one", exit_code=None)
    hosts_tell(monkeypatch, two={"runs": [there]}, one={"runs": [here]})
    (run,) = hosts.runs(Settings())
    assert (run.host, run.health.state) == ("one", "running")


def test_runs_and_cards_of_a_machine_with_two_names_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"index": 0, "uuid": "GPU-1", "name": "x"}
    same = {"runs": [said("a")], "queued": [job("q", "PENDING")], "free": [card], "machine": "a" * 32}
    hosts_tell(monkeypatch, two=same, one=same, other={**same, "machine": "b" * 32, "queued": []})
    site = hosts.query(Settings(), gpu="auto")
    assert [(run.host, run.id) for run in site.runs] == [("one", "q"), ("one", "a"), ("other", "a")]
    assert list(site.results) == ["one", "other"]
    hosts_tell(monkeypatch, two={**same, "machine": ""}, one={**same, "machine": ""})
    assert [run.host for run in hosts.runs(Settings()) if run.id == "a"] == ["one", "two"]


def test_runs_and_jobs_of_a_host_that_is_not_asked_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"runs": [said("a", elsewhere="three", exit_code=None)], "queued": [job("q", "PENDING")]}
    hosts_tell(monkeypatch, one=there, two=there)
    assert [(run.host, run.id) for run in hosts.runs(Settings())] == [("one", "q"), ("one", "a")]


@pytest.mark.parametrize(
    ("state", "word", "evidence"),
    [
        ("PENDING", "waiting", "Slurm job 41: PENDING (Priority)"),
        ("RUNNING", "waiting", "RUNNING"),
        ("SILENT", "waiting", "Slurm does not answer"),
        ("CANCELLED", "stopped", "CANCELLED"),
        ("FAILED", "failed", "left no run on any host: FAILED on n2. See /r/.job-41.out"),
        ("GONE", "failed", "Slurm no longer knows the job"),
    ],
)
def test_job_that_no_host_has_a_run_of_is_told_by_slurm(
    monkeypatch: pytest.MonkeyPatch, state: str, word: str, evidence: str
) -> None:
    hosts_tell(monkeypatch, one={"queued": [job("a", state)]})
    (run,) = hosts.runs(Settings())
    assert (run.health.state, evidence in run.health.evidence, run.supervisor) == (word, True, ""), run.health


def test_job_that_a_host_has_a_run_of_is_told_by_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts_tell(monkeypatch, one={"queued": [job("a", "RUNNING")]}, two={"runs": [said("a", job="41")]})
    site = hosts.query(Settings())
    assert [(run.host, run.job) for run in site.runs] == [("two", "41")]


def test_host_that_cannot_be_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = PlayResults(failures=(Failure("two", "List the runs", "unreachable"),))
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(4, failed))
    with pytest.raises(HostError, match="two, List the runs: unreachable") as caught:
        hosts.runs(Settings())
    assert "--limit '!HOST'" in caught.value.advice


def test_line_goes_back_as_far_as_the_host_has_it() -> None:
    first, second = told("a"), told("b", parent={"id": "a", "choose": "last"}, begins=20)
    third = told("c", parent={"id": "b", "choose": "last"}, begins=5)
    assert [run.id for run in record.line(third, [first, second, third])] == ["a", "b", "c"]
    assert [run.id for run in record.line(third, [first, third])] == ["c"]
    elsewhere = told("b", host="two", parent=None)
    assert [run.id for run in record.line(third, [elsewhere, third])] == ["c"]
    itself = told("d", parent={"id": "d", "choose": "last"})
    assert [run.id for run in record.line(itself, [itself])] == ["d"]


@pytest.mark.parametrize(("images", "asked"), [("3200", "3200"), ("-1", "8")])
def test_model_is_evaluated_on_what_its_training_validated_with(images: str, asked: str) -> None:
    given = {"input_h5": "/d/c.h5", "input_json": "/d/c.json", "val_images_use": images, "batch_size": "8"}
    again = verify.again(told("a", effective=given), ["a", "a-check-1"], "none", None)
    assert (again.id, again.program) == ("a-check-2", "eval.lua")
    assert (again.arguments["num_images"], again.arguments["batch_size"]) == (asked, "8")
    assert (again.arguments["input_h5"], again.arguments["language_eval"]) == ("/d/c.h5", "0")


def test_best_model_is_evaluated_again_and_the_last_one_only_where_there_is_no_best() -> None:
    given = {"input_h5": "/d/c.h5", "input_json": "/d/c.json"}
    best, last = MODEL, {**MODEL, "file": "/r/base/model_idbase.last.t7"}

    def evaluated(*models: dict[str, Any]) -> Any:
        return verify.again(told("a", effective=given, models=models), [], "none", None).arguments["model"]

    assert evaluated(last, best) == best["file"]
    assert evaluated(last) == last["file"]


@pytest.mark.parametrize(
    ("images", "options", "name"),
    [
        (82_783, {}, "COCO"),
        (82_783, {"batch_size": "16"}, "COCO"),
        (82_783, {"batch_size": "8"}, ""),
        (40, {}, ""),
        (82_783, {"finetune_cnn_after": "-1"}, "COCO"),
        (82_783, {"finetune_cnn_after": "0"}, "COCO, finetuned from iteration 0"),
        (82_783, {"finetune_cnn_after": "1000"}, "COCO, finetuned from iteration 1,000"),
    ],
)
def test_envelope_is_that_of_coco_and_of_its_finetuning(images: int, options: dict[str, str], name: str) -> None:
    log = f"assigned {images} images to split train\niter 0: 3.0\n"
    line = (told("a", effective=options, progress=read(log)),)
    found = verify.known(line, record.history(line))
    assert (found.name if found else "") == name


@pytest.mark.parametrize(
    ("first", "then", "name"),
    [
        ("6000", "2000", "COCO, finetuned from iteration 6,000"),  # what `runs resume` sets by itself
        ("6000", "3000", "COCO, finetuned from iteration 7,000"),
        ("6000", "-1", "COCO"),
        ("1000", "0", "COCO, finetuned from iteration 1,000"),
        ("4000", "0", "COCO, finetuned from iteration 4,000"),
    ],
)
def test_finetuning_that_the_run_before_did_not_reach_is_that_of_the_run_that_continues(
    first: str, then: str, name: str
) -> None:
    before = told("a", effective={"finetune_cnn_after": first}, progress=read("assigned 82783 images to split train\n"))
    line = (before, told("b", effective={"finetune_cnn_after": then}, begins=4000, progress=read("iter 0: 3.0\n")))
    found = verify.known(line, record.history(line))
    assert found and found.name == name


LEFT = {
    "iter": 20,
    "loss_history": {"0": 3.2},
    "val_loss_history": {"0": 3.1, "10": 2.5, "20": 2.25},
    "val_predictions": [{"image_id": 1037, "caption": "circle brown"}, {"image_id": "x", "caption": ""}],
    "val_lang_stats_history": {"20": {"CIDEr": 0.554, "Bleu_4": 0}},
}


def test_report_is_read_as_the_program_writes_it() -> None:
    found = report.read(json.dumps(LEFT).encode())
    assert isinstance(found, report.Report)
    assert (found.iteration, found.validations) == (20, {0: 3.1, 10: 2.5, 20: 2.25})
    assert found.scores == {20: {"CIDEr": 0.554, "Bleu_4": 0.0}}
    assert found.captions == {"1037": "circle brown", "x": ""}


def test_tables_whose_numbers_begin_with_one_come_as_lists_and_empty_ones_as_either() -> None:
    odd = {**LEFT, "val_loss_history": [3.0, 2.0], "val_lang_stats_history": [], "val_predictions": []}
    found = report.read(json.dumps(odd).encode())
    assert isinstance(found, report.Report)
    assert (found.validations, found.scores, found.captions) == ({1: 3.0, 2: 2.0}, {}, {})


@pytest.mark.parametrize("cut", range(0, len(json.dumps(LEFT)) - 1, 7))
def test_report_that_was_cut_short_is_none_wherever_it_was_cut(cut: int) -> None:
    assert isinstance(report.read(json.dumps(LEFT).encode()[:cut]), str)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "it does not exist"),
        (b"[1]", "it was not written by train.lua"),
        (b'{"iter": 3}', "it was not written by train.lua: KeyError 'val_loss_history'"),
        (
            b'{"iter": "x", "val_loss_history": {}, "val_predictions": []}',
            "it was not written by train.lua: ValueError",
        ),
        (b"\xff\xfe", "it cannot be read"),
    ],
)
def test_report_that_is_none_says_why(data: bytes | None, words: str) -> None:
    said = report.read(data)
    assert isinstance(said, str)
    assert words in said


def test_report_counts_in_the_numbers_of_lua() -> None:
    found = report.read(b'{"iter": 1e+05, "val_loss_history": {"1e+05": 1e-05}, "val_predictions": []}')
    assert isinstance(found, report.Report)
    assert (found.iteration, found.validations) == (100_000, {100_000: 1e-05})


SOUND = '{"iter": 20, "val_loss_history": {"0": 3.1}, "val_predictions": [{"image_id": 1, "caption": "a"}]}'


@pytest.mark.parametrize(
    ("sound", "odd"),
    [
        (part, odd)
        for part in ("20", '{"0": 3.1}', "3.1", '"0"', '[{"image_id": 1, "caption": "a"}]', "1,", '"a"}')
        for odd in (
            "1e999",
            "NaN",
            "null",
            "[]",
            '["x"]',
            '{"x": {}}',
            "-" + "9" * 4_000,
            "true",
            '"' + "x" * 9_999 + '"',
        )
    ],
)
def test_report_of_other_types_is_read_or_refused_in_a_few_words(sound: str, odd: str) -> None:
    text = SOUND.replace(sound, odd + sound[-1] if sound[-1] in ",}" and sound[0] != "{" else odd)
    found = report.read(text.encode())
    assert isinstance(found, report.Report) or len(found) < 300


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"iter": ' * 100_000, b'{"iter": ' + b"9" * 5_000 + b"}"])
def test_report_that_is_nested_without_end_is_refused(data: bytes) -> None:
    assert "it cannot be read" in str(report.read(data))
