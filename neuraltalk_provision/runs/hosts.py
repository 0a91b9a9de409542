"""The one door to hosts for runs: ask what runs they have, start, follow, read and end them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.results.base import Read
from neuraltalk_provision.results.host_state import Card
from neuraltalk_provision.results.one_run import (
    BrokenModel,
    Caption,
    ChangedResult,
    FilesOfRun,
    FollowedRun,
    OneRunResult,
    OpenedModel,
    ProbedRun,
    ScoredRun,
    StartedRun,
    SubmittedRun,
)
from neuraltalk_provision.results.run import RunDetailsResult, RunsResult
from neuraltalk_provision.runs.progress import health, log, record, state
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, answers, playbook

POLL_SECONDS = 2.0
CHANGE, INFO = "stack_run", "stack_run_info"
"""The modules that change a run, and that only tell of runs."""


@dataclass(frozen=True)
class Site:
    """What the hosts told: their runs, the latest first, and the cards that are free on each, the best first."""

    runs: tuple[RunState, ...]
    free: Mapping[str, tuple[Card, ...]]


def runs(settings: Settings, limit: Sequence[str] = (), quiet: float = health.QUIET) -> tuple[RunState, ...]:
    """A row of every run of every host, the latest first: its state, and how far it got.

    Its options, models, samples and the whole of its log are told by `whole`. Raises HostError naming the hosts that
    could not be asked.
    """
    return ask(settings, limit, quiet).runs


def named(run_id: str, settings: Settings, host: str = "", quiet: float = health.QUIET) -> RunState:
    """All that is known of the run of that id; only that one is asked for, unless it may stand in a queue.

    Raises UsageError where no host has it, or several have.
    """
    limit = [host] if host else ()
    found = [run for run in ask(settings, limit, quiet, ids=[run_id]).runs if run.id == run_id]
    return record.find(run_id, found or runs(settings, limit, quiet), host)


def whole(
    wanted: Sequence[RunState],
    settings: Settings,
    quiet: float = health.QUIET,
    *,
    points: int | None = None,
    samples: int | None = None,
) -> tuple[RunState, ...]:
    """All that is known of these runs, in their order; of each about so many losses and samples.

    The module stack_run_info says how many they are where they are not given.
    Raises HostError where a host can't be asked, or has one of its runs no more.
    """
    here = [run for run in wanted if run.supervisor or not run.job]
    if not here:
        return tuple(wanted)
    hosts, ids = sorted({run.host for run in here}), sorted({run.id for run in here})
    known = {
        (run.host, run.id): run for run in ask(settings, hosts, quiet, points=points, samples=samples, ids=ids).runs
    }
    gone = [f"{run.id} on {run.host}" for run in here if (run.host, run.id) not in known]
    if gone:
        raise HostError(
            f"{', '.join(gone)}: its directory was removed during this command",
            advice="Run the same command again.",
        )
    return tuple(known.get((run.host, run.id), run) for run in wanted)


def ask(
    settings: Settings,
    limit: Sequence[str] = (),
    quiet: float = health.QUIET,
    *,
    ids: Sequence[str] = (),
    points: int | None = None,
    samples: int | None = None,
    gpu: str = "none",
    memory: int = 0,
) -> Site:
    """A row of every run of the hosts, or all that is known of those with `ids`, and what stands in Slurm's queue.

    With `gpu` auto the cards too that have so much memory (MiB) free. `quiet` is after how many seconds without a
    line a run is called hanging. Raises HostError naming the hosts that could not be asked.
    """
    request = playbook.Request(
        playbook="runs.yml",
        inventory=settings.inventory,
        limit=limit,
        forks=settings.forks,
        variables={
            "provision_stack_root": settings.stack_root,
            "provision_run_user": settings.run_user,
            "provision_gpu": gpu,
            "provision_memory": memory,
            **({} if points is None else {"provision_points": points}),
            **({} if samples is None else {"provision_samples": samples}),
            **({"provision_ids": list(ids)} if ids else {}),
        },
    )
    shape = RunDetailsResult if ids else RunsResult
    results, failures = answers.of(playbook.run(request).told, INFO, shape)
    if failures:
        raise advice.host_error(failures, advice="To continue without a host: --limit '!HOST'.")
    found = [state.of(host, run, quiet) for host, result in results.items() for run in result.runs]
    here = {run.id for run in found if not run.elsewhere}
    found = [run for run in found if not run.elsewhere or run.id not in here]
    known = {run.id for run in found}
    found += [
        state.queued(host, run) for host, result in results.items() for run in result.queued if run.id not in known
    ]
    return Site(
        runs=tuple(sorted(found, key=lambda run: (-run.started, run.host, run.id))),
        free={host: result.free for host, result in results.items()},
    )


def start(runs: Sequence[RunSpec], host: str, settings: Settings) -> StartedRun:
    """Start runs, one after the other on one card; what the host says of the first.

    Raises HostError where they can't be started; then none was.
    """
    asked = {**_as_asked(runs), "state": "started"}
    return _change(OneRunResult[StartedRun], host, settings, asked).run


def submit(runs: Sequence[RunSpec], host: str, words: Sequence[str], settings: Settings) -> SubmittedRun:
    """Give runs to Slurm as one job, by `sbatch` on a host; its job. Raises HostError with Slurm's words."""
    asked = {**_as_asked(runs), "slurm": list(words), "state": "submitted"}
    return _change(OneRunResult[SubmittedRun], host, settings, asked).run


def _as_asked(runs: Sequence[RunSpec]) -> dict[str, Any]:
    """Runs that share one card, as a host is asked for them."""
    return {"runs": [run.as_asked() for run in runs], "gpu": runs[0].gpu, "memory": max(run.memory for run in runs)}


def follow(run_id: str, host: str, settings: Settings) -> Iterator[FollowedRun]:
    """What the host says of a run, every few seconds, until it ended; `text` is what its log gained."""
    offset = 0
    while True:
        run = _followed(run_id, host, settings, offset)
        yield run
        if not run.running and not run.waiting and not run.more:
            return
        offset = run.offset
        if not run.more:
            time.sleep(POLL_SECONDS)


def _followed(run_id: str, host: str, settings: Settings, offset: int) -> FollowedRun:
    asked = {"id": run_id, "offset": offset, "state": "followed"}
    return _told(OneRunResult[FollowedRun], host, settings, asked).run


def watch(run_id: str, host: str, settings: Settings, show: Callable[[str], None]) -> RunEnd:
    """Follow a run to its end, showing its log as it grows; the memory that it takes does not grow with the log."""
    reader = log.Reader()
    for run in follow(run_id, host, settings):
        show(run.text)
        reader.feed(run.text)
    progress = reader.progress()
    return RunEnd(
        id=run_id,
        host=host,
        log=run.log,
        exit_code=run.exit_code,
        checkpoints=run.wrote.checkpoints if run.wrote else (),
        captions=run.wrote.captions if run.wrote else (),
        set_aside=run.wrote.set_aside if run.wrote else (),
        losses=progress.losses,
        ended=run.ended,
        progress=progress,
    )


def captions(run_id: str, host: str, settings: Settings) -> tuple[Caption, ...]:
    """The captions that a run has written, whatever the size of its log."""
    wrote = _followed(run_id, host, settings, -1).wrote
    return wrote.captions if wrote else ()


def stop(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """End a run with all its processes; whether it was running or waiting. With `plan` nothing is ended."""
    return _change(ChangedResult, host, settings, {"id": run_id, "state": "stopped"}, check=plan).changed


def cancel(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """Take the job of a run back from Slurm; whether there was one to take back. With `plan` nothing is."""
    return _change(ChangedResult, host, settings, {"id": run_id, "state": "cancelled"}, check=plan).changed


def probe(run_id: str, host: str, settings: Settings) -> tuple[OpenedModel | BrokenModel, ...]:
    """The models of a run, each opened on its host."""
    return _told(OneRunResult[ProbedRun], host, settings, {"id": run_id, "state": "probed"}).run.models


def score(run_id: str, host: str, settings: Settings, annotations: str = "") -> ScoredRun:
    """What a run has captioned, scored on its host: scores by name, how many captions were used, and of what.

    `annotations` is a file on the host; by default those that the run itself would take. Raises HostError with the
    scorer's words where there are no scores.
    """
    asked = {"id": run_id, "annotations": annotations, "state": "scored"}
    return _change(OneRunResult[ScoredRun], host, settings, asked).run


def read(
    run_id: str, host: str, settings: Settings, files: Sequence[str], *, most: int | None = None
) -> dict[str, bytes]:
    """Files of a run by their names; those that are not there, or larger than any answer, are left out.

    With `most` the first of them that have so many bytes together.
    """
    found: dict[str, bytes] = {}
    left = list(files)
    while left:
        bound = {"most": most} if most else {}
        asked = {"id": run_id, "files": left, "state": "read", **bound}
        run = _told(OneRunResult[FilesOfRun], host, settings, asked).run
        wanted, waiting = set(left), set(run.later)
        found |= {name: data for name, data in run.files.items() if name in wanted}
        later = [] if most else [name for name in left if name in waiting]
        if len(later) >= len(left):
            raise HostError(f"{host} does not send the files of {run_id} that it listed", advice="Check that host.")
        left = later
    return found


def _change(shape: type[Read], host: str, settings: Settings, asked: Mapping[str, Any], *, check: bool = False) -> Read:
    """What a host returns of a run that was started, ended or scored. Raises HostError with its failure."""
    return _of_one(CHANGE, shape, _request("run.yml", host, settings, asked, check))


def _told(shape: type[Read], host: str, settings: Settings, asked: Mapping[str, Any]) -> Read:
    """What a host returns of a run when it is only asked. Raises HostError with its failure."""
    return _of_one(INFO, shape, _request("run_info.yml", host, settings, asked, False))


def _request(name: str, host: str, settings: Settings, asked: Mapping[str, Any], check: bool) -> playbook.Request:
    return playbook.Request(
        playbook=name,
        inventory=settings.inventory,
        limit=[host],
        check=check,
        variables={
            "provision_stack_root": settings.stack_root,
            "provision_run_user": settings.run_user,
            "provision_run": asked,
        },
    )


def _of_one(module: str, shape: type[Read], request: playbook.Request) -> Read:
    results, failures = answers.of(playbook.run(request).told, module, shape)
    if failures:
        raise advice.host_error(failures)
    if len(results) != 1:
        raise UsageError(f"--host {request.limit[0]} must name one host, but it names {len(results)}")
    return next(iter(results.values()))
