"""Which runs follow from which: stages, going on, sweeps, and the model that each starts from."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.run import Options, Parent, SavedModel
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.runs.progress.log import Progress
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request import lineage, stages, sweep
from neuraltalk_provision.runs.request.document import RunDocument, read
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.runs.request.sweep import Slot, SweepDocument
from plugins.module_utils.runs import launch

DATA: dict[str, Any] = {"input_h5": "/d/c.h5", "input_json": "/d/c.json"}


def document(**more: Any) -> RunDocument:
    return RunDocument.model_validate({"options": DATA, **more})


def planned(written: RunDocument, *names: str, given: tuple[str, ...] = (), gpu: str = "none") -> tuple[RunSpec, ...]:
    return stages.plan(written, names, "x", given, gpu, None)


def test_training_without_stages_is_one_run_of_its_own_id() -> None:
    (run,) = planned(document())
    assert (run.id, run.stage, run.until, run.parent) == ("x", "", None, None)


def test_stages_follow_each_other_from_the_best_model() -> None:
    base, tune = planned(document(), "base", "finetune")
    assert (base.id, base.stage, base.until) == ("x-base", "base", {"plateau": 5})
    assert (tune.id, tune.needs, tune.parent) == ("x-finetune", "x-base", {"id": "x-base", "choose": "best"})
    assert (tune.arguments["finetune_cnn_after"], tune.until) == ("0", None)
    assert "finetune_cnn_after" not in base.arguments


def test_finetuning_needs_more_of_a_card_than_base_training() -> None:
    base, tune = planned(document(), "base", "finetune", gpu="auto")
    assert tune.memory > base.memory > 1000


def test_what_is_written_of_a_stage_wins_over_the_file_and_the_command_line_over_both() -> None:
    written = document(
        options={**DATA, "batch_size": 16, "seed": 1},
        stages={"base": {"options": {"batch_size": 8, "seed": 2}, "until": {"iterations": 9000}}, "finetune": {}},
    )
    base, tune = planned(written, given=("-seed", "3"))
    assert (base.arguments["batch_size"], tune.arguments["batch_size"]) == ("8", "16")
    assert {base.arguments["seed"], tune.arguments["seed"]} == {"3"}
    assert base.until == {"iterations": 9000}
    assert [run.id for run in planned(written, "finetune")] == ["x-finetune"]


def test_stage_that_has_an_end_of_its_own_gets_no_other() -> None:
    base, _tune = planned(document(stages={"base": {"options": {"max_iters": 5000}}, "finetune": {}}))
    assert base.until is None


@pytest.mark.parametrize(
    ("more", "names", "words"),
    [
        (
            {"options": {**DATA, "start_from": "/m.t7"}},
            ("base", "finetune"),
            "stage finetune starts from the best model of stage base: remove -start_from",
        ),
        ({}, ("base", "base"), "a stage is given twice"),
        ({"stages": {"base": {}}}, ("base", "tune"), "the run's file has no stage tune; it has base"),
        (
            {"stages": {"base": {"options": {"max_iters": 100}}}},
            (),
            "-max_iters 100 is not greater than -save_checkpoint_every 2500: run x-base would end before",
        ),
        (
            {"stages": {"base": {"options": {"max_iters": 100}, "until": {"plateau": 2}}, "b": {}}},
            (),
            "run x-base would end before it writes a model",
        ),
    ],
)
def test_stages_that_cannot_be_are_refused(more: dict[str, Any], names: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(document(**more), *names)
    assert words in caught.value.message


BASE = RunSpec("x", "train.lua", {**DATA, "max_iters": "10000", "save_checkpoint_every": "1000"}, ())


def resumed(run: RunSpec, begins: int, *given: str, later: tuple[RunSpec, ...] = ()) -> tuple[RunSpec, ...]:
    return stages.resume(run, run.id, begins, "x-r2", "last", given, later)


def test_first_stage_can_start_from_any_model() -> None:
    base, tune = planned(document(stages={"base": {"options": {"start_from": "/m.t7"}}, "finetune": {}}))
    assert (base.arguments["start_from"], base.parent, "start_from" in tune.arguments) == ("/m.t7", None, False)


NEVER = dict.fromkeys(("max_iters", "finetune_cnn_after", "learning_rate_decay_start"), "-1")


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({}, (), {"max_iters": "6000"}),  # what begins neither by default nor by an option does not begin later either
        (NEVER, (), NEVER),
        ({"finetune_cnn_after": "0"}, (), {"finetune_cnn_after": "0", "max_iters": "6000"}),
        ({}, ("-finetune_cnn_after", "70"), {"finetune_cnn_after": "70", "max_iters": "6000"}),
        (
            {"finetune_cnn_after": "60"},
            ("-finetune_cnn_after", "70", "-max_iters", "7000"),
            {"finetune_cnn_after": "70", "max_iters": "7000"},
        ),
    ],
)
def test_options_that_count_iterations_of_a_run_that_continues(
    own: dict[str, str], given: tuple[str, ...], expected: dict[str, str]
) -> None:
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **own}), 4000, *given)
    assert {name: run.arguments[name] for name in (*NEVER, *stages.RATES) if name in run.arguments} == expected


def test_what_counts_iterations_counts_on() -> None:
    asked = {"finetune_cnn_after": "6000", "learning_rate_decay_start": "5000", "learning_rate": "0.001"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **asked}), 4000)
    assert (run.id, run.parent) == ("x-r2", {"id": "x", "choose": "last"})
    assert run.arguments["max_iters"] == "6000"
    assert run.arguments["finetune_cnn_after"] == "2000"
    assert run.arguments["learning_rate_decay_start"] == "1000"
    assert run.arguments["learning_rate"] == "0.001"


def test_rate_that_has_begun_to_fall_goes_on_where_it_was() -> None:
    asked = {"learning_rate_decay_start": "1000", "learning_rate_decay_every": "2000", "finetune_cnn_after": "1"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **asked}), 5000)
    # Two halvings in 4,000 iterations; the rates that nobody gave are the program's own.
    assert float(run.arguments["learning_rate"]) == pytest.approx(1e-4)
    assert float(run.arguments["cnn_learning_rate"]) == pytest.approx(2.5e-6)
    assert (run.arguments["learning_rate_decay_start"], run.arguments["finetune_cnn_after"]) == ("0", "0")
    from_the_start = {"learning_rate_decay_start": "0", "learning_rate_decay_every": "2500"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **from_the_start}), 5000)
    assert float(run.arguments["learning_rate"]) == pytest.approx(1e-4)
    assert run.arguments["learning_rate_decay_start"] == "0"


def test_recorded_number_that_cannot_be_is_replaced_by_the_one_that_is_given() -> None:
    damaged = {"learning_rate_decay_start": "0", "learning_rate_decay_every": "0"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **damaged}), 5000, "-learning_rate_decay_every", "500")
    assert (run.arguments["learning_rate_decay_every"], float(run.arguments["learning_rate"])) == ("500", 0)


@pytest.mark.parametrize(
    "given", [("-learning_rate_decay_every", "500"), ("-learning_rate_decay_start", "300"), ("-seed", "9")]
)
def test_rate_that_was_reached_does_not_depend_on_how_it_goes_on(given: tuple[str, str]) -> None:
    """The halvings before were counted with the new number, and with a new start the rate was the first one again."""
    asked = {"learning_rate_decay_start": "1000", "learning_rate_decay_every": "2000"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **asked}), 5000, *given)
    assert float(run.arguments["learning_rate"]) == pytest.approx(1e-4)
    assert float(run.arguments["cnn_learning_rate"]) == pytest.approx(2.5e-6)
    assert run.arguments[given[0][1:]] == given[1]
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **asked}), 5000, *given, "-learning_rate", "0.3")
    assert (run.arguments["learning_rate"], float(run.arguments["cnn_learning_rate"])) == ("0.3", pytest.approx(2.5e-6))


def test_what_is_said_anew_wins_and_what_was_the_old_runs_own_is_left_behind() -> None:
    own = {"checkpoint_path": "/old", "start_from": "/older.t7", "id": "x"}
    (run,) = resumed(replace(BASE, arguments={**BASE.arguments, **own}), 4000, "--max_iters", "50000", "-seed", "9")
    assert (run.arguments["max_iters"], run.arguments["seed"]) == ("50000", "9")
    assert own.keys() & run.arguments.keys() == set()


def test_model_of_another_training_is_refused_for_a_run_that_continues() -> None:
    """It had no effect: the host takes the model of the run that is continued."""
    with pytest.raises(UsageError, match="x-r2 continues from a model of x: remove -start_from") as caught:
        resumed(BASE, 4000, "--start_from", "/other.t7")
    assert "--from best" in caught.value.advice


def test_stage_that_ends_at_an_iteration_ends_there_still() -> None:
    endless = {**DATA, "save_checkpoint_every": "1000"}
    stage = replace(BASE, arguments=endless, until={"iterations": 9000, "plateau": 3}, stage="base")
    (run,) = resumed(stage, 4000)
    assert (run.until, run.stage) == ({"iterations": 5000, "plateau": 3}, "base")
    assert resumed(stage, 9000)[0].until == {"iterations": 1, "plateau": 3}


@pytest.mark.parametrize(("begins", "left"), [(9000, 1000), (9500, 500), (12000, 0)])
def test_too_little_that_is_left_is_refused_with_what_to_say(begins: int, left: int) -> None:
    words = f"run x continues at iteration {begins} of 10000: only {left} are left, not more than"
    with pytest.raises(UsageError, match=words) as caught:
        resumed(BASE, begins)
    assert "-max_iters" in caught.value.advice


def test_stage_with_an_end_of_its_own_does_not_end_before_its_first_model_either() -> None:
    """Its end is looked for at a checkpoint, and it trained 500 iterations for nothing."""
    with pytest.raises(UsageError, match="run x-r2 would end before it writes a model"):
        resumed(replace(BASE, until={"plateau": 5}), 4000, "-max_iters", "500")


def test_stages_that_were_to_follow_still_do_on_the_same_card() -> None:
    second = RunSpec("x-b", "train.lua", {**DATA, "finetune_cnn_after": "0"}, (), stage="b", needs="x")
    third = RunSpec("x-c", "train.lua", DATA, (), stage="c", needs="x-b", until={"plateau": 2})
    first, *rest = resumed(replace(BASE, gpu="auto", memory=5000), 4000, later=(second, third))
    assert (first.gpu, first.memory) == ("auto", 5000)
    estimated = resumed(replace(BASE, gpu="auto"), 4000, later=(second,))
    assert 1000 < estimated[0].memory < estimated[1].memory
    assert [(run.id, run.needs, run.gpu, run.memory) for run in rest] == [
        ("x-b", "x-r2", "auto", 5000),
        ("x-c", "x-b", "auto", 5000),
    ]
    assert rest[0].parent == {"id": first.id, "choose": "best"}
    assert (rest[1].until, rest[1].stage) == ({"plateau": 2}, "c")
    on_processor = resumed(BASE, 4000, later=(second,))[1]
    assert (on_processor.arguments["gpuid"], on_processor.arguments["backend"]) == ("-1", "nn")


def test_ids_of_what_goes_on_are_counted() -> None:
    assert stages.next_id("x", ["x"]) == "x-r2"
    assert stages.next_id("x-r2", ["x", "x-r2"]) == "x-r3"
    assert stages.next_id("x", ["x", "x-r2", "x-r3"]) == "x-r4"
    assert stages.next_id("my-run", []) == "my-run-r2"
    assert stages.next_id("7", []) == "7-r2"


def run_of(name: str, models: dict[str, tuple[int, float]], **progress: Any) -> RunState:
    """A run with models: {file: (iteration, when it was written)}."""
    left = tuple(SavedModel(file=f, iteration=i, modified=m, bytes=1) for f, (i, m) in models.items())
    asked: Options = {**DATA, "gpuid": "-1", "backend": "nn", "seed": 7}
    return RunState(
        "one", name, "train.lua", asked, 1, None, "", "", Progress(**progress), Health("killed", ""),
        models=left, requested=asked, stage="base", begun=True,
    )  # fmt: skip


FIRST = run_of("a", {"/a.t7": (20, 5.0), "/a.last.t7": (30, 6.0)}, validations=((20, 2.0), (30, 2.2)))
SECOND = run_of("b", {"/b.t7": (10, 9.0)}, validations=((10, 2.1),))


def test_last_model_is_the_one_that_was_written_last_and_best_the_one_that_is_judged_best() -> None:
    assert lineage.origin([FIRST], "last")[1].file == "/a.last.t7"
    assert lineage.origin([FIRST], "best")[1].file == "/a.t7"
    run, model, _choose = lineage.origin([FIRST, SECOND], "last")
    assert (run.id, model.file) == ("b", "/b.t7")
    run, model, _choose = lineage.origin([FIRST, SECOND], "best")
    assert (run.id, model.file) == ("a", "/a.t7")


def test_last_model_is_the_one_of_the_latest_iteration_though_the_clock_was_set_back() -> None:
    """The clock of a host can be an hour fast until somebody sets it: the older model was continued."""
    first = run_of("a", {"/a.t7": (20, 3605.0), "/a.last.t7": (30, 6.0)})
    second = run_of("b", {"/b.t7": (10, 9.0)})
    assert lineage.origin([first], "last")[1].file == "/a.last.t7"
    assert lineage.origin([first, second], "last")[1].file == "/b.t7"
    models = [{"file": one.file, "iteration": one.iteration, "modified": one.modified} for one in first.models]
    assert launch.weights_of({"id": "a", "choose": "last"}, models)["file"] == "/a.last.t7"
    assert launch.weights_of({"id": "a", "choose": "best"}, models)["file"] == "/a.t7"


def test_stage_that_wrote_no_model_starts_again_from_what_it_started_from() -> None:
    """It started from the best model of the stage before, and was continued from the last one."""
    fine = replace(run_of("f", {}), stage="finetune", parent=Parent(id="a", choose="best"))
    run, model, choose = lineage.origin([FIRST, fine], "last")
    assert (run.id, model.file, choose) == ("a", "/a.t7", "best")
    again = replace(run_of("a-r2", {}), parent=Parent(id="a", choose="last"))
    run, model, choose = lineage.origin([FIRST, again], "last")
    assert (run.id, model.file, choose) == ("a", "/a.last.t7", "last")


def test_of_two_models_that_are_equally_good_the_later_one_is_the_best() -> None:
    same = run_of("b", {"/b.t7": (10, 1.0)}, validations=((10, 2.0),))
    assert lineage.origin([FIRST, same], "best")[1].file == "/b.t7"


def test_training_does_not_go_on_from_a_model_whose_loss_is_not_a_number() -> None:
    """It diverged before its first model, which train.lua calls the best, because nothing is better than nan."""
    scores = ((40, (("CIDEr", 0.0),)),)
    diverged = run_of("a-r2", {"/nan.t7": (40, 9.0)}, validations=((40, float("nan")),), scores=scores)
    run, model, _choose = lineage.origin([FIRST, diverged], "best")
    assert (run.id, model.file) == ("a", "/a.t7")
    for line, choose in (([FIRST, diverged], "last"), ([diverged], "best")):
        with pytest.raises(
            UsageError, match=r"the model /nan\.t7 of a-r2 has a validation loss that is not a number"
        ) as no:
            lineage.origin(line, choose)
        assert ("`--from best`" in no.value.advice) is (choose == "last")


def test_best_is_by_cider_where_it_was_scored() -> None:
    scored = replace(
        SECOND, progress=Progress(validations=((10, 9.0),), scores=((10, (("CIDEr", 0.5), ("METEOR", 0.1))),))
    )
    others = ((5, (("CIDEr", 0.9),)), (20, (("CIDEr", 0.4),)), (30, (("CIDEr", 0.9),)))
    worse = replace(FIRST, progress=Progress(validations=((20, 1.0),), scores=others))
    assert lineage.origin([worse, scored], "best")[0].id == "b"
    unscored = replace(SECOND, progress=Progress(validations=((10, 9.0),), scores=((10, (("METEOR", 0.1),)),)))
    assert lineage.value(unscored, unscored.models[0]) == -9.0


def test_best_is_that_of_the_last_run_if_nothing_is_known_of_any() -> None:
    silent = [replace(run, progress=Progress()) for run in (FIRST, SECOND)]
    assert lineage.origin(silent, "best")[1].file == "/b.t7"


def test_run_without_a_model_cannot_be_gone_on_with() -> None:
    with pytest.raises(UsageError, match=r"c wrote no model \(\.t7\) to continue from"):
        lineage.origin([run_of("c", {})], "last")


def test_recorded_run_is_asked_for_again_without_what_the_processor_had_added() -> None:
    asked = lineage.as_spec(FIRST)
    assert dict(asked.arguments) == {**DATA, "seed": "7"}
    assert (asked.id, asked.stage, asked.until, asked.sweep) == ("a", "base", None, "")
    asked = lineage.as_spec(replace(FIRST, until={"plateau": 2}, sweep="s"))
    assert (asked.until, asked.sweep) == ({"plateau": 2}, "s")
    on_card = lineage.as_spec(replace(FIRST, requested={**DATA, "backend": "nn"}))
    assert on_card.arguments["backend"] == "nn"


def swept(**more: Any) -> SweepDocument:
    return SweepDocument.model_validate({"options": DATA, **more})


def shares(*numbers: float) -> Callable[[], float]:
    return itertools.cycle(numbers).__next__


def test_every_combination_of_the_grid_gets_its_draws() -> None:
    written = swept(
        grid={"optim": ["adam", "sgd"], "seed": [1, 2]},
        draw={"learning_rate": {"least": 1e-5, "most": 1e-3, "log": True}, "rnn_size": {"least": 100, "most": 201}},
        draws=2,
    )
    found = sweep.combinations(written, shares(0.5, 0.25))
    assert len(found) == 8
    assert found[0] == {"optim": "adam", "seed": "1", "learning_rate": "0.0001", "rnn_size": "125"}
    assert [(one["optim"], one["seed"]) for one in found[::2]] == [
        ("adam", "1"),
        ("adam", "2"),
        ("sgd", "1"),
        ("sgd", "2"),
    ]
    drawn = [float(one["learning_rate"]) for one in sweep.combinations(written, random.Random(1).random)]
    assert all(1e-5 <= rate <= 1e-3 for rate in drawn)
    assert len(set(drawn)) == 8
    assert drawn == [float(one["learning_rate"]) for one in sweep.combinations(written, random.Random(1).random)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"grid": {"sed": [1]}}, "train.lua has no option -sed; did you mean -seed"),
        ({"grid": {"seed": [1, 2, 1]}}, "grid: seed has a value twice, so that runs would be the same"),
        ({"grid": {"seed": [1]}, "draws": 3}, "draws has an effect only with `draw:`"),
        ({"grid": {"seed": [1]}, "draw": {"seed": {"least": 1, "most": 2}}}, "seed is in grid and in draw"),
        ({}, "all runs would be the same"),
        ({"grid": {"seed": []}}, "seed has no value"),
        ({"grid": {"seed": list(range(101)), "rnn_size": list(range(100))}}, "10,100 runs; the maximum is 10,000"),
        (
            {"grid": {"seed": [1, 2]}, "draw": {"grad_clip": {"least": 1, "most": 2}}, "draws": 5001},
            "10,002 runs; the maximum is 10,000",
        ),
    ],
)
def test_sweep_that_varies_nothing_sensible_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sweep.combinations(swept(**more), shares(0.5))


def test_sweep_whose_values_another_option_hides_is_refused() -> None:
    written = swept(grid={"seed": [1, 2], "rnn_size": [64]})
    combined = sweep.combinations(written, shares(0.5))
    with pytest.raises(UsageError) as caught:
        sweep.plan(written, combined, [], "s", ["-seed", "5"], "none", None)
    assert caught.value.message == ("s-1 and s-2 would be the same, although the sweep gives them other values of seed")
    assert len(sweep.plan(written, combined, [], "s", ["-rnn_size", "5"], "none", None)) == 2
    hidden = swept(grid={"seed": [1, 2]}, stages={"base": {"options": {"seed": 3}}})
    with pytest.raises(UsageError, match="s-1 and s-2 would be the same"):
        sweep.plan(hidden, sweep.combinations(hidden, shares(0.5)), [], "s", [], "none", None)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999999, 1.0])
@pytest.mark.parametrize(("least", "most"), [(1e-5, 3e-3), (2e-5, 7e-3), (1e-300, 1e300), (7, 7)])
def test_drawn_number_lies_between_its_bounds(least: float, most: float, share: float) -> None:
    assert least <= sweep.Draw(least=least, most=most, log=True).at(share) <= most
    assert -1.7e308 <= sweep.Draw(least=-1.7e308, most=1.7e308).at(share) <= 1.7e308


@pytest.mark.parametrize(
    ("least", "most", "share", "text"),
    [
        (1e-5, 1e-3, 0.123456789, "0.0001322"),
        (0.9999, 0.99999, 0.9, "0.999981"),  # with four digits this is 1, which Adam cannot use as its beta
        (0.999, 0.99999, 1.0, "0.99999"),
        (1.2344, 9.0, 0.0, "1.2344"),  # with four digits it is near enough, and less than the least one
        (0.12345678, 0.12345678, 0.5, "0.12345678"),
        (0, 1, 0, "0"),
    ],
)
def test_number_that_is_drawn_is_written_with_as_many_digits_as_its_range_needs(
    least: float, most: float, share: float, text: str
) -> None:
    (chosen,) = sweep.combinations(swept(draw={"optim_beta": {"least": least, "most": most}}), lambda: share)
    assert chosen == {"optim_beta": text}


def test_runs_of_a_sweep_are_numbered_in_one_width_and_keep_their_stages() -> None:
    sets = sweep.plan(swept(), [{"seed": str(n)} for n in range(10)], ("base", "finetune"), "s", (), "none", None)
    assert [run.id for run in sets[0]] == ["s-01-base", "s-01-finetune"]
    assert sets[9][1].needs == "s-10-base"
    assert {run.sweep for runs in sets for run in runs} == {"s"}
    assert sets[3][0].arguments["seed"] == "3"


def test_run_of_a_sweep_that_is_continued_is_still_of_the_sweep() -> None:
    """It was missing in the report of the sweep, and `runs stop` of the sweep did not end it."""
    (runs,) = sweep.plan(swept(), [{"seed": "1"}], ("base", "finetune"), "s", (), "none", None)
    goes_on = stages.resume(runs[0], runs[0].id, 5, "s-1-base-r2", "last", (), runs[1:])
    assert [(run.id, run.sweep) for run in goes_on] == [("s-1-base-r2", "s"), ("s-1-finetune", "s")]


def test_runs_are_dealt_out_evenly_and_stages_of_one_stay_together() -> None:
    sets = sweep.plan(swept(), [{"seed": str(n)} for n in range(5)], ("base", "finetune"), "s", (), "auto", None)
    dealt = sweep.spread(sets, [Slot("one", "GPU-a"), Slot("two", "GPU-b")])
    assert [(share.slot.host, len(share.runs)) for share in dealt] == [("one", 6), ("two", 4)]
    assert [run.id for run in dealt[1].runs] == ["s-2-base", "s-2-finetune", "s-4-base", "s-4-finetune"]
    assert {run.gpu for run in dealt[1].runs} == {"GPU-b"}
    assert len(sweep.spread(sets[:1], [Slot("one", "a"), Slot("two", "b")])) == 1
    with pytest.raises(UsageError, match="no GPU is free on any host"):
        sweep.spread(sets, [])


def test_example_that_a_site_starts_from_is_a_training_in_two_stages() -> None:
    written = read(paths.example_inventory() / "training.yml")
    base, tune = stages.plan(written, (), written.id, (), str(written.gpu), None)
    assert (base.until, tune.until, tune.arguments["finetune_cnn_after"]) == ({"plateau": 5}, {"plateau": 8}, "0")


def test_training_that_has_ended_is_extended_by_as_many_iterations_as_are_said() -> None:
    ended = replace(BASE, arguments={**BASE.arguments, "max_iters": "4000", "save_checkpoint_every": "1000"})
    (run,) = resumed(ended, 4000, "-max_iters", "5000")
    assert run.arguments["max_iters"] == "5000"
    (run,) = resumed(ended, 2000, "-save_checkpoint_every", "500")
    assert (run.arguments["max_iters"], run.arguments["save_checkpoint_every"]) == ("2000", "500")
    with pytest.raises(UsageError, match="only 0 are left, not more than") as caught:
        resumed(ended, 4000)
    assert "-max_iters 10000" in caught.value.advice
