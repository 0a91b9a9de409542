"""A saved model evaluated again: whether it gives the loss, scores and captions that its report claims. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from neuraltalk_provision.results.one_run import Caption, OpenedModel
from neuraltalk_provision.results.run import Scorer
from neuraltalk_provision.runs.progress import ending
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.report import Report
from neuraltalk_provision.runs.verdict.gates import Gate, gate

NAME = "evaluated again"
SCORE_SLACK = 0.01
"""The largest difference of a score of the same captions: a card adds numbers in no fixed order."""
ALIKE = 0.95
"""The share of the captions that must be the same word for word."""


def slack(images: int) -> float:
    """The largest relative difference of a model's validation loss: its reference captions are drawn again."""
    return 0.01 + 0.5 / math.sqrt(max(1, images))


def fresh(name: str, scores: bool, scorer: Scorer | None) -> Gate:
    """Whether the scorer wrote its scores after it received the captions; `scores` is whether the run computes any."""
    if not scores:
        return Gate(name, "left out", "-language_eval was 0: no scores were computed")
    given, scored = (scorer.given, scorer.scored) if scorer else (None, None)
    if given is None or scored is None:
        return Gate(name, "red", "the scorer received no captions" if given is None else "the scorer wrote no scores")
    text = f"scores written {scored - given:.1f} s after the captions"
    return gate(name, scored >= given, text if scored >= given else "the scores are older than the captions")


def compare(end: RunEnd | str | None, scorer: Scorer | None, model: OpenedModel | None, report: Report | str) -> Gate:
    """The gate: `end` is the end of the evaluation, why there is none, or None if none was requested.

    `model` is the model that was evaluated.
    """
    if model is None:
        return Gate(NAME, "left out", "there is no model that can be evaluated")
    if end is None:
        return Gate(NAME, "left out", "it was not requested")
    if isinstance(end, str):
        return Gate(NAME, "red", end)
    if isinstance(report, str):
        return Gate(NAME, "red", f"its report (.json): {report}")
    found = end.progress.evaluation
    problem = ending.problem("eval.lua", end)
    if problem or found is None:
        return Gate(NAME, "red", f"{problem or 'eval.lua printed no loss'}: see {end.log} on {end.host}")
    may = slack(len(end.captions))
    before = report.validations.get(model.iteration, model.loss)
    if before is None:
        return Gate(NAME, "red", f"neither model nor report has a validation loss of iteration {model.iteration}")
    right = math.isclose(found, before, rel_tol=may)
    texts = [f"loss {found:.4f}, claimed {before:.4f} (over {len(end.captions)} images they may differ by {may:.1%})"]
    claimed = report.scores.get(model.iteration, {})
    if claimed:
        scores = dict(end.progress.scores[-1][1]) if end.progress.scores else {}
        written = fresh(NAME, True, scorer)
        right = right and written.colour == "green"
        texts.append(written.evidence)
        for what in sorted(claimed):
            apart = abs(scores.get(what, math.inf) - claimed[what])
            right = right and apart <= max(SCORE_SLACK, SCORE_SLACK * abs(claimed[what]))
            texts.append(f"{what} {scores.get(what, math.nan):.3f}, claimed {claimed[what]:.3f}")
    if report.iteration == model.iteration:
        same, of = _alike(report.captions, end.captions)
        right = right and of > 0 and same >= ALIKE * of
        texts.append(f"{same} of {of} captions are the same word for word")
    return gate(NAME, right, "; ".join(texts))


def _alike(before: Mapping[str, str], after: Iterable[Caption]) -> tuple[int, int]:
    """(number of images with equal captions, number of images that were captioned both times)."""
    now = {str(entry.image_id): entry.caption for entry in after}
    both = before.keys() & now.keys()
    return sum(before[image] == now[image] for image in both), len(both)
