"""The report of `make test-gpu`: each thing that a broken card does differently makes it red; and the card by UUID."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import report, supervised
from tests.gpu.bench import Bench

CARD = {"uuid": "GPU-1", "name": "NVIDIA H200", "compute_cap": "9.0", "driver_version": "580.65.06"}
FOUND = {"uuid": "GPU-1", "name": "NVIDIA H200", "capability": "9.0", "driver": "580.65.06"}


def trained() -> dict[str, Any]:
    card = {"processes": [{"pid": "7"}], "utilisation": 9, "memory": 3000, "samples": 5}
    return {"exit_code": 0, "model": "/m.t7", "losses": [2.8, 2.4], "validation": [2.6, 2.5], "card": card}


def stage() -> dict[str, Any]:
    on = [{"pid": 7, "uuid": "GPU-1", "memory": 3007}]
    models = [{"file": "/m.t7", "bytes": 5, "iteration": 3, "modified": 1.0}]
    run = {"exit_code": 0, "ended": None, "begins": 0, "models": models, "card": {"uuid": "GPU-1"}, "tail": ""}
    return supervised.summary({**run, "samples": [{"on": on, "cpu": 1.5, "utilization": 90}]})


RIGHT: dict[str, Any] = {
    "card": CARD,
    "facts": {"answer": "card", "problem": "", "cards": [FOUND]},
    "suites": [{"green": True, "words": "cutorch.test(): 186 passed"}],
    "training": {"card": trained(), "processor": trained()},
    "evaluation": {"card": {"loss": 2.5406}, "processor": {"loss": 2.5406}},
    "captions": {where: {"exit_code": 0, "captions": {"a.jpg": "a cat"}} for where in ("card", "processor")},
    "stages": {"base": stage(), "finetune": stage()},
}


def test_a_report_without_a_fault_has_no_problem() -> None:
    assert report.problems(RIGHT) == []


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda r: r["training"]["card"].update(validation=[float("nan"), float("nan")]), "is nan on the card"),
        (lambda r: r["training"]["card"].update(validation=[]), "printed no validation losses"),
        (lambda r: r["training"]["card"].update(losses=[2.8, float("nan")]), "losses that are no numbers"),
        (lambda r: r["training"]["card"].update(losses=[]), "printed no losses"),
        (lambda r: r["training"]["card"].update(validation=[2.9]), "2.9 on the card and 2.6 on the processor"),
        (lambda r: r["training"]["card"]["card"].update(processes=[], utilisation=0), "saw nothing compute"),
        (lambda r: r["training"]["card"].update(exit_code=1), "training on the card ended with 1"),
        (lambda r: r["evaluation"]["card"].update(loss=None), "could not be evaluated on both"),
        (lambda r: r["evaluation"]["card"].update(loss=2.6), "loss of one model is 2.6 on the card"),
        (lambda r: r["captions"]["card"].update(captions={"a.jpg": "a dog"}), "other captions on the card"),
        (lambda r: r["captions"].clear(), "no model to caption with"),
        (lambda r: r["stages"].clear(), "stage base did not run"),
        (lambda r: r["stages"].pop("finetune"), "stage finetune did not run"),
        (lambda r: r["facts"].update(answer="unknown", problem="GPU is lost"), "GPU is lost"),
        (lambda r: r["suites"][0].update(green=False), "186 passed"),
    ],
)
def test_what_a_broken_card_does_is_a_problem(break_it: Callable[[dict[str, Any]], Any], words: str) -> None:
    broken = copy.deepcopy(RIGHT)
    break_it(broken)
    assert words in "; ".join(report.problems(broken))


def test_programs_see_the_card_that_nvidia_smi_names_first(tmp_path: Path) -> None:
    """CUDA counts from the fastest card, nvidia-smi by the bus: 0 can be two cards."""
    assert Bench(tmp_path, tmp_path, [], 0.0, "GPU-1").environment()["CUDA_VISIBLE_DEVICES"] == "GPU-1"
