"""The verdict: each gate green and red, with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.one_run import BrokenModel, Caption, OpenedModel
from neuraltalk_provision.results.run import Parent, Process, Sample, Scorer
from neuraltalk_provision.runs.progress import record
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.runs.progress.log import Progress
from neuraltalk_provision.runs.progress.report import Report
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.verdict import checks, reevaluation
from neuraltalk_provision.runs.verdict.checks import Evidence
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.runs.verdict.gates import Gate, Verdict, gate

CARD = Card(index=0, uuid="GPU-1", name="Tesla K80")
SCORES = (("CIDEr", 0.6), ("METEOR", 0.2))
LOSSES = tuple((n, 3.0 - n / 100) for n in range(101))
CAPTIONS = {"1": "a cat", "2": "a dog", "3": "a bird", "4": "a cat on a mat"}
MODEL = OpenedModel(file="/r/model_idx.t7", bytes=500_000_000, iteration=100, words=23, loss=2.0, cider=0.6)


def sample(at: float, uuid: str | None = "GPU-1", use: int | None = 90, memory: int | None = 3007) -> Sample:
    on = (Process(pid=7, uuid=uuid, memory=memory),)
    return Sample(time=at, iteration=1, cpu=at, pids=(7,), on=on, used=3007, utilization=use)


RUN = RunState(
    host="one",
    id="x",
    program="train.lua",
    effective={"language_eval": "1"},
    started=1,
    card=CARD,
    log="/r/log",
    tail="",
    progress=Progress(losses=LOSSES, validations=((0, 3.1), (100, 2.0)), scores=((100, SCORES),), images=82_783),
    health=Health("ended", "exit code 0"),
    samples=(sample(0), sample(30), sample(60)),
    scorer=Scorer(given=10.0, scored=12.5),
)
REPORT = Report(100, {0: 3.1, 100: 2.0}, {100: dict(SCORES)}, CAPTIONS)
AGAIN = RunEnd(
    id="x-check-1",
    host="one",
    log="/r/check/log",
    exit_code=0,
    checkpoints=(),
    captions=tuple(Caption(file="", image_id=int(key), caption=text, place="") for key, text in CAPTIONS.items()),
    set_aside=(),
    losses=(),
    progress=Progress(evaluation=2.1, scores=((0, SCORES),)),
)
ENVELOPE = Envelope.model_validate(
    {
        "name": "ours",
        "ranges": {
            "loss": [{"iteration": 50, "least": 1, "most": 2.5}],
            "CIDEr": [{"iteration": 50, "least": 0.5, "most": 1}],
        },
    }
)


def evidence(run: RunState = RUN, **more: Any) -> Evidence:
    line = more.pop("line", (run,))
    told = {"models": (MODEL,), "report": REPORT, "envelope": ENVELOPE, "again": AGAIN}
    return Evidence(line, record.history(line), **{**told, "again_scorer": Scorer(given=1.0, scored=2.0), **more})


def ran(progress: dict[str, Any] | None = None, **more: Any) -> RunState:
    return replace(RUN, progress=replace(RUN.progress, **(progress or {})), **more)


def test_training_that_went_well_is_green_with_evidence_in_every_gate() -> None:
    verdict = checks.verdict(evidence())
    assert [(gate.name, gate.colour) for gate in verdict.gates] == [
        ("ended", "green"),
        ("computed on its card", "green"),
        ("one history", "green"),
        ("models open", "green"),
        ("loss fell", "green"),
        ("within the envelope", "green"),
        ("captions differ", "green"),
        ("scores are fresh", "green"),
        ("evaluated again", "green"),
    ]
    assert verdict.green
    assert all(len(gate.evidence) > 10 for gate in verdict.gates)


def scored_again(claimed: dict[str, float] | None = None, **scores: float) -> Gate:
    again = replace(AGAIN, progress=replace(AGAIN.progress, scores=((0, tuple(scores.items())),)))
    return checks.evaluated_again(evidence(again=again, report=replace(REPORT, scores={100: claimed or dict(SCORES)})))


GATES: list[tuple[str, Callable[[], Gate], str, str]] = [
    ("ended", lambda: checks.ended(ran(health=Health("running", "pid 7"))), "red", "it is running: pid 7"),
    ("killed", lambda: checks.ended(ran(health=Health("killed", "signal 9"))), "red", "killed: signal 9"),
    ("stopped", lambda: checks.ended(ran(health=Health("stopped", "by us"))), "green", "stopped: by us"),
    (
        "on its card",
        lambda: checks.on_its_card(RUN, CARD),
        "green",
        "pid 7 on GPU-1 (Tesla K80) in 3 of 3 samples over 60 s, 3,007 MiB at most, utilisation 90 % (median), 90 %",
    ),
    (
        "elsewhere",
        lambda: checks.on_its_card(ran(samples=(sample(0), sample(9, "GPU-2"))), CARD),
        "red",
        "found on GPU-2, but",
    ),
    ("nowhere", lambda: checks.on_its_card(ran(samples=(Sample(time=0.0),)), CARD), "red", "was on GPU-1 in 1 samples"),
    (
        "nvidia-smi failed",
        lambda: checks.on_its_card(ran(samples=(Sample(time=0.0), Sample(time=2.0, problem="GPU is lost"))), CARD),
        "red",
        "was on GPU-1 in 2 samples; 1 of them failed, the last one with: GPU is lost",
    ),
    (
        "in a container",
        lambda: checks.on_its_card(ran(samples=(Sample(time=0.0), Sample(time=9.0, utilization=90))), CARD),
        "red",
        "in 2 samples, but the utilisation was up to 90 %: in some containers nvidia-smi does not list their processes",
    ),
    ("unseen", lambda: checks.on_its_card(ran(samples=()), CARD), "red", "was on GPU-1 in 0 samples"),
    (
        "card not named",
        lambda: checks.on_its_card(ran(samples=(sample(0, None),)), CARD),
        "red",
        "none of its processes was on GPU-1 in 1 samples",
    ),
    (
        "often idle",
        lambda: checks.on_its_card(ran(samples=(sample(0, use=0, memory=None), sample(9), sample(18, use=1))), CARD),
        "green",
        "3,007 MiB at most, utilisation 1 % (median), 90 % at most",
    ),
    ("idle", lambda: checks.on_its_card(ran(samples=(sample(0, use=0),)), CARD), "red", "utilisation 0 %"),
    (
        "nearly idle",
        lambda: checks.on_its_card(ran(samples=(sample(50, use=0), sample(60, use=1))), CARD),
        "green",
        "in 2 of 2 samples over 10 s, 3,007 MiB at most, utilisation 0 % (median), 1 % at most",
    ),
    (
        "hidden",
        lambda: checks.on_its_card(ran(samples=(sample(0, use=None),)), CARD),
        "green",
        "utilisation not reported",
    ),
    ("processor", lambda: checks.on_the_processor(RUN), "green", "60.0 s of CPU time in 60 s, 3 samples, pid 7"),
    ("no time", lambda: checks.on_the_processor(ran(samples=(sample(0),))), "red", "0.0 s of CPU time"),
    (
        "no process",
        lambda: checks.on_the_processor(ran(samples=(Sample(time=0.0), Sample(time=60.0, cpu=9.0)))),
        "red",
        "9.0 s of CPU time in 60 s, 2 samples",
    ),
    ("no sample", lambda: checks.on_the_processor(ran(samples=())), "red", "0.0 s of CPU time"),
    (
        "two trainings",
        lambda: checks.one_history((ran({"losses": (*LOSSES, (0, 3.0))}),)),
        "red",
        "x: iteration 0 comes after iteration 100: two trainings wrote to one log",
    ),
    (
        "parent that was removed",
        lambda: checks.one_history((ran(parent=Parent(id="w", choose="last")), RUN)),
        "red",
        "x continues w, which is no longer on one: what was before it is missing",
    ),
    (
        "truncated log",
        lambda: checks.one_history((RUN, ran({"losses": LOSSES[40:]}, id="x-r2"))),
        "red",
        "x-r2: its log begins with iteration 40: what was before it is missing",
    ),
    (
        "log that lacks its first line",
        lambda: checks.one_history((ran({"losses": LOSSES[1:]}),)),
        "red",
        "x: its log begins with iteration 1: what was before it is missing",
    ),
    (
        "no number",
        lambda: checks.one_history((ran({"losses": ((0, float("nan")),)}, health=Health("diverged", "loss nan")),)),
        "red",
        "x: loss nan",
    ),
    (
        "parent without losses",
        lambda: checks.one_history((ran({"losses": ()}, id="a"), RUN)),
        "red",
        "a (0 losses read), x (101 losses read)",
    ),
    ("no losses", lambda: checks.one_history((ran({"losses": ()}),)), "red", "0 losses read"),
    ("no model", lambda: checks.models_open(evidence(models=())), "red", "there is no model"),
    (
        "broken",
        lambda: checks.models_open(evidence(models=(BrokenModel(file="/r/m.t7", bytes=100, problem="read error"),))),
        "red",
        "m.t7 (100 bytes) cannot be opened: read error",
    ),
    (
        "other model",
        lambda: checks.models_open(evidence(models=(MODEL.model_copy(update={"loss": 2.1}),))),
        "red",
        "validation loss at iteration 100: 2.0 in its report, 2.1 in the model",
    ),
    (
        "model without a loss",
        lambda: checks.models_open(evidence(models=(MODEL.model_copy(update={"loss": None}),))),
        "red",
        "validation loss at iteration 100: 2.0 in its report, None in the model",
    ),
    (
        "losses that were rounded",
        lambda: checks.models_open(
            evidence(
                ran({"validations": ((0, 3.1), (100, 2.000001))}),
                models=(MODEL.model_copy(update={"loss": 2.000001}),),
            )
        ),
        "green",
        "iteration 100, 23 words",
    ),
    (
        "other iteration",
        lambda: checks.models_open(evidence(models=(MODEL.model_copy(update={"iteration": 50}),))),
        "red",
        "validation loss at iteration 50: None in its report",
    ),
    (
        "report of another run",
        lambda: checks.models_open(evidence(ran({"validations": ((0, 3.1), (100, 2.0001))}))),
        "red",
        "validation loss at iteration 100: 2.0 in its report, 2.0001 in its log: another training has written there",
    ),
    (
        "report of iterations that the run did not have",
        lambda: checks.models_open(evidence(ran({"validations": ((50, 2.0),)}))),
        "red",
        "its log has no validation of an iteration that is in its report: another training has written there",
    ),
    (
        "log whose middle is not read",
        lambda: checks.models_open(evidence(ran({"validations": ((100, 2.0),)}))),
        "green",
        "iteration 100, 23 words",
    ),
    ("no report", lambda: checks.models_open(evidence(report="cut short")), "red", "its report (.json): cut short"),
    ("rose", lambda: checks.loss_fell(record.history((ran({"losses": LOSSES[::-1]}),))), "red", "mean of the first 25"),
    (
        "flat",
        lambda: checks.loss_fell(record.history((ran({"losses": tuple((n, 3.0) for n in range(1000))}),))),
        "red",
        "3.0000 (mean of the first 50, from iteration 0), 3.0000 (of the last 50, to 999)",
    ),
    (
        "few",
        lambda: checks.loss_fell(record.history((ran({"losses": LOSSES[:3]}),))),
        "red",
        "3 losses were read, which are too few",
    ),
    (
        "just enough losses",
        lambda: checks.loss_fell(record.history((ran({"losses": LOSSES[:4]}),))),
        "green",
        "3.0000 (mean of the first 1, from iteration 0), 2.9700 (of the last 1, to 3)",
    ),
    (
        "fell",
        lambda: checks.loss_fell(record.history((RUN,))),
        "green",
        "2.8800 (mean of the first 25, from iteration 0), 2.1200 (of the last 25, to 100)",
    ),
    (
        "outside",
        lambda: checks.within(evidence(ran({"validations": ((100, 2.6),)}))),
        "red",
        "loss 2.600 at iteration 100 is not in 1.00 to 2.50",
    ),
    (
        "score outside",
        lambda: checks.within(evidence(ran({"scores": ((100, (("CIDEr", 0.3),)),)}))),
        "red",
        "CIDEr 0.300 at iteration 100 is not in 0.50 to 1.00",
    ),
    (
        "score rose into the range",
        lambda: checks.within(evidence(ran({"scores": ((50, (("CIDEr", 0.3),)), (100, (("CIDEr", 0.6),)))}))),
        "green",
        "CIDEr 0.600 at iteration 100 is in 0.50 to 1.00",
    ),
    (
        "last loss outside",
        lambda: checks.within(evidence(ran({"validations": ((50, 2.4), (100, 2.6))}))),
        "red",
        "loss 2.600 at iteration 100 is not in 1.00 to 2.50",
    ),
    (
        "no validation",
        lambda: checks.within(evidence(ran({"validations": ()}))),
        "green",
        "CIDEr 0.600 at iteration 100 is in 0.50 to 1.00",
    ),
    (
        "unknown images",
        lambda: checks.within(evidence(ran({"images": None}), envelope=None)),
        "left out",
        "(an unknown number of training images) is not COCO",
    ),
    ("not COCO", lambda: checks.within(evidence(envelope=None)), "left out", "(82,783 training images) is not COCO"),
    (
        "before",
        lambda: checks.within(evidence(ran({"validations": ((9, 2.6),), "scores": ()}))),
        "left out",
        "has no ranges for the iterations of this training",
    ),
    (
        "all the same",
        lambda: checks.captions_differ(replace(REPORT, captions=dict.fromkeys(CAPTIONS, "a cat"))),
        "red",
        "1 different captions of 4; 'a cat' 4 times",
    ),
    (
        "most the same",
        lambda: checks.captions_differ(replace(REPORT, captions={"1": "a", "2": "a", "3": "b"})),
        "red",
        "'a' 2 times",
    ),
    (
        "half the same",
        lambda: checks.captions_differ(replace(REPORT, captions={"1": "b", "2": "a", "3": "c", "4": "a"})),
        "green",
        "3 different captions of 4; 'a' 2 times",
    ),
    ("captions without a report", lambda: checks.captions_differ("cut short"), "red", "its report (.json): cut short"),
    (
        "one image",
        lambda: checks.captions_differ(replace(REPORT, captions={"1": "a"})),
        "left out",
        "captions in its report: 1, too few to compare",
    ),
    (
        "two images",
        lambda: checks.captions_differ(replace(REPORT, captions={"1": "a", "2": "b"})),
        "green",
        "2 different captions of 2",
    ),
    ("fresh", lambda: checks.scores_are_fresh(RUN), "green", "scores written 2.5 s after the captions"),
    (
        "stale",
        lambda: checks.scores_are_fresh(ran(scorer=Scorer(given=12.0, scored=10.0))),
        "red",
        "the scores are older than the captions",
    ),
    (
        "no scores",
        lambda: checks.scores_are_fresh(ran(scorer=Scorer(given=12.0, scored=None))),
        "red",
        "the scorer wrote no scores",
    ),
    (
        "as soon",
        lambda: checks.scores_are_fresh(ran(scorer=Scorer(given=12.0, scored=12.0))),
        "green",
        "scores written 0.0 s after the captions",
    ),
    (
        "scores of nothing",
        lambda: checks.scores_are_fresh(ran(scorer=Scorer(given=None, scored=12.0))),
        "red",
        "the scorer received no captions",
    ),
    ("no scorer", lambda: checks.scores_are_fresh(ran(scorer=None)), "red", "the scorer received no captions"),
    ("unscored", lambda: checks.scores_are_fresh(ran(effective={})), "left out", "-language_eval was 0"),
    ("not asked", lambda: checks.evaluated_again(evidence(again=None)), "left out", "not requested"),
    (
        "not started",
        lambda: checks.evaluated_again(evidence(again="it could not be started: no card is free")),
        "red",
        "it could not be started: no card is free",
    ),
    (
        "eval failed",
        lambda: checks.evaluated_again(evidence(again=replace(AGAIN, exit_code=1))),
        "red",
        "eval.lua ended with exit code 1: see /r/check/log on one",
    ),
    (
        "eval killed",
        lambda: checks.evaluated_again(evidence(again=replace(AGAIN, exit_code=None))),
        "red",
        "run x-check-1 was killed before it ended: see /r/check/log on one",
    ),
    (
        "eval without captions",
        lambda: checks.evaluated_again(
            evidence(again=replace(AGAIN, captions=()), report=replace(REPORT, iteration=200))
        ),
        "red",
        "run x-check-1 ended without captions: see /r/check/log on one",
    ),
    (
        "eval without a loss",
        lambda: checks.evaluated_again(evidence(again=replace(AGAIN, progress=Progress()))),
        "red",
        "eval.lua printed no loss: see /r/check/log on one",
    ),
    (
        "nothing to evaluate",
        lambda: checks.evaluated_again(evidence(models=())),
        "left out",
        "there is no model that can be evaluated",
    ),
    (
        "evaluated without a report",
        lambda: checks.evaluated_again(evidence(report="cut short")),
        "red",
        "its report (.json): cut short",
    ),
    (
        "fewer captions",
        lambda: checks.evaluated_again(evidence(again=replace(AGAIN, captions=AGAIN.captions[:3]))),
        "green",
        "3 of 3 captions are the same word for word",
    ),
    (
        "another loss",
        lambda: checks.evaluated_again(
            evidence(again=replace(AGAIN, progress=replace(AGAIN.progress, evaluation=3.0)))
        ),
        "red",
        "loss 3.0000, claimed 2.0000 (over 4 images they may differ by 26.0%)",
    ),
    ("another score", lambda: scored_again(CIDEr=0.585, METEOR=0.2), "red", "CIDEr 0.585, claimed 0.600"),
    ("nearly the score", lambda: scored_again(CIDEr=0.591, METEOR=0.2), "green", "CIDEr 0.591, claimed 0.600"),
    ("another great score", lambda: scored_again({"CIDEr": 5.0}, CIDEr=5.1), "red", "CIDEr 5.100, claimed 5.000"),
    ("nearly the great score", lambda: scored_again({"CIDEr": 5.0}, CIDEr=5.04), "green", "CIDEr 5.040, claimed 5.000"),
    ("fewer scores", lambda: scored_again(CIDEr=0.6), "red", "METEOR nan, claimed 0.200"),
    (
        "no loss to compare with",
        lambda: checks.evaluated_again(
            evidence(
                models=(MODEL.model_copy(update={"loss": None}),), report=replace(REPORT, validations={}, scores={})
            )
        ),
        "red",
        "neither model nor report has a validation loss of iteration 100",
    ),
    (
        "captions of other images",
        lambda: checks.evaluated_again(
            evidence(
                again=replace(AGAIN, captions=tuple(c.model_copy(update={"image_id": "z"}) for c in AGAIN.captions))
            )
        ),
        "red",
        "0 of 0 captions are the same word for word",
    ),
    (
        "no score",
        lambda: checks.evaluated_again(evidence(again=replace(AGAIN, progress=replace(AGAIN.progress, scores=())))),
        "red",
        "CIDEr nan, claimed 0.600",
    ),
    (
        "stale again",
        lambda: checks.evaluated_again(evidence(again_scorer=Scorer(given=2.0, scored=1.0))),
        "red",
        "the scores are older than the captions",
    ),
    (
        "other captions",
        lambda: checks.evaluated_again(
            evidence(
                again=replace(AGAIN, captions=tuple(c.model_copy(update={"caption": "x"}) for c in AGAIN.captions))
            )
        ),
        "red",
        "0 of 4 captions are the same word for word",
    ),
    (
        "older model",
        lambda: checks.evaluated_again(
            evidence(
                models=(MODEL.model_copy(update={"iteration": 50, "loss": 2.2}),),
                report=replace(REPORT, validations={50: 2.2, 100: 2.3}, scores={}, captions={}),
                again_scorer=None,
            )
        ),
        "green",
        "loss 2.1000, claimed 2.2000",
    ),
]


@pytest.mark.parametrize(("ask", "colour", "words"), [row[1:] for row in GATES], ids=[row[0] for row in GATES])
def test_gate_says_what_it_saw(ask: Callable[[], Gate], colour: str, words: str) -> None:
    seen = ask()
    assert (seen.colour, words in seen.evidence) == (colour, True), seen


def test_use_of_a_card_is_named_only_if_there_was_any() -> None:
    unseen = checks.on_its_card(ran(samples=(Sample(time=0.0, utilization=0),)), CARD)
    assert unseen.evidence == "none of its processes was on GPU-1 in 1 samples"


def test_last_run_of_a_line_is_the_one_that_is_judged_on_what_it_computed_on() -> None:
    run = ran(card=None, id="x-r2")
    one = evidence(line=(RUN, run))
    assert one.run == run
    assert checks.verdict(one).gates[1] == checks.on_the_processor(run)


def test_verdict_without_one_green_gate_is_not_green() -> None:
    assert not Verdict((Gate("a", "left out", "x"),)).green
    assert not Verdict(()).green
    assert Verdict((Gate("a", "left out", "x"), Gate("b", "green", "x"))).green
    assert not Verdict((Gate("a", "red", "x"), Gate("b", "green", "x"))).green


def test_gate_without_evidence_is_red() -> None:
    assert gate("a", True, "") == Gate("a", "red", "there is no evidence")


def test_best_model_is_the_one_that_is_judged_and_the_last_only_where_there_is_none() -> None:
    last = MODEL.model_copy(update={"file": "/r/model_idx.last.t7"})
    broken = {"file": "/r/model_idx.t7", "bytes": 1, "problem": "read error"}
    assert evidence(models=(last, MODEL)).model == MODEL
    assert evidence(models=(last, broken)).model == last
    assert evidence(models=(broken,)).model is None


def test_more_images_leave_less_room() -> None:
    assert [round(reevaluation.slack(n), 3) for n in (0, 1, 100, 3200)] == [0.51, 0.51, 0.06, 0.019]
