"""Trainings of several stages, and trainings that go on: which runs follow from which, and with what. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import spec
from neuraltalk_provision.runs.request.document import RunDocument
from neuraltalk_provision.runs.request.spec import RunSpec

TRAIN = "train.lua"
FINETUNES = {"finetune_cnn_after": "0"}
PATIENCE = 5
"""Checkpoints without a better one after which a stage is over, where nothing else is said."""


def plan(
    written: RunDocument, names: Sequence[str], run_id: str, given: Sequence[str], gpu: str, memory: int | None
) -> tuple[RunSpec, ...]:
    """The runs of the stages of these names (all that are written down where none is given), one after the other.

    Each starts from the best model of the one before. A stage that is called `finetune` and says nothing of it
    finetunes from its first iteration. A stage that another follows ends at what its `until` says, at its
    -max_iters, or else where five checkpoints in a row were no better. Raises UsageError for what cannot be.
    """
    chosen = tuple(names) or tuple(written.stages)
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"--stages {','.join(chosen)}: a stage is given twice")
    if not chosen:
        return (spec.parse(TRAIN, run_id, written.words(given), gpu, memory),)
    runs: list[RunSpec] = []
    for place, name in enumerate(chosen):
        if written.stages and name not in written.stages:
            raise UsageError(f"the run's file has no stage {name}; it has {', '.join(written.stages)}")
        stage = written.stage(name)
        own = {**FINETUNES, **stage.options} if name == "finetune" else dict(stage.options)
        words = written.with_options(own).words(given)
        until = stage.until.given() if stage.until else {}
        follows = place + 1 < len(chosen)
        run = spec.parse(TRAIN, f"{run_id}-{name}", words, gpu, memory, ends=bool(until) or follows)
        if runs and run.arguments.get("start_from"):
            raise UsageError(f"stage {name} starts from the model of stage {chosen[place - 1]}: leave out -start_from")
        if follows and not until and spec.whole(TRAIN, run.arguments, "max_iters") <= 0:
            until = {"plateau": PATIENCE}
        runs.append(
            replace(
                run,
                stage=name,
                until=until or None,
                needs=runs[-1].id if runs else "",
                parent={"id": runs[-1].id, "choose": "best"} if runs else None,
            )
        )
        _refuse_no_model(runs[-1])
    return tuple(runs)


def _refuse_no_model(run: RunSpec) -> None:
    """UsageError where a stage would end before it has written a model."""
    iterations = spec.whole(TRAIN, run.arguments, "max_iters")
    every = spec.whole(TRAIN, run.arguments, "save_checkpoint_every")
    if 0 < iterations <= every:
        raise UsageError(
            f"stage {run.stage}: -max_iters {iterations} is not greater than -save_checkpoint_every {every}: "
            "it would end before it writes a model"
        )


def resume(
    run: RunSpec,
    origin: str,
    begins: int,
    new_id: str,
    choose: str,
    given: Sequence[str],
    later: Sequence[RunSpec] = (),
) -> tuple[RunSpec, ...]:
    """The run that goes on where `run` was at its iteration `begins`, and the stages that were to follow it.

    It starts from the model of the run `origin`, mostly `run` itself.

    What counts iterations counts on: -max_iters is what is left, the decay of the learning rate and the start of
    finetuning come as much earlier. `given` are options that are to be others: they are the new run's own, counted from
    where it begins. The optimiser begins anew, for train.lua keeps weights only. Raises UsageError where there is
    nothing left to do.
    """
    asked = {name: value for name, value in run.arguments.items() if name not in _OWN}
    until = _still(run.until, begins)
    words = [word for name, value in asked.items() if f"-{name}" not in given[::2] for word in (f"-{name}", value)]
    whole = spec.parse(TRAIN, new_id, [*words, *given], run.gpu, run.memory or None, ends=True)
    counted = _counted_on(replace(whole, id=run.id), begins, {word.lstrip("-") for word in given[::2]})
    words = [word for name, value in {**whole.arguments, **counted}.items() for word in (f"-{name}", value)]
    again = spec.parse(TRAIN, new_id, words, run.gpu, run.memory or None, ends=bool(until))
    first = replace(again, stage=run.stage, until=until, parent={"id": origin, "choose": choose})
    following, before = [first], first.id
    for stage in later:
        options = [word for name, value in stage.arguments.items() for word in (f"-{name}", value)]
        anew = spec.parse(TRAIN, stage.id, options, run.gpu, run.memory or None, ends=bool(stage.until))
        parent = {"id": before, "choose": "best"}
        following.append(replace(anew, stage=stage.stage, until=stage.until, needs=before, parent=parent))
        before = stage.id
    return tuple(following)


_OWN = ("id", "checkpoint_path", "start_from")


def _counted_on(run: RunSpec, begins: int, said: Collection[str]) -> dict[str, str]:
    """The options that count iterations, as they are for a run that starts where `run` was at `begins`.

    `said` are the options that were given for it anew, which stay as they are.
    """
    changed: dict[str, str] = {}
    iterations = spec.whole(TRAIN, run.arguments, "max_iters")
    every = spec.whole(TRAIN, run.arguments, "save_checkpoint_every")
    if iterations > 0 and "max_iters" not in said:
        left = iterations - begins
        if left <= every:
            raise UsageError(
                f"run {run.id} was at iteration {begins} of {iterations}: the {max(0, left)} that are left are not "
                f"more than -save_checkpoint_every {every}, so it would end before it writes a model",
                advice=f"After --, give the number of further iterations, for example -max_iters {10 * every}, or "
                "a smaller -save_checkpoint_every.",
            )
        changed["max_iters"] = str(left)
    finetunes = spec.whole(TRAIN, run.arguments, "finetune_cnn_after")
    if finetunes > 0 and "finetune_cnn_after" not in said:
        changed["finetune_cnn_after"] = str(max(0, finetunes - begins))
    decays = spec.whole(TRAIN, run.arguments, "learning_rate_decay_start")
    if decays >= 0 and "learning_rate_decay_start" not in said:
        changed["learning_rate_decay_start"] = str(max(0, decays - begins))
        done = max(0, begins - decays)
        if done:
            half = spec.whole(TRAIN, run.arguments, "learning_rate_decay_every")
            for name, default in (("learning_rate", 4e-4), ("cnn_learning_rate", 1e-5)):
                if name in said:
                    continue  # the rate to go on with, not the one that it once began with
                rate = float(run.arguments.get(name, default)) * 0.5 ** (done / half)
                changed[name] = f"{rate:.6g}"
    return changed


def _still(until: Mapping[str, int] | None, begins: int) -> dict[str, int] | None:
    """What is left of a stage's end."""
    if not until:
        return None
    left = dict(until)
    if "iterations" in left:
        left["iterations"] = max(1, left["iterations"] - begins)
    return left


def next_id(run_id: str, taken: Sequence[str]) -> str:
    """The id of a run that goes on with another: base-1 becomes base-1-r2, then base-1-r3."""
    root = run_id
    head, _, tail = run_id.rpartition("-r")
    if head and tail.isdigit():
        root = head
    number = 2
    while f"{root}-r{number}" in taken:
        number += 1
    return f"{root}-r{number}"
