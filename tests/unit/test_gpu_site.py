"""The whole job on a machine with a card: which commands it gives, and which answers make it red."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.mirror import lock
from tests.gpu import site
from tests.real import training

GATES = ("ended", "computed on its card", site.NOT_SCORED)


class Told(site.Job):
    """A job whose commands get answers from a table, by the words that the command begins with."""

    def __init__(self, work: Path, **answers: Any) -> None:
        super().__init__(work)
        self.answers = answers
        self.given: list[str] = []

    def provision(self, *words: str, code: int | None = 0) -> str:
        self.given.append(" ".join(words))
        names = [name for name in self.answers if self.given[-1].startswith(name.replace("_", " "))]
        answer = self.answers[max(names, key=len)] if names else {}
        ended = answer.pop("exit", 0)
        self.expect(code in (None, ended), f"{self.given[-1]} ended with {ended}")
        return json.dumps(answer)


def verdict(colours: dict[str, str]) -> dict[str, Any]:
    return {"gates": [{"name": name, "colour": colours.get(name, "green"), "evidence": "seen"} for name in GATES]}


def trained(tmp_path: Path, scored: bool = True, refused: str = "run made-base uses it", **colours: str) -> Told:
    named = {name.replace("_", " "): colour for name, colour in colours.items()}
    answers = {
        "train": {"card": {"uuid": "GPU-3"}},
        "train_train.yml_--id_second": {"exit": 1, "error": f"no card for this run: card 3 (H200): {refused}"},
        "runs_verify_made-base": verdict(named),
        "runs_verify_made-finetune": verdict(named),
    }
    job = Told(tmp_path, **answers)
    site.train(job, scored)
    return job


def test_output_of_a_command_is_in_files_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import pathlib, sys; print('told', file=sys.stderr, flush=True); print(pathlib.Path(sys.argv[2]).read_text())"
    )
    monkeypatch.setattr(site, "PROVISION", (sys.executable, "-c", program))
    job = site.Job(tmp_path)
    assert job.provision("site", "01-site.err.log") == "told\n\n"
    assert job.problems == [] and job.steps[0]["exit_code"] == 0


def test_second_training_asks_for_the_card_of_the_first_and_must_be_refused_for_it(tmp_path: Path) -> None:
    job = trained(tmp_path)
    assert "train train.yml --id second --gpu GPU-3 --detach --json" in job.given
    assert job.problems == []
    (problem,) = trained(tmp_path, refused="its compute mode is Prohibited").problems
    assert "a second training on GPU-3" in problem


def test_a_training_without_a_card_is_a_problem(tmp_path: Path) -> None:
    job = Told(tmp_path, train={"card": None})
    site.train(job, scored=True)
    assert job.problems == ["the training has no card"]


def test_every_gate_has_to_be_green_but_that_of_scores_that_were_not_wanted(tmp_path: Path) -> None:
    assert trained(tmp_path, scored=False, scores_are_fresh="left out").problems == []
    assert len(trained(tmp_path, scored=True, scores_are_fresh="left out").problems) == 2
    assert "computed on its card is red" in trained(tmp_path, computed_on_its_card="red").problems[0]


def test_a_site_that_answers_nothing_is_told_and_verify_needs_checks(tmp_path: Path) -> None:
    job = Told(tmp_path, verify={"hosts": []})
    assert not site.build(job)
    assert job.problems == ["the second site changed something", "verify checked nothing"]


def test_data_set_is_made_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: made.append(command))
    job = Told(tmp_path)
    assert site.prepare_data(job)
    assert made == [["install", "-d", "-o", site.ACCOUNT, training.OUT]]
    assert job.given == [f"data prepare --host card --id prepared {' '.join(training.PREPARE)} --set-aside"]


def test_the_given_mirror_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, work = tmp_path / "given", tmp_path / "work"
    given.mkdir()
    work.mkdir()
    lock.write(given, lock.Lock())
    monkeypatch.setattr(site.vgg16, "write", lambda folder: [folder / "weights"])
    (work / "weights").touch()
    added: list[Path] = []
    monkeypatch.setattr(site.store, "add", lambda mirror, file, catalogue: added.append(mirror))
    monkeypatch.setattr(training, "write_data", lambda folder: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: None)
    assert not site.prepare(site.Job(work), given)
    assert added == [work / "mirror"]
    assert f"mirror: {work / 'mirror'}" in (work / "provision.yml").read_text()
