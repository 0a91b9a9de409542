"""Logs as the two programs write them, whole and hand-damaged."""

from __future__ import annotations

import math
from typing import Any

import pytest

from neuraltalk_provision.runs import health, log

# As train.lua prints under th: Lua's lines end in a tab, those of C do not.
TRAINING = """DataLoader loading json file: \t/data/cocotalk.json\t
vocab size is 23\t
Successfully loaded /opt/model/VGG_ILSVRC_16_layers.caffemodel
conv1_1: 64 3 3 3
total number of parameters in LM: \t2125848\t
iter 0: 3.207015\t
image 1037: circle brown\t
evaluating validation performance... 1/2 (3.193442)\t
validation loss: \t3.1894998465266\t
nil\t
wrote json checkpoint to /ckpt/model_idt1.json\t
iter 1: 3.1\t
iter 2: 2.95\t
validation loss: \t2.9\t
{
  Bleu_1 : 0.358
  ROUGE_L : 0.314
  METEOR : 0.084
  Bleu_4 : 0
  CIDEr : 0.554
}
wrote json checkpoint to /ckpt/model_idt1.json\t
wrote checkpoint to /ckpt/model_idt1.t7\t
iter 3: 2.5
"""


def test_whole_log_tells_losses_validations_scores_and_checkpoints() -> None:
    progress = log.read(TRAINING)
    assert progress.losses == ((0, 3.207015), (1, 3.1), (2, 2.95), (3, 2.5))
    assert progress.validations == ((0, 3.1894998465266), (2, 2.9))
    assert [(at, dict(scores)["CIDEr"]) for at, scores in progress.scores] == [(2, 0.554)]
    assert dict(progress.scores[0][1])["Bleu_4"] == 0
    assert progress.checkpoints == ("/ckpt/model_idt1.t7",)
    assert (progress.iteration, progress.diverged, progress.error) == (3, False, "")


@pytest.mark.parametrize("cut", range(1, 12))
def test_log_that_is_cut_in_the_middle_of_a_line_tells_no_number_that_is_not_whole(cut: int) -> None:
    assert log.read(TRAINING[:-cut]).losses[-1] == ((3, 2.5) if cut == 0 else (2, 2.95))


def test_scorers_own_words_between_the_lines_are_no_hindrance() -> None:
    noisy = TRAINING.replace(
        "validation loss: \t2.9",
        "tokenization...\nPTBTokenizer tokenized 61268 tokens at 1.2e5\nvalidation loss: \t2.9",
    ).replace("{\n  Bleu_1", "ratio: 0.99\n{\n  Bleu_1")
    assert log.read(noisy) == log.read(TRAINING)


def test_table_that_is_not_whole_is_no_score() -> None:
    assert log.read(TRAINING[: TRAINING.index("  CIDEr")]).scores == ()


@pytest.mark.parametrize("word", ["nan", "-nan", "inf"])
def test_loss_that_is_no_number_is_divergence(word: str) -> None:
    progress = log.read(f"iter 0: 3.2\t\niter 25: {word}\t\n")
    assert progress.diverged
    assert not math.isfinite(progress.losses[-1][1])


def test_program_that_gives_up_says_so() -> None:
    assert log.read("iter 0: 3.2\nloss seems to be exploding, quitting.\t\n").diverged


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "/root/torch/install/bin/luajit: ./misc/utils.lua:17: attempt to index local 'file' (a nil value)\n",
            "./misc/utils.lua:17: attempt to index local 'file' (a nil value)",
        ),
        (
            "Traceback (most recent call last):\n  File x\nRuntimeError: could not open display\n"
            "/bin/luajit: ./misc/utils.lua:17: attempt\n",
            "RuntimeError: could not open display",
        ),
        ("THCudaCheck FAIL error=2 : out of memory\n", "THCudaCheck FAIL error=2 : out of memory"),
        ("iter 0: 3\n", ""),
    ],
)
def test_first_error_is_told_and_not_the_one_that_followed_from_it(text: str, error: str) -> None:
    assert log.read(text).error == error


def said(**more: Any) -> dict[str, Any]:
    return {"running": False, "exit_code": 0, "pid": 7, "silent": 3.0, "stopped": False, **more}


@pytest.mark.parametrize(
    ("host", "text", "state", "evidence"),
    [
        (said(running=True, exit_code=None), TRAINING, "running", "pid 7, its log grew 3 s ago"),
        (said(running=True, exit_code=None, silent=4000), TRAINING, "hanging", "has not grown for 4000 s"),
        (said(running=True, exit_code=None), "iter 0: nan\n", "diverged", "loss nan at iteration 0"),
        (said(), "iter 0: 3\nloss seems to be exploding, quitting.\n", "diverged", "exploding"),
        (said(), TRAINING, "ended", "exit code 0"),
        (said(exit_code=1), "/bin/luajit: x.lua:1: boom\n", "failed", "exit code 1: x.lua:1: boom"),
        (said(exit_code=None), TRAINING, "killed", "pid 7 is gone and left no exit code"),
        (said(exit_code=143, stopped=True), TRAINING, "stopped", "runs stop"),
    ],
)
def test_state_is_one_word_with_its_evidence(host: dict[str, Any], text: str, state: str, evidence: str) -> None:
    judged = health.judge(host, log.read(text))
    assert judged.state == state
    assert evidence in judged.evidence
    assert judged.well == (state in ("running", "ended", "stopped"))
