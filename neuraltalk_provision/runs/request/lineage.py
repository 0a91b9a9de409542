"""Which model a training goes on from, and what a run that was recorded had been asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.results.run import SavedModel
from neuraltalk_provision.rules.run import is_best
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request.spec import RunSpec


def origin(line: Sequence[RunState], choose: str) -> tuple[RunState, SavedModel]:
    """(the run, its model) to go on from: the last of the line, or the best that any run of it has left.

    `line` goes from the first run to the one that is gone on with. Raises UsageError where there is no model.
    """
    left = [(run, model) for run in line for model in run.models]
    if not left:
        raise UsageError(
            f"{line[-1].id} wrote no model (.t7) to continue from",
            advice="A training writes its first model at -save_checkpoint_every. Start it again.",
        )
    if choose == "best":
        best = [(run, model) for run, model in left if is_best(model.file)] or left
        judged = [(value(run, model), run, model) for run, model in best]
        known = [entry for entry in judged if entry[0] is not None]
        if known:
            _value, run, model = max(known, key=lambda entry: (entry[0], entry[2].modified))
            return run, model
    return max(left, key=lambda entry: entry[1].modified)


def value(run: RunState, model: SavedModel) -> float | None:
    """What train.lua judges a model by, more is better: CIDEr where it was scored, else the validation loss below 0."""
    at = model.iteration
    scores = [dict(scores).get("CIDEr") for iteration, scores in run.progress.scores if iteration == at]
    if scores and scores[-1] is not None:
        return scores[-1]
    losses = [loss for iteration, loss in run.progress.validations if iteration == at]
    return -losses[-1] if losses else None


def as_spec(run: RunState) -> RunSpec:
    """A recorded run as it was asked for."""
    arguments = {name: str(value) for name, value in run.requested.items()}
    if arguments.pop("gpuid", "") == "-1":  # said for it, because it ran on the processor
        arguments.pop("backend", None)
    return RunSpec(
        id=run.id,
        program=run.program,
        arguments=arguments,
        files=tuple(name for name in ("input_h5", "input_json") if name in arguments),
        stage=run.stage,
        until=run.until,
        needs=run.needs,
        parent=run.parent.model_dump() if run.parent else None,
        sweep=run.sweep,
    )
