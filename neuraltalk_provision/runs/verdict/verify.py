"""`runs verify`: collect the evidence of a training, evaluate its best model again, and give the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError, ProvisionError, UsageError
from neuraltalk_provision.results import numbers
from neuraltalk_provision.results.run import Scorer
from neuraltalk_provision.rules import run as rules
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import record, report
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.history import History
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request import spec
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.runs.verdict import checks
from neuraltalk_provision.runs.verdict import envelope as envelopes
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.settings import Settings

POINTS = 5000
SAMPLES = 2000
COCO = 70_000
"""A data set with at least so many training images counts as COCO."""
TRAIN, EVAL = "train.lua", "eval.lua"


def gather(
    run: RunState,
    all_runs: Sequence[RunState],
    settings: Settings,
    given: Envelope | None,
    evaluation: RunSpec | None,
    say: Callable[[str], None],
) -> checks.Evidence:
    """All evidence of a training. With `evaluation` its best model is evaluated again, which takes some time.

    Raises UsageError if the run is not a training, and HostError if the host fails.
    """
    if run.program != TRAIN:
        raise UsageError(f"run {run.id} is a run of {run.program}: only trainings (train.lua) can be verified")
    line = hosts.details(record.line(run, all_runs), settings, points=POINTS, samples=SAMPLES)
    history = record.history(line)
    say(f"opening the models of {run.id} on {run.host}")
    models = hosts.probe(run.id, run.host, settings)
    file = rules.report(run.id)
    written = report.read(hosts.read(run.id, run.host, settings, [file]).get(file))
    envelope = given or known(line, history)
    evidence = checks.Evidence(line, history, models, written, envelope)
    if evaluation is None or evidence.model is None:
        return evidence
    say(f"evaluating {evidence.model.file} again as {evaluation.id}")
    again, scorer = _evaluate(run, evaluation, settings)
    return checks.Evidence(line, history, models, written, envelope, again, scorer)


def known(line: Sequence[RunState], history: History) -> Envelope | None:
    """The envelope for such a training: that of COCO, if it has as many images and the default batch size.

    It is finetuned from where the first of its runs began with it; the last one may still begin.
    """
    first = line[0]
    usual = _option(first.effective, "batch_size") == str(catalogue.default(TRAIN, "batch_size"))
    if not usual or (first.progress.images or 0) < COCO:
        return None
    for run, stage in zip(line, history.stages, strict=True):
        finetunes = numbers.whole(_option(run.effective, "finetune_cnn_after"))
        if finetunes is not None and finetunes >= 0 and (run is line[-1] or stage.start + finetunes < stage.end):
            return envelopes.of_coco(stage.start + finetunes)
    return envelopes.of_coco()


def _option(options: Mapping[str, Any], name: str) -> str:
    """The value of an option for train.lua: its own default if none was given."""
    return str(options.get(name, catalogue.default(TRAIN, name)))


def again(run: RunState, taken: Sequence[str], gpu: str, memory: int | None) -> RunSpec:
    """The run that evaluates the best model as train.lua does: same images, same batch size, no beam search.

    The training wrote a model.
    """
    best = next((model for model in run.models if rules.is_best(model.file)), run.models[0])
    given = run.effective
    batch = _option(given, "batch_size")
    images = _option(given, "val_images_use")
    options = {
        "model": best.file,
        "input_h5": str(given["input_h5"]),
        "input_json": str(given["input_json"]),
        "split": "val",
        # With -1 train.lua ends a validation after its first batch, although its help says "all"; eval.lua uses all.
        "num_images": batch if images == "-1" else images,
        "batch_size": batch,
        "language_eval": str(given.get("language_eval", "0")),
        "beam_size": "1",
        "dump_images": "0",
    }
    number = 1
    while f"{run.id}-check-{number}" in taken:
        number += 1
    return spec.parse(EVAL, f"{run.id}-check-{number}", spec.words(options), gpu, memory)


def _evaluate(run: RunState, evaluation: RunSpec, settings: Settings) -> tuple[RunEnd | str, Scorer | None]:
    """(the end of the evaluation, when its scorer wrote); instead of the end, the reason why there was none."""
    try:
        hosts.start([evaluation], run.host, settings)
    except HostError as error:
        return f"it could not be started: {error.message}", None
    try:
        end = hosts.watch(evaluation.id, run.host, settings, lambda text: None)
        wanted = hosts.query(settings, [run.host], ids=[evaluation.id], points=1, samples=1).runs
        scorer = next((one.scorer for one in wanted if one.id == evaluation.id), None)
    except ProvisionError as error:
        return f"it could not be followed: {error.message}", None
    return end, scorer
