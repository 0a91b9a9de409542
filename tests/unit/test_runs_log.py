"""Logs as the two programs write them, whole and hand-damaged."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from neuraltalk_provision.rules import log as rules
from neuraltalk_provision.runs.progress import log
from tests.unit.runs import of_row, progress_of, read, row

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
    progress = progress_of(TRAINING)
    assert progress.losses == ((0, 3.207015), (1, 3.1), (2, 2.95), (3, 2.5))
    assert progress.validations == ((0, 3.1894998465266), (2, 2.9))
    assert [(at, dict(scores)["CIDEr"]) for at, scores in progress.scores] == [(2, 0.554)]
    assert dict(progress.scores[0][1])["Bleu_4"] == 0
    assert progress.checkpoints == ((2, "/ckpt/model_idt1.t7"),)
    assert (progress.iteration, progress.diverged, progress.error) == (3, False, "")


@pytest.mark.parametrize("cut", range(1, 12))
def test_log_that_is_cut_in_the_middle_of_a_line_tells_no_number_that_is_not_whole(cut: int) -> None:
    assert progress_of(TRAINING[:-cut]).losses[-1] == ((3, 2.5) if cut == 0 else (2, 2.95))


def test_scorers_own_words_between_the_lines_are_no_hindrance() -> None:
    noisy = TRAINING.replace(
        "validation loss: \t2.9",
        "tokenization...\nPTBTokenizer tokenized 61268 tokens at 1.2e5\nvalidation loss: \t2.9",
    ).replace("{\n  Bleu_1", "ratio: 0.99\n{\n  Bleu_1")
    assert progress_of(noisy) == progress_of(TRAINING)


def test_table_that_is_not_whole_is_no_score() -> None:
    assert progress_of(TRAINING[: TRAINING.index("  CIDEr")]).scores == ()


@pytest.mark.parametrize("word", ["nan", "-nan", "inf"])
def test_loss_that_is_no_number_is_divergence(word: str) -> None:
    progress = progress_of(f"iter 0: 3.2\t\niter 25: {word}\t\n")
    assert progress.diverged
    assert not math.isfinite(progress.losses[-1][1])


def test_two_trainings_in_one_log_are_told_by_iterations_that_run_backwards() -> None:
    assert progress_of(TRAINING).backwards is None
    assert progress_of(TRAINING + TRAINING).backwards == (3, 0)
    assert progress_of(TRAINING + "iter 3: 2.4\t\n").backwards == (3, 3)


def test_log_cut_anywhere_is_read_and_tells_nothing_that_the_whole_one_does_not() -> None:
    whole = progress_of(TRAINING)
    for cut in range(len(TRAINING)):
        part = progress_of(TRAINING[:cut])
        assert set(part.losses) <= set(whole.losses)
        assert set(part.validations) <= set(whole.validations)
        assert set(part.scores) <= set(whole.scores)
        assert set(part.checkpoints) <= set(whole.checkpoints)


@pytest.mark.parametrize("glued", ["iter 4: 2.4tokenization...\n", "x iter 4: 2.4\n", "iter 4: 2.4 2.5\n", "iter 4:\n"])
def test_line_with_something_glued_to_it_is_no_loss(glued: str) -> None:
    assert progress_of(TRAINING + glued).losses == progress_of(TRAINING).losses


def test_windows_line_ends_and_broken_letters_are_no_hindrance() -> None:
    assert progress_of(TRAINING.replace("\n", "\r\n")).losses == progress_of(TRAINING).losses
    assert progress_of("\ufffd\ufffd\n" + TRAINING).validations == progress_of(TRAINING).validations
    assert progress_of("") == log.Progress()
    assert progress_of("x" * 100_000) == log.Progress()


def test_evaluation_ends_with_a_loss_and_a_training_tells_its_images() -> None:
    progress = progress_of("assigned 82783 images to split train\t\nloss: \t2.4419\t\n{\n  CIDEr : 0.695\n}\n")
    assert (progress.images, progress.evaluation) == (82783, 2.4419)
    assert progress.scores == ((0, (("CIDEr", 0.695),)),)
    folder = progress_of("loss: \tnan\t\n").evaluation
    assert folder is not None
    assert math.isnan(folder)


def test_program_that_gives_up_says_so() -> None:
    assert progress_of("iter 0: 3.2\nloss seems to be exploding, quitting.\t\n").diverged


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
        (
            "ScorerError: this host lacks java\nScorerError: the scorer wrote no scores. Why not, its own last words\n",
            "ScorerError: this host lacks java",
        ),
        ("THCudaCheck FAIL error=2 : out of memory\n", "THCudaCheck FAIL error=2 : out of memory"),
        ("iter 0: 3\n", ""),
    ],
)
def test_first_error_is_told_and_not_the_one_that_followed_from_it(text: str, error: str) -> None:
    assert progress_of(text).error == error


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python a piece of work takes: the same number on every machine."""
    count = 0

    def traced(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "line",
    [
        "iter {}: 3.2\t\n",
        "iter {}: 3.2\t\nvalidation loss: \t2.9\t\n",
        "iter {}: 3.2\nwrote checkpoint to /c/m.t7\n",
        "iter {}: 3.2\n{{\n  CIDEr : 0.5\n}}\n",
        "progress {}\r",
        "{{\n",
        "/luajit {}\n",
    ],
)
def test_log_of_four_times_the_length_takes_four_times_the_steps(line: str) -> None:
    short, long = ("".join(line.format(number) for number in range(count)) + "\n" for count in (200, 800))
    assert steps(lambda: progress_of(long)) < 4.5 * steps(lambda: progress_of(short))


def reader_bound() -> int:
    bound: int = rules.LINE
    return bound


HOSTILE = {
    "digits": "1" * 30_000 + "x\n",
    "loss of digits": "iter 7: " + "1" * 30_000 + "\n",
    "iteration of digits": "iter " + "7" * 5_000 + ": 3.1\n",
    "spaces": "wrote checkpoint to" + " " * 30_000 + "x\n",
    "validation of spaces": "validation loss:" + " " * 30_000 + "x\n",
    "entries of spaces": "{\n" + "  a : b" + " " * 30_000 + "x\n}\n",
    "luajits": "/luajit:" * 10_000 + "\n",
    "errors": "Error" * 10_000 + "\n",
    "escapes": "\x1b[1" * 10_000 + "\n",
    "titles": "\x1b]0;" * 10_000 + "\n",
    "carriage returns": "\r" * 30_000 + "x\n",
    "a megabyte": "x" * 1_000_000 + "\n",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_line_that_is_no_line_of_ours_is_cut_and_tells_nothing(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns see a bounded line only, whatever the log holds, so that they cannot take long."""
    reader, seen = rules.Reader(9), []
    monkeypatch.setattr(reader, "line", lambda line, whole: seen.append(len(line)))
    for piece in range(0, len(hostile), 1000):
        reader.feed(hostile[piece : piece + 1000])
        assert len(reader.rest) <= reader_bound() + 1
    assert max(seen) <= reader_bound()
    assert progress_of(TRAINING + hostile) == progress_of(TRAINING)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_log_is_read_in_pieces_of_any_size(size: int) -> None:
    reader = rules.Reader(9)
    for start in range(0, len(TRAINING), size):
        reader.feed(TRAINING[start : start + size])
    whole = rules.Reader(9)
    whole.feed(TRAINING)
    assert reader.result() == whole.result()
    assert whole.result()["losses"]


@pytest.mark.parametrize(
    ("count", "kept"),
    [(0, []), (4, [0, 1, 2, 3]), (6, [0, 2, 4, 5]), (11, [0, 4, 8, 10]), (9, [0, 4, 8])],
)
def test_long_series_is_kept_evenly_and_with_its_last_entry(count: int, kept: list[int]) -> None:
    series = rules.Series(2)
    for number in range(count):
        series.add(number)
    assert series.entries() == kept


def test_twenty_thousand_validations_are_read() -> None:
    progress = progress_of("".join(f"iter {number}: 3.2\t\nvalidation loss: \t2.9\t\n" for number in range(20_000)))
    assert progress.validations[::19_999] == ((0, 2.9), (19_999, 2.9))
    assert len(progress.validations) == 20_000


def test_error_in_a_line_without_end_is_told_in_short() -> None:
    error = progress_of("/bin/luajit: x.lua:1: boom " + "x" * 1_000_000 + "\n").error
    assert error.startswith("x.lua:1: boom xxx")
    assert len(error) <= 500


@pytest.mark.parametrize(
    ("line", "loss"),
    [
        ("iter 4: 1e-05", 1e-05),
        ("iter 4: 1.5e+20\t", 1.5e20),
        ("iter 4: -0.25", -0.25),
        ("iter 4: " + "9" * 300 + ".000000", 1e300),
        ("iter 4: -inf", -math.inf),
        ("\x1b[0miter 4: 2.5\x1b[0m\t", 2.5),
        ("\x1b(B\x1b[m\x1b]0;th\x07iter 4: 2.5", 2.5),
        ("loading 98 %\rloading 100 %\riter 4: 2.5", 2.5),
        ("loading\r\x1b[Kiter 4: 2.5\r", 2.5),
        ("loading " * 1_000 + "\riter 4: 2.5", 2.5),
    ],
)
def test_number_is_read_as_programs_and_terminals_write_it(line: str, loss: float) -> None:
    progress = progress_of(TRAINING + line + "\nvalidation loss: \t2.8\t\n")
    assert progress.losses[-1] == (4, pytest.approx(loss))
    assert progress.validations[-1] == (4, 2.8)


@pytest.mark.parametrize(
    "line",
    ["iter 4: 2.5\rsaving", "iter 4: 1" + "0" * 5_000, "iter \u0664: 2.5", "iter 4: 3.1" + "\x1b[0m" * 3_000 + "9"],
)
def test_number_that_is_not_whole_or_written_over_is_none(line: str) -> None:
    assert progress_of(TRAINING + line + "\n").losses == progress_of(TRAINING).losses


def test_coloured_table_is_a_table_of_scores() -> None:
    coloured = "{\n  \x1b[0;35mCIDEr\x1b[0m : \x1b[0;36m1e-05\x1b[0m\n  METEOR : -nan\n  Bleu_1 : abc\n}\n"
    ((at, scores),) = progress_of(coloured).scores
    assert (at, scores[0]) == (0, ("CIDEr", 1e-05))
    assert [name for name, _value in scores] == ["CIDEr", "METEOR"]


CARD = {"index": 0, "uuid": "GPU-1", "name": "K80"}


def on(uuid: str) -> dict[str, Any]:
    """A sample with the run's process on a card."""
    return {"time": 1.0, "on": [{"pid": 7, "uuid": uuid, "memory": 9}]}


@pytest.mark.parametrize(
    ("host", "text", "state", "evidence"),
    [
        (row(running=True, exit_code=None), TRAINING, "running", "pid 7, its log grew 3 s ago"),
        (row(running=True, exit_code=None, silent=4000), TRAINING, "hanging", "has not grown for 4000 s"),
        (row(running=True, exit_code=None), "iter 0: nan\n", "diverged", "loss nan at iteration 0"),
        (row(), "iter 0: 3\nloss seems to be exploding, quitting.\n", "diverged", "exploding"),
        (row(), TRAINING, "ended", "exit code 0"),
        (row(exit_code=1), "/bin/luajit: x.lua:1: boom\n", "failed", "exit code 1: x.lua:1: boom"),
        (row(exit_code=None), TRAINING, "killed", "pid 7 no longer exists and left no exit code"),
        (row(exit_code=-9), TRAINING, "killed", "pid 7 was ended by signal 9 (SIGKILL). If nobody killed it"),
        (row(exit_code=-15), TRAINING, "killed", "pid 7 was ended by signal 15 (SIGTERM)"),
        (row(exit_code=-15, stopped=True), TRAINING, "stopped", "runs stop"),
        (row(exit_code=-15, ended={"by": "plateau", "evidence": "best at 5"}), TRAINING, "ended", "best at 5"),
        (row(exit_code=None, begun=False), "", "killed", "it was never started"),
        (row(exit_code=None, begun=False, ended={"by": "skipped", "evidence": "b failed"}), "", "skipped", "b failed"),
        (row(exit_code=None, begun=False, ended={"by": "refused", "evidence": "no card"}), "", "failed", "no card"),
        (
            row(exit_code=-15, ended={"by": "signal", "evidence": "told"}),
            TRAINING,
            "killed",
            "told: its host was shut",
        ),
        (row(exit_code=None, begun=False, waiting=True, needs="b"), "", "waiting", "it starts after b"),
        (
            row(exit_code=None, begun=False, waiting=True, program="eval.lua"),
            "",
            "waiting",
            "its images are being checked",
        ),
        (row(exit_code=None, begun=False, waiting=True, stopped=True), "", "stopped", "before it started"),
        (row(running=True, exit_code=None, card=CARD, samples=[on("GPU-1")]), TRAINING, "running", "pid 7"),
        (
            row(running=True, exit_code=None, card=CARD, samples=[on("GPU-2")]),
            TRAINING,
            "misplaced",
            "on card GPU-2, not",
        ),
        (
            row(running=True, exit_code=None, card=CARD, samples=[on("GPU-2"), on("GPU-1")]),
            TRAINING,
            "running",
            "pid 7",
        ),
        (row(running=True, exit_code=None, card=CARD, samples=[{"time": 1.0, "on": []}]), TRAINING, "running", "pid 7"),
    ],
)
def test_state_is_one_word_with_its_evidence(host: dict[str, Any], text: str, state: str, evidence: str) -> None:
    health = of_row({**host, "progress": read(text)}).health
    assert health.state == state
    assert evidence in health.evidence
    assert health.well == (state in ("waiting", "running", "ended", "stopped"))


ODD: tuple[Any, ...] = (None, True, "", "x\x1b", -1, 10**400, 1e308, math.nan, math.inf, [], [None, 7], {}, {"uuid": 7})
WHOLE = row(running=True, needs="b", card=CARD, samples=[on("GPU-2")], exit_code=1)


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize(
    "start", [{}, {"running": False}, {"running": False, "ended": {"by": "signal", "evidence": "x"}}]
)
def test_what_a_host_says_wrong_or_not_at_all_is_an_unreadable_run_and_names_the_field(
    key: str, start: dict[str, Any]
) -> None:
    given = {**WHOLE, **start}
    found = [of_row({**given, key: odd}) for odd in ODD]
    assert all(run.health.evidence and "None" not in run.health.evidence.split(" (found")[0] for run in found)
    assert all(f"{key}" in run.health.evidence for run in found if run.health.state == "unreadable")
    missing = of_row({name: value for name, value in given.items() if name != key}).health
    assert missing.state == "unreadable" or key == "generation"
    assert f"{key}: field required" in missing.evidence or key == "generation"


@pytest.mark.parametrize("ended", [{"by": "plateau"}, {"by": "skipped", "evidence": 7}, {"by": ["signal"]}, "plateau"])
def test_end_without_its_evidence_is_no_good_end(ended: Any) -> None:
    health = of_row(row(ended=ended)).health
    assert (health.state, "ended" in health.evidence) == ("unreadable", True)


@pytest.mark.parametrize("code", ["", "0", "x", 1.5, 10**400, True, [0]])
def test_exit_code_that_is_none_is_not_taken_for_a_good_end(code: Any) -> None:
    assert not of_row(row(exit_code=code)).health.well


def test_what_a_newer_host_says_besides_is_left_out() -> None:
    newer = {**row(mood="fine"), "samples": [{"time": 1.0, "watts": 300}]}
    assert of_row(newer).health.state == "ended"
