"""Trainings with several stages, and trainings that are resumed: which run follows which, with which options. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.runs.request import spec
from neuraltalk_provision.runs.request.document import RunDocument
from neuraltalk_provision.runs.request.spec import RunSpec

TRAIN = "train.lua"
FINETUNES = {"finetune_cnn_after": "0"}
RATES = ("learning_rate", "cnn_learning_rate")
PATIENCE = 5
"""The default number of checkpoints without an improvement after which a stage ends."""


def plan(
    written: RunDocument, names: Sequence[str], run_id: str, given: Sequence[str], gpu: str, memory: int | None
) -> tuple[RunSpec, ...]:
    """The runs of the stages with these names, one after the other; without names, all stages of the run's file.

    Each stage starts from the best model of the stage before. A stage called `finetune` finetunes from its first
    iteration, unless its options say otherwise. A stage that is followed by another one ends as its `until` says, at
    its -max_iters, or else after five checkpoints in a row without an improvement. Raises UsageError for an unknown
    or duplicate stage and for options that cannot be combined.
    """
    chosen = tuple(names) or tuple(written.stages)
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"--stages {','.join(chosen)}: a stage is given twice")
    if not chosen:
        return (spec.parse(TRAIN, run_id, written.arguments(given), gpu, memory),)
    runs: list[RunSpec] = []
    for place, name in enumerate(chosen):
        if written.stages and name not in written.stages:
            raise UsageError(f"the run's file has no stage {name}; it has {', '.join(written.stages)}")
        stage = written.stage(name)
        own = {**FINETUNES, **stage.options} if name == "finetune" else dict(stage.options)
        arguments = written.with_options(own).arguments(given)
        until = stage.until.given() if stage.until else {}
        follows = place + 1 < len(chosen)
        run = spec.parse(TRAIN, f"{run_id}-{name}", arguments, gpu, memory)
        if runs and run.arguments.get("start_from"):
            raise UsageError(
                f"stage {name} starts from the best model of stage {chosen[place - 1]}: remove -start_from"
            )
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
    return tuple(runs)


def resume(
    run: RunSpec,
    origin: str,
    begins: int,
    new_id: str,
    choose: str,
    given: Sequence[str],
    later: Sequence[RunSpec] = (),
) -> tuple[RunSpec, ...]:
    """The run that continues `run` from its iteration `begins`, and the stages that follow it.

    It starts from a model of the run `origin`, which is usually `run` itself.

    Options that count iterations are reduced by `begins`: -max_iters, the start of the learning rate's decay and the
    start of finetuning. The learning rates are those that `run` had reached. `given` are options that are changed: they
    count from the start of the new run. The optimiser starts without a state, because train.lua saves only weights.
    Raises UsageError if there is nothing left to do.
    """
    changed = {word.lstrip("-") for word in given[::2]}
    if "start_from" in changed:
        raise UsageError(
            f"{new_id} continues from a model of {origin}: remove -start_from",
            advice="`--from best` chooses the best model. To start from any other file, use `provision train`.",
        )
    requested = {name: value for name, value in run.arguments.items() if name not in _OWN and name not in changed}
    until = _still(run.until, begins)
    whole = spec.parse(TRAIN, new_id, [*spec.words(requested), *given], run.gpu)
    counted = {**_rates(run, begins, changed), **_counted_on(replace(whole, id=run.id), begins, changed)}
    arguments = spec.words({**whole.arguments, **counted})
    again = spec.parse(TRAIN, new_id, arguments, run.gpu, run.memory or None)
    first = replace(again, stage=run.stage, until=until, sweep=run.sweep, parent={"id": origin, "choose": choose})
    following, before = [first], first.id
    for stage in later:
        anew = spec.parse(TRAIN, stage.id, spec.words(stage.arguments), run.gpu, run.memory or None)
        parent = {"id": before, "choose": "best"}
        anew = replace(anew, stage=stage.stage, until=stage.until, sweep=stage.sweep)
        following.append(replace(anew, needs=before, parent=parent))
        before = stage.id
    return tuple(following)


_OWN = ("id", "checkpoint_path", "start_from")


def _counted_on(run: RunSpec, begins: int, given: Collection[str]) -> dict[str, str]:
    """The options that count iterations, changed for a run that continues `run` from its iteration `begins`.

    `given` are the options that were given for the new run; they are not changed.
    """
    changed: dict[str, str] = {}
    iterations = spec.whole(TRAIN, run.arguments, "max_iters")
    every = spec.whole(TRAIN, run.arguments, "save_checkpoint_every")
    if iterations > 0 and "max_iters" not in given:
        left = iterations - begins
        if left <= every:
            raise UsageError(
                f"run {run.id} continues at iteration {begins} of {iterations}: only {max(0, left)} are left, not "
                f"more than -save_checkpoint_every {every}, so it would end before it writes a model",
                advice=f"After --, give the number of further iterations, for example -max_iters {10 * every}, or "
                "a smaller -save_checkpoint_every.",
            )
        changed["max_iters"] = str(left)
    finetunes = spec.whole(TRAIN, run.arguments, "finetune_cnn_after")
    if finetunes > 0 and "finetune_cnn_after" not in given:
        changed["finetune_cnn_after"] = str(max(0, finetunes - begins))
    decays = spec.whole(TRAIN, run.arguments, "learning_rate_decay_start")
    if decays >= 0 and "learning_rate_decay_start" not in given:
        changed["learning_rate_decay_start"] = str(max(0, decays - begins))
    return changed


def _rates(run: RunSpec, begins: int, given: Collection[str]) -> dict[str, str]:
    """The learning rates that `run` has reached at its iteration `begins`; empty if they have not begun to fall.

    `given` are the options that were given for the new run: a rate among them is left out.
    """
    decays = spec.whole(TRAIN, run.arguments, "learning_rate_decay_start")
    if not 0 <= decays < begins:
        return {}
    halvings = (begins - decays) / max(1, spec.whole(TRAIN, run.arguments, "learning_rate_decay_every"))
    rates = ((name, run.arguments.get(name, catalogue.default(TRAIN, name))) for name in RATES if name not in given)
    return {name: f"{float(rate) * 0.5**halvings:.6g}" for name, rate in rates}


def _still(until: Mapping[str, int] | None, begins: int) -> dict[str, int] | None:
    """The conditions for the end of a stage, with the iterations that are left."""
    if not until:
        return None
    left = dict(until)
    if "iterations" in left:
        left["iterations"] = max(1, left["iterations"] - begins)
    return left


def next_id(run_id: str, taken: Sequence[str]) -> str:
    """The id of a run that continues another one: base-1 becomes base-1-r2, then base-1-r3."""
    root = run_id
    head, _, tail = run_id.rpartition("-r")
    if head and tail.isdigit():
        root = head
    number = 2
    while f"{root}-r{number}" in taken:
        number += 1
    return f"{root}-r{number}"
