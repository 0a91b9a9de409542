"""The checks of a training, one for each gate; each returns its gate with the evidence. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.one_run import BrokenModel, OpenedModel
from neuraltalk_provision.results.run import Sample, Scorer
from neuraltalk_provision.rules import run as rules
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.progress.report import Report
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.verdict import reevaluation
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.runs.verdict.gates import Gate, Verdict, gate

EDGE = 50
"""How many losses are averaged at most at the beginning and at the end."""
SAME = 1e-6
"""The largest relative difference between two readings of one number."""


@dataclass(frozen=True)
class Evidence:
    """All that is known about a training when it is checked."""

    line: tuple[RunState, ...]
    """The run and the runs that it continues, the first one first."""
    history: History
    models: tuple[OpenedModel | BrokenModel, ...]
    """Each model, opened on its host."""
    report: Report | str
    envelope: Envelope | None
    """None if no range is known: the images are not COCO, and no envelope was given."""
    again: RunEnd | str | None = None
    """The end of the second evaluation of the best model, or why it failed; None if it was not requested."""
    again_scorer: Scorer | None = None

    @property
    def run(self) -> RunState:
        """The run that is checked."""
        return self.line[-1]

    @property
    def model(self) -> OpenedModel | None:
        """The best model that was opened; None if none could be opened."""
        opened = [model for model in self.models if isinstance(model, OpenedModel)]
        best = [model for model in opened if rules.is_best(model.file)]
        return next(iter(best or opened), None)


def verdict(evidence: Evidence) -> Verdict:
    """The verdict of a training."""
    run = evidence.run
    return Verdict(
        (
            ended(run),
            on_its_card(run, run.card) if run.card else on_the_processor(run),
            one_history(evidence.line),
            models_open(evidence),
            loss_fell(evidence.history),
            within(evidence),
            captions_differ(evidence.report),
            scores_are_fresh(run),
            evaluated_again(evidence),
        )
    )


def ended(run: RunState) -> Gate:
    """Whether the run has ended, and ended well."""
    if run.active:
        return Gate("ended", "red", f"it is {run.health.state}: {run.health.evidence}")
    return gate("ended", run.health.state in ("ended", "stopped"), f"{run.health.state}: {run.health.evidence}")


def on_its_card(run: RunState, card: Card) -> Gate:
    """Whether its processes used the card that it was given, and no other card."""
    name = "computed on its card"
    found = [(sample, process) for sample in run.samples for process in sample.on if process.uuid]
    wrong = sorted({str(process.uuid) for _sample, process in found if process.uuid != card.uuid})
    if wrong:
        return Gate(name, "red", f"it was found on {', '.join(wrong)}, but its card is {card.uuid}")
    if not found:
        return Gate(name, "red", f"none of its processes was on {card.uuid} in {_unseen(run.samples)}")
    pids = ", ".join(sorted({str(process.pid) for _sample, process in found}))
    memory = max(process.memory or 0 for _sample, process in found)
    use = [sample.utilization for sample, _process in found if sample.utilization is not None]
    text = f"pid {pids} on {card.uuid} ({card.name}) in {len(found)} of {len(run.samples)} samples"
    text += f" over {_seconds(run.samples):.0f} s, {memory:,} MiB at most"
    text += f", utilisation {median(use):.0f} % (median), {max(use)} % at most" if use else ", utilisation not reported"
    return gate(name, not use or max(use) > 0, text)


def _unseen(samples: Sequence[Sample]) -> str:
    """The number of samples, and why they may have seen no process on the card."""
    text = f"{len(samples)} samples"
    problems = [sample.problem for sample in samples if sample.problem]
    if problems:
        return f"{text}; {len(problems)} of them failed, the last one with: {problems[-1][:500]}"
    use = max((sample.utilization or 0 for sample in samples), default=0)
    if use:
        text += f", but the utilisation was up to {use} %: in some containers nvidia-smi does not list their processes"
    return text


def on_the_processor(run: RunState) -> Gate:
    """Whether it used CPU time."""
    pids = sorted({pid for sample in run.samples for pid in sample.pids})
    spent = max((sample.cpu for sample in run.samples), default=0.0)
    text = f"{spent:,.1f} s of CPU time in {_seconds(run.samples):,.0f} s, {len(run.samples)} samples"
    return gate("computed on the processor", spent > 0 and bool(pids), text + f", pid {', '.join(map(str, pids))}")


def one_history(line: Sequence[RunState]) -> Gate:
    """Whether each log belongs to one training, from iteration 0 on, and every loss is a finite number."""
    first = line[0]
    if first.parent:
        text = f"{first.id} continues {first.parent.id}, which is no longer on {first.host}"
        return Gate("one history", "red", f"{text}: what was before it is missing")
    for run in line:
        if run.progress.backwards:
            before, after = run.progress.backwards
            text = f"{run.id}: iteration {after} comes after iteration {before}: two trainings wrote to one log"
            return Gate("one history", "red", text)
        if run.progress.diverged:
            return Gate("one history", "red", f"{run.id}: {run.progress.divergence}")
        if run.progress.losses and run.progress.losses[0][0] > 0:
            text = f"its log begins with iteration {run.progress.losses[0][0]}: what was before it is missing"
            return Gate("one history", "red", f"{run.id}: {text}")
    stages = ", ".join(f"{run.id} ({len(run.progress.losses)} losses read)" for run in line)
    return gate("one history", all(run.progress.losses for run in line), stages)


def models_open(evidence: Evidence) -> Gate:
    """Whether there are models, each can be opened, and model, report and log tell the same losses."""
    if not evidence.models:
        return Gate("models open", "red", "there is no model (.t7)")
    texts, right = [], True
    for model in evidence.models:
        name = model.file.rsplit("/", 1)[-1]
        if isinstance(model, BrokenModel):
            right = False
            texts.append(f"{name} ({model.bytes:,} bytes) cannot be opened: {model.problem}")
        else:
            what = f"iteration {model.iteration}, {model.words} words"
            texts.append(f"{name} ({model.bytes:,} bytes): {what}")
    if isinstance(evidence.report, str):
        return Gate("models open", "red", "; ".join([*texts, f"its report (.json): {evidence.report}"]))
    other = _of_another(evidence.run, evidence.report)
    if other:
        right = False
        texts.append(f"{other}: another training has written there")
    best = evidence.model
    claimed = evidence.report.validations.get(best.iteration) if best else None
    if best and (claimed is None or best.loss is None or not math.isclose(claimed, best.loss, rel_tol=SAME)):
        right = False
        texts.append(
            f"validation loss at iteration {best.iteration}: {claimed} in its report, {best.loss} in the model"
        )
    return gate("models open", right, "; ".join(texts))


def _of_another(run: RunState, report: Report) -> str:
    """What shows that the report is not the run's own: its log has other validations. Empty if it has the same."""
    logged = [(at, loss, report.validations[at]) for at, loss in run.progress.validations if at in report.validations]
    if not logged:
        return "its log has no validation of an iteration that is in its report"
    for iteration, printed, claimed in logged:
        if not math.isclose(printed, claimed, rel_tol=SAME):
            return f"validation loss at iteration {iteration}: {claimed} in its report, {printed} in its log"
    return ""


def loss_fell(history: History) -> Gate:
    """Whether the training loss is lower at the end than at the beginning."""
    losses = [loss for _iteration, loss in history.losses]
    few = min(EDGE, len(losses) // 4)
    if few < 1:
        return Gate("loss fell", "red", f"{len(losses)} losses were read, which are too few to compare")
    before, after = fmean(losses[:few]), fmean(losses[-few:])
    first, last = history.losses[0][0], history.losses[-1][0]
    text = f"{before:.4f} (mean of the first {few}, from iteration {first}), {after:.4f} (of the last {few}, to {last})"
    return gate("loss fell", after < before, text)


def within(evidence: Evidence) -> Gate:
    """Whether the last validation loss and the last scores are in the expected range."""
    name, envelope, history = "within the envelope", evidence.envelope, evidence.history
    if envelope is None:
        images = evidence.line[0].progress.images
        count = "an unknown number of" if images is None else f"{images:,}"
        return Gate(name, "left out", f"the data set ({count} training images) is not COCO: give --envelope FILE")
    points = [("loss", *history.validations[-1])] if history.validations else []
    points += [(what, history.scores[-1][0], value) for what, value in history.scores[-1][1]] if history.scores else []
    texts, right = [], True
    for what, iteration, value in points:
        bounds = envelope.at(what, iteration)
        if bounds is None:
            continue
        inside = bounds[0] <= value <= bounds[1]
        right = right and inside
        relation = "in" if inside else "not in"
        texts.append(f"{what} {value:.3f} at iteration {iteration:,} is {relation} {bounds[0]:.2f} to {bounds[1]:.2f}")
    if not texts:
        return Gate(
            name, "left out", f"the envelope ({envelope.name}) has no ranges for the iterations of this training"
        )
    return gate(name, right, f"{'; '.join(texts)} ({envelope.name})")


def captions_differ(report: Report | str) -> Gate:
    """Whether the model gives different images different captions."""
    name = "captions differ"
    if isinstance(report, str):
        return Gate(name, "red", f"its report (.json): {report}")
    if len(report.captions) < 2:
        return Gate(name, "left out", f"captions in its report: {len(report.captions)}, too few to compare")
    counted = Counter(report.captions.values())
    caption, often = counted.most_common(1)[0]
    text = f"{len(counted)} different captions of {len(report.captions)}; '{caption}' {often} times"
    return gate(name, 2 * often <= len(report.captions), text)


def scores_are_fresh(run: RunState) -> Gate:
    """Whether the scorer wrote the last scores after it received the last captions."""
    return reevaluation.fresh("scores are fresh", str(run.effective.get("language_eval", "0")) == "1", run.scorer)


def evaluated_again(evidence: Evidence) -> Gate:
    """Whether a separate evaluation of the saved model gives the results that its report claims."""
    return reevaluation.compare(evidence.again, evidence.again_scorer, evidence.model, evidence.report)


def _seconds(samples: Sequence[Sample]) -> float:
    return samples[-1].time - samples[0].time if samples else 0.0
