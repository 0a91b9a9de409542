"""Several runs as one line of iterations, between which values it goes well, and how fast it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.run import Sample
from neuraltalk_provision.runs.progress import pace
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.runs.progress.history import History, Part, Stage, merge
from neuraltalk_provision.runs.progress.log import Progress
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.verdict import envelope
from neuraltalk_provision.runs.verdict.envelope import Envelope

FIRST = Progress(
    losses=((0, 3.0), (10, 2.5), (15, 2.4)), validations=((0, 3.1), (10, 2.6)), scores=((10, (("CIDEr", 0.4),)),)
)
SECOND = Progress(losses=((0, 2.5), (5, 2.3)), validations=((0, 2.6),), scores=((0, (("CIDEr", 0.4),)),))


def test_child_goes_on_where_its_parents_model_was_and_what_came_after_it_is_left_out() -> None:
    history = merge([Part("a", FIRST), Part("b", SECOND, begins=10), Part("c", Progress(losses=((0, 2.2),)), begins=5)])
    assert history.losses == ((0, 3.0), (10, 2.5), (10, 2.5), (15, 2.3), (15, 2.2))
    assert history.validations == ((0, 3.1), (10, 2.6), (10, 2.6))
    assert history.stages == (Stage("a", 0, 10), Stage("b", 10, 15), Stage("c", 15, 15))
    assert history.score("CIDEr") == ((10, 0.4), (10, 0.4))
    assert history.score("METEOR") == ()


def test_history_of_one_run_is_its_own_and_of_none_is_empty() -> None:
    assert merge([Part("a", FIRST)]).losses == FIRST.losses
    assert merge([]) == History()


COCO = envelope.of_coco()


@pytest.mark.parametrize(
    ("what", "iteration", "value"),
    [("loss", 7500, 2.7), ("CIDEr", 7500, 0.4), ("loss", 70_000, 2.5), ("CIDEr", 70_000, 0.6), ("CIDEr", 250_000, 0.7)],
)
def test_what_is_known_of_coco_lies_inside(what: str, iteration: int, value: float) -> None:
    bounds = COCO.at(what, iteration)
    assert bounds is not None
    assert bounds[0] < value < bounds[1]


def test_finetuning_of_coco_has_its_own_from_where_it_begins() -> None:
    tuned = envelope.of_coco(250_000)
    bounds = tuned.at("CIDEr", 350_000)
    assert bounds is not None
    assert bounds[0] < 0.9 < bounds[1]
    assert tuned.at("CIDEr", 70_000) == COCO.at("CIDEr", 70_000)
    assert "250,000" in tuned.name


def test_envelope_is_a_line_between_its_ranges_and_flat_beyond_the_last() -> None:
    ours = Envelope.model_validate(
        {
            "name": "x",
            "ranges": {"loss": [{"iteration": 10, "least": 0, "most": 4}, {"iteration": 20, "least": 1, "most": 2}]},
        }
    )
    assert ours.at("loss", 9) is None
    assert ours.at("loss", 10) == (0, 4)
    assert ours.at("loss", 15) == (0.5, 3)
    assert ours.at("loss", 99) == (1, 2)
    assert ours.at("CIDEr", 15) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nranges: {loss: []}", "loss has no range"),
        (
            "name: x\nranges: {loss: [{iteration: 5, least: 1, most: 2}, {iteration: 5, least: 1, most: 2}]}",
            "must increase",
        ),
        ("name: x\nranges: {loss: [{iteration: -5, least: 1, most: 2}]}", "ranges.loss.0.iteration"),
        ("ranges: {}", "name: it is missing"),
        ("name: [", "does not parse"),
    ],
)
def test_envelope_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "e.yml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"e\.yml") as caught:
        envelope.read(file)
    assert words in caught.value.message
    with pytest.raises(UsageError, match="there is no such file"):
        envelope.read(tmp_path / "none.yml")


RUN = RunState(
    host="one",
    id="x",
    program="train.lua",
    effective={"max_iters": "1000", "batch_size": "4"},
    started=1,
    card=None,
    log="",
    tail="",
    progress=Progress(losses=((0, 3.0), (100, 2.0)), images=40, scores=((0, (("CIDEr", 0.5), ("METEOR", 0.1))),)),
    health=Health("running", ""),
    samples=(Sample(time=0.0), Sample(time=10.0, iteration=50), Sample(time=35.0, iteration=100)),
)


def test_pace_is_taken_from_samples_that_saw_an_iteration() -> None:
    told = pace.of(RUN)
    assert (told.rate, told.left, told.epochs) == (2.0, 450.0, 10.0)
    assert pace.summary(told, RUN) == (
        "iteration 100, loss 2.0000, epoch 10.00, 2.00 iterations/s, 7 min 30 s left, CIDEr 0.500"
    )


@pytest.mark.parametrize(
    "run",
    [
        replace(RUN, samples=RUN.samples[:2]),
        replace(RUN, samples=(RUN.samples[1], RUN.samples[1].model_copy(update={"time": 20.0}))),
        replace(RUN, samples=()),
    ],
)
def test_pace_that_cannot_be_told_is_none(run: RunState) -> None:
    assert (pace.of(run).rate, pace.of(run).left) == (None, None)


def test_time_left_is_told_of_what_has_an_end_and_goes_on() -> None:
    endless = replace(RUN, effective={"batch_size": "4"})
    assert pace.of(endless).left is None
    assert pace.of(replace(endless, until={"iterations": 200})).left == 50.0
    assert pace.of(replace(RUN, until={"iterations": 200})).left == 50.0  # before its -max_iters 1000
    assert pace.of(replace(RUN, until={"iterations": 2000, "plateau": 5})).left == 450.0
    assert pace.of(replace(RUN, health=Health("ended", ""))).left is None
    silent = replace(RUN, progress=Progress(), samples=())
    silent = replace(silent, tail="")
    assert pace.summary(pace.of(silent), silent) == "nothing printed yet"
    prepares = replace(silent, program="prepare", tail="looked at 10 pictures\npictures: 3 of 10, 2 a second\t\n\n")
    assert pace.summary(pace.of(prepares), prepares) == "pictures: 3 of 10, 2 a second"


ODD: tuple[Any, ...] = (None, True, "", "x", -1, 10**400, 10**5_000, 1e308, math.nan, math.inf, ("7",))


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_options_leave_the_pace_without_what_they_say(odd: Any) -> None:
    runs = [replace(RUN, effective={**RUN.effective, key: odd}) for key in ("max_iters", "batch_size")]
    assert all(pace.summary(pace.of(run), run).startswith("iteration 100, loss 2.0000") for run in runs)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(math.inf, "more than 100 years"), (5, "5 s"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (200_000, "2 d 7 h")],
)
def test_span_is_told_in_two_units(seconds: float, words: str) -> None:
    assert pace.span(seconds) == words


def test_slow_training_is_told_in_seconds_an_iteration_with_its_card() -> None:
    slow = replace(
        RUN, samples=(Sample(time=0.0, iteration=1), Sample(time=30.0, iteration=4, used=3007, utilization=97))
    )
    assert "10.0 s per iteration" in pace.summary(pace.of(slow), slow)
    assert "card 3,007 MiB, 97 %" in pace.summary(pace.of(slow), slow)
