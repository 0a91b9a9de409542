"""The model that a training continues from, and the request of a recorded run. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.run import SavedModel
from neuraltalk_provision.rules.run import is_best
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request.spec import RunSpec


def origin(line: Sequence[RunState], choose: str) -> tuple[RunState, SavedModel, str]:
    """(the run, its model, which one it is) to continue from: the `last` model of the line, or the `best` of all runs.

    `line` goes from the first run to the one that is continued. A run that wrote no model is continued from the one
    that it started from: a stage from the best of the stage before. Raises UsageError if there is no model, or if its
    validation loss is not a number.
    """
    if choose == "best":
        best = [
            (run, model) for run in line if (model := _chosen(run.models, choose)) and not _has_diverged(run, model)
        ]
        known = [(number, run, model) for run, model in best if (number := value(run, model)) is not None]
        if known:
            _number, run, model = max(reversed(known), key=lambda entry: entry[0])
            return run, model, choose
    for run in reversed(line):
        found = _chosen(run.models, choose)
        if found:
            _refuse_diverged(run, found, choose)
            return run, found, choose
        choose = run.parent.choose if run.parent else choose
    raise UsageError(
        f"{line[-1].id} wrote no model (.t7) to continue from",
        advice="A training writes its first model at -save_checkpoint_every. Start it again.",
    )


def _refuse_diverged(run: RunState, model: SavedModel, choose: str) -> None:
    if _has_diverged(run, model):
        best = "`--from best` continues from the best model whose loss is a number. " * (choose != "best")
        raise UsageError(
            f"the model {model.file} of {run.id} has a validation loss that is not a number, and no training recovers "
            "from that",
            advice=f"{best}Or start the training again, for example with a lower -learning_rate.",
        )


def _has_diverged(run: RunState, model: SavedModel) -> bool:
    loss = _loss(run, model)
    return loss is not None and not math.isfinite(loss)


def _chosen(models: Sequence[SavedModel], choose: str) -> SavedModel | None:
    """The best or the last model of a run, as its host chooses it; None if there is none.

    The clock of a host can be set while it trains: so the last model is that of the latest iteration.
    """
    best = [model for model in models if is_best(model.file)] if choose == "best" else []
    return max(best or models, key=lambda model: (model.iteration, model.modified), default=None)


def counted(run: RunState, start: RunState, model: SavedModel) -> tuple[RunState, int]:
    """(the run whose options apply, the iteration from which they count) if `run` is continued from a model of `start`.

    A run that is continued from the model that it started from does all of its iterations again.
    """
    if start.id == run.id:
        return run, model.iteration
    again = run.parent and (run.parent.id, run.begins) == (start.id, model.iteration)
    return (run, 0) if again or start.stage != run.stage else (start, model.iteration)


def value(run: RunState, model: SavedModel) -> float | None:
    """The number by which train.lua compares models (higher is better): CIDEr, or without scores minus the loss."""
    at = model.iteration
    scores = [dict(scores).get("CIDEr") for iteration, scores in run.progress.scores if iteration == at]
    if scores and scores[-1] is not None:
        return scores[-1]
    loss = _loss(run, model)
    return None if loss is None else -loss


def _loss(run: RunState, model: SavedModel) -> float | None:
    losses = [loss for iteration, loss in run.progress.validations if iteration == model.iteration]
    return losses[-1] if losses else None


def as_spec(run: RunState) -> RunSpec:
    """What `stages.resume` needs of a recorded run, as it was requested."""
    arguments = {name: str(value) for name, value in run.requested.items()}
    if arguments.pop("gpuid", "") == "-1":  # was added because it ran on the CPU
        arguments.pop("backend", None)
    return RunSpec(run.id, run.program, arguments, (), stage=run.stage, until=run.until, sweep=run.sweep)
