"""`provision runs verify` and `provision runs report`: a verdict with its evidence, and a report as HTML."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision import whole_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.cli.run import GpuAgain, Memory, refuse_without_effect
from neuraltalk_provision.cli.runs import Host, Id, is_id, when
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, UsageError, naming
from neuraltalk_provision.output import Output
from neuraltalk_provision.report import page
from neuraltalk_provision.rules.gpu import AUTO
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import pace, record
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request import spec
from neuraltalk_provision.runs.verdict import checks, verify
from neuraltalk_provision.runs.verdict import envelope as envelopes
from neuraltalk_provision.runs.verdict.envelope import Envelope
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice

EnvelopeFile = Annotated[
    Path | None,
    typer.Option(
        "--envelope", help="A YAML file with the expected ranges of losses and scores. Default: those of COCO."
    ),
]
KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
SHOWN = 30
PICTURES = 200
"""The default number of pictures in a report."""
PICTURE_BYTES = 32 << 20
"""The maximum size of all pictures in a report, in bytes."""
ROWS = 2000
"""The maximum number of captions without pictures on one page."""


def verify_(
    run_id: Id,
    host: Host = "",
    envelope: EnvelopeFile = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate/--no-evaluate", help="Evaluate the saved model again; this takes some time.")
    ] = True,
    gpu: GpuAgain = None,
    gpu_memory: Memory = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write an HTML report with the verdict to this file.")
    ] = None,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Check whether a training that has ended can be trusted: nine gates, each with its evidence.

    The exit code is 1 if a gate is red.
    """
    if not evaluate and (gpu is not None or gpu_memory is not None):
        raise UsageError(
            "--gpu and --gpu-memory have no effect with --no-evaluate", advice="Leave them out, or --no-evaluate."
        )
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    given = envelopes.read(envelope) if envelope else None
    site = hosts.query(chosen, [host] if host else (), some=True)
    run, everything = hosts.named(run_id, site, host), site.runs
    if run.active:
        raise UsageError(f"{run.id} is {run.health}: a verdict needs a training that has ended")
    card = gpu if gpu is not None else AUTO if run.card else spec.PROCESSOR
    refuse_without_effect("ssh", None, card, gpu_memory)
    (run,) = hosts.details([run], chosen)
    evaluation = None
    if evaluate and run.models:
        evaluation = verify.again(run, [other.id for other in everything], card, gpu_memory)
    if plan:
        what = f"its model would be evaluated as {evaluation.id}" if evaluation else "nothing would be started"
        output.say(f"{run.id} on {run.host} would be verified; {what}")
        output.result({"id": run.id, "host": run.host, "evaluation": evaluation.as_request() if evaluation else None})
        return EXIT_FINE
    evidence = verify.gather(run, everything, chosen, given, evaluation, output.say)
    verdict = checks.verdict(evidence)
    rows = [(gate.name, gate.colour, gate.evidence) for gate in verdict.gates]
    output.table(f"{run.id} on {run.host}", ("gate", "result", "evidence"), rows)
    output.say(f"{run.id} is " + ("green" if verdict.green else "red"))
    if out:
        document = page.Report(
            title=f"{run.id} on {run.host}: {'green' if verdict.green else 'red'}",
            facts=facts(evidence.run),
            made=now(),
            history=evidence.history,
            envelope=evidence.envelope,
            verdict=verdict,
            log_tail=tail(run),
        )
        write(out, document, output)
    output.result({"id": run.id, "host": run.host, **verdict.as_json()})
    return EXIT_FINE if verdict.green else EXIT_FAILED


def report(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a run or of a sweep.", callback=is_id)],
    host: Host = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write. Default: ID.html.")] = None,
    envelope: EnvelopeFile = None,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, help="The maximum number of pictures to fetch from the host and show.")
    ] = PICTURES,
    as_json: options.Json = False,
) -> int:
    """Write loss curves, scores, and captions beside their images as HTML that needs no network.

    Of pictures beyond --pictures only names and captions are shown; many captions are split into several pages. For a
    sweep, the report compares its runs. `provision runs verify --out` adds the verdict.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    given = envelopes.read(envelope) if envelope else None
    site = hosts.query(chosen, [host] if host else (), some=True)
    everything = site.runs
    swept = [run for run in everything if run.sweep == run_id]
    captioned: RunState | None = None
    if swept and site.failures:  # the comparison would lack runs
        raise advice.host_error(site.failures, advice=hosts.LEAVE_OUT)
    if swept:
        document = _of_sweep(run_id, swept, everything, chosen)
    else:
        run = hosts.named(run_id, site, host)
        if run.program not in (verify.TRAIN, verify.EVAL):
            raise UsageError(f"{run.id} ran {run.program}: a report needs a training or an evaluation")
        document = _of_run(run, everything, given, chosen)
        captioned = run if run.program != verify.TRAIN else None
    file = out or Path(f"{run_id}.html")
    found = captions(captioned, chosen, pictures) if captioned else ()
    files = write_pages(file, document, found, output)
    output.result(
        {"id": run_id, "file": str(file), "files": files, "captions": len(found), "runs": len(document.comparison)}
    )
    return EXIT_FINE


def write_pages(file: Path, document: page.Report, captioned: Sequence[page.Captioned], output: Output) -> list[str]:
    """Write a report with its captions, page by page to limit the memory; return the files."""
    shown = tuple(caption for caption in captioned if caption.image is not None)
    rest = [(caption.file, caption.caption) for caption in captioned if caption.image is None]
    count = max(1, -(-len(rest) // ROWS))
    names = [file, *(file.with_name(f"{file.stem}-{number}{file.suffix}") for number in range(2, count + 1))]
    for number, name in enumerate(names):
        rows = tuple(rest[number * ROWS : (number + 1) * ROWS])
        others = [("first page", 0), ("previous page", number - 1), ("next page", number + 1), ("last page", count - 1)]
        links = tuple((label, names[at].name) for label, at in others if count > 1 and 0 <= at < count and at != number)
        if number == 0:
            write(name, replace(document, captions=shown, rows=rows, pages=links), output)
        else:
            title = f"{document.title}: captions, page {number + 1} of {count}"
            write(name, page.Report(title=title, facts=(), made=document.made, rows=rows, pages=links), output)
    return [str(name) for name in names]


def write(file: Path, document: page.Report, output: Output) -> None:
    """Write a report as HTML."""
    text = page.render(document)
    with naming(file, "written"):
        whole_file.write_named(file, text.encode("utf-8"))
    output.say(f"wrote {file}")


def _of_run(run: RunState, everything: Sequence[RunState], given: Envelope | None, settings: Settings) -> page.Report:
    line = hosts.details(record.line(run, everything), settings, points=verify.POINTS, samples=200)
    run, history = line[-1], record.history(line)
    trains = run.program == verify.TRAIN
    return page.Report(
        title=f"{run.id} on {run.host}",
        facts=facts(run),
        made=now(),
        history=history if trains else None,
        envelope=(given or verify.known(line, history)) if trains else None,
        log_tail=tail(run),
    )


def _of_sweep(
    sweep_id: str, swept: Sequence[RunState], everything: Sequence[RunState], settings: Settings
) -> page.Report:
    """The report of a sweep: the last run of each training, compared by the options that differ.

    A run that wrote no model is replaced by a later one that continues the same run in the same stage.
    """
    continued = {(run.host, run.parent.id) for run in swept if run.parent}
    lines = [record.line(run, everything) for run in swept if (run.host, run.id) not in continued]
    runs = hosts.details([run for line in lines for run in line], settings, points=verify.POINTS, samples=1)
    known = {(run.host, run.id): run for run in runs}
    latest: dict[tuple[str, str, str], int] = {}
    for run in swept:
        if run.begun:
            latest[_continues(run)] = max(run.started, latest.get(_continues(run), 0))
    lines = [
        line
        for line in (tuple(known[run.host, run.id] for run in line) for line in lines)
        if not _is_dead(line[-1]) or line[-1].started >= latest.get(_continues(line[-1]), 0)
    ]
    ends = [line[-1] for line in lines]
    histories = {line[-1].id: record.history(line) for line in lines}
    varied = {name for run in ends for name in run.requested if len({str(r.requested.get(name)) for r in ends}) > 1}
    return page.Report(
        title=f"sweep {sweep_id}",
        facts=(("runs", str(len(ends))), ("different options", ", ".join(sorted(varied)))),
        made=now(),
        comparison=tuple(
            page.Comparison(
                id=run.id,
                host=run.host,
                state=run.health.state,
                options=tuple((name, str(run.requested.get(name, ""))) for name in sorted(varied)),
                loss=run.progress.losses[-1][1] if run.progress.losses else None,
                validation=min((loss for _at, loss in histories[run.id].validations), default=None),
                score=max((value for _at, value in histories[run.id].score("CIDEr")), default=None),
            )
            for run in ends
        ),
        histories=histories,
    )


def _continues(run: RunState) -> tuple[str, str, str]:
    """Runs for which this is the same continue the same run, on the same host in the same stage."""
    return run.host, run.parent.id if run.parent else "", run.stage


def _is_dead(run: RunState) -> bool:
    """Whether a run that continues another one ended without a model, so that it can only be started again."""
    return run.parent is not None and not run.models and not run.active


def captions(run: RunState, settings: Settings, pictures: int) -> tuple[page.Captioned, ...]:
    """The captions that eval.lua wrote; the first `pictures` of them with the picture itself, from vis/."""
    found = hosts.captions(run.id, run.host, settings)
    places = [entry.place for entry in found if entry.place][:pictures]
    files = hosts.read(run.id, run.host, settings, places, most=PICTURE_BYTES) if places else {}
    return tuple(
        page.Captioned(
            file=entry.file or str(entry.image_id),
            caption=entry.caption,
            image=files.get(entry.place),
            kind=KINDS.get(Path(entry.place).suffix.lower(), "application/octet-stream"),
        )
        for entry in found
    )


def facts(run: RunState) -> tuple[tuple[str, str], ...]:
    """The table at the top of a run's report: (name, value)."""
    given = " ".join(f"-{name} {value}" for name, value in sorted(run.requested.items()))
    card = f"card {run.card.index}: {run.card.name}, {run.card.uuid}" if run.card else "the CPU"
    return (
        ("state", f"{run.health.state}: {run.health.evidence}"),
        ("program", f"{run.program} {given}"),
        ("where", f"{run.host}, {card}"),
        ("started", when(run)),
        ("progress", pace.summary(pace.of(run), run)),
        *((("continues", run.parent.id),) if run.parent else ()),
        ("log", run.log),
    )


def tail(run: RunState) -> str:
    """The last lines of the run's log."""
    return "\n".join(run.tail.splitlines()[-SHOWN:])


def now() -> str:
    """The current time, for the footer of a page."""
    return time.strftime("%Y-%m-%d %H:%M %Z")
