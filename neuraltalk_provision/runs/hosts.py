"""All access to the runs of hosts: list, start, follow, read and end them. No other module runs the run playbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.results.base import Read
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
from neuraltalk_provision.rules.gpu import AUTO
from neuraltalk_provision.rules.texts import some
from neuraltalk_provision.runs.progress import health, listing, log, record
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.progress.state import RunState
from neuraltalk_provision.runs.request import unsure
from neuraltalk_provision.runs.request.spec import PROCESSOR, RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, host_results, playbook
from neuraltalk_provision.site.events import Failure

WAIT_STEP, LONGEST_WAIT = 2, 10
"""Seconds for which a host waits longer for the end of a run each time that it is asked, and the longest wait."""
LEAVE_OUT = "To leave out a host, give --limit '!HOST'; a command for one run has --host HOST in place of it."
CHANGE, INFO = "stack_run", "stack_run_info"
"""The module that changes a run, and the one that only reads runs."""


@dataclass(frozen=True)
class Site:
    """The runs of the hosts, the latest first, and what each host returned; a machine once, under its first name."""

    runs: tuple[RunState, ...]
    results: Mapping[str, RunsResult]
    failures: tuple[Failure, ...] = ()
    """Of the hosts that did not answer."""


def runs(settings: Settings, limit: Sequence[str] = ()) -> tuple[RunState, ...]:
    """One row for every run of every host, the latest first; `details` adds more. Raises HostError if a host fails."""
    return query(settings, limit).runs


def find(run_id: str, settings: Settings, host: str = "", quiet: float = health.QUIET) -> RunState:
    """All that is known about the run with that id; errors as of `named`. Others are read only if it may be queued."""
    limit = [host] if host else ()
    site = query(settings, limit, quiet, ids=[run_id], some=True)
    alone = any(run.id == run_id for run in site.runs)
    return named(run_id, site if alone else query(settings, limit, quiet, some=True), host)


def named(run_id: str, site: Site, host: str = "") -> RunState:
    """The run with that id. Raises UsageError if no host has it, or several hosts have it, and HostError if no host has
    it and others did not answer.
    """
    if site.failures and all(run.id != run_id for run in site.runs):
        error = advice.host_error(site.failures, advice=LEAVE_OUT)
        error.message = f"no host that answered has a run called {run_id}\n{error.message}"
        raise error
    return record.find(run_id, site.runs, host)


def details(
    wanted: Sequence[RunState],
    settings: Settings,
    quiet: float = health.QUIET,
    *,
    points: int | None = None,
    samples: int | None = None,
) -> tuple[RunState, ...]:
    """All that is known about these runs, in their order, with about so many losses and samples of each.

    Without `points` and `samples` the module stack_run_info uses its defaults. Raises HostError if a host fails, or no
    longer has one of its runs.
    """
    here = [run for run in wanted if run.supervisor or not run.job]
    if not here:
        return tuple(wanted)
    hosts, ids = sorted({run.host for run in here}), sorted({run.id for run in here})
    known = {
        (run.host, run.id): run for run in query(settings, hosts, quiet, points=points, samples=samples, ids=ids).runs
    }
    removed = [f"{run.id} on {run.host}" for run in here if (run.host, run.id) not in known]
    if removed:
        raise HostError(
            f"{', '.join(removed)}: the directory of the run was removed while it was being read",
            advice="Run the same command again.",
        )
    return tuple(known.get((run.host, run.id), run) for run in wanted)


def query(
    settings: Settings,
    limit: Sequence[str] = (),
    quiet: float = health.QUIET,
    *,
    ids: Sequence[str] = (),
    points: int | None = None,
    samples: int | None = None,
    gpu: str = "none",
    memory: int = 0,
    backend: str = "",
    some: bool = False,
) -> Site:
    """One row for every run of the hosts, or all that is known about those in `ids`, and the jobs in Slurm's queue.

    With `gpu` auto also the cards; a card is free if it has so much memory (MiB), and the stack the `backend`. After
    `quiet` seconds without a new line in its log, a run counts as hanging. Raises HostError that names the hosts that
    failed; with `some`, only if all failed.
    """
    request = playbook.Request.of_site(
        settings,
        "runs.yml",
        limit,
        {
            "provision_stack_root": settings.stack_root,
            "provision_run_user": settings.run_user,
            "provision_gpu": gpu,
            "provision_memory": memory,
            "provision_backend": backend,
            **({} if points is None else {"provision_points": points}),
            **({} if samples is None else {"provision_samples": samples}),
            **({"provision_ids": list(ids)} if ids else {}),
        },
    )
    results, failures = host_results.of(playbook.run(request).results, INFO, RunDetailsResult if ids else RunsResult)
    site = Site(listing.of_hosts(results, quiet), listing.each_machine_once(results), failures)
    if failures and not (some and results):
        raise advice.host_error(failures, advice=_ask_one(site, ids))
    return site


def _ask_one(site: Site, ids: Sequence[str]) -> str:
    """What to do if hosts do not answer that are not needed for these runs."""
    found = next((run for run in site.runs if run.id in ids), None)
    return f"{found.id} was found on {found.host}: --host {found.host} asks only this host." if found else LEAVE_OUT


def start(runs: Sequence[RunSpec], host: str, settings: Settings, *, only_idle: bool = False) -> StartedRun:
    """Start runs, one after the other on one card; returns the host's result for the first.

    With `only_idle` they get their card only if nothing computes on it. Raises HostError if they cannot be started;
    then none was started, unless the error says that this is not known.
    """
    request = {**_options(runs), "state": "started"}
    if only_idle and runs[0].gpu != PROCESSOR:
        request["gpu"] = f"{AUTO}:{runs[0].gpu}"
    with unsure.starting(runs, host):
        return _change(OneRunResult[StartedRun], host, settings, request).run


def submit(runs: Sequence[RunSpec], host: str, sbatch: Sequence[str], settings: Settings) -> SubmittedRun:
    """Submit runs to Slurm as one job, with `sbatch` on a host. Raises HostError with Slurm's own message."""
    request = {**_options(runs), "slurm": list(sbatch), "state": "submitted"}
    with unsure.starting(runs, host):
        return _change(OneRunResult[SubmittedRun], host, settings, request).run


def _options(runs: Sequence[RunSpec]) -> dict[str, Any]:
    """Runs that share one card, as options of the module stack_run."""
    return {"runs": [run.as_request() for run in runs], "gpu": runs[0].gpu, "memory": max(run.memory for run in runs)}


def follow(run_id: str, host: str, settings: Settings, wait: int = 0) -> Iterator[FollowedRun]:
    """Yield the state of a run, first after `wait` seconds, until it has ended; `text` is the new part of its log."""
    offset = 0
    while True:
        run = _followed(run_id, host, settings, offset, wait)
        yield run
        if not run.running and not run.waiting and not run.more:
            return
        offset = run.offset
        wait = 0 if run.more else min(wait + WAIT_STEP, LONGEST_WAIT)


def _followed(run_id: str, host: str, settings: Settings, offset: int, wait: int = 0) -> FollowedRun:
    request = {"id": run_id, "offset": offset, "wait": wait, "state": "followed"}
    return _info(OneRunResult[FollowedRun], host, settings, request).run


def watch(run_id: str, host: str, settings: Settings, show: Callable[[str], None]) -> RunEnd:
    """Follow a run to its end and show its log as it grows, in memory that does not grow with the log."""
    reader = log.Reader()
    for run in follow(run_id, host, settings, WAIT_STEP):
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
    """The captions that a run has written."""
    wrote = _followed(run_id, host, settings, -1).wrote
    return wrote.captions if wrote else ()


def stop(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """End a run with all its processes; returns whether it was running or waiting. With `plan` nothing is ended."""
    return _change(ChangedResult, host, settings, {"id": run_id, "state": "stopped"}, check=plan).changed


def cancel(run_id: str, host: str, settings: Settings, *, plan: bool) -> bool:
    """Cancel the Slurm job of a run; returns whether there was one. With `plan` nothing is cancelled."""
    return _change(ChangedResult, host, settings, {"id": run_id, "state": "cancelled"}, check=plan).changed


def probe(run_id: str, host: str, settings: Settings) -> tuple[OpenedModel | BrokenModel, ...]:
    """The models of a run, each of them opened on its host."""
    return _info(OneRunResult[ProbedRun], host, settings, {"id": run_id, "state": "probed"}).run.models


def score(run_id: str, host: str, settings: Settings, annotations: str = "") -> ScoredRun:
    """The captions of a run, scored on its host: scores by name, how many captions were used, and the annotations.

    `annotations` is a file on the host; the default is the file that the run itself would use. Raises HostError with
    the scorer's message if there are no scores.
    """
    request = {"id": run_id, "annotations": annotations, "state": "scored"}
    return _change(OneRunResult[ScoredRun], host, settings, request).run


def read(
    run_id: str, host: str, settings: Settings, files: Sequence[str], *, most: int | None = None
) -> dict[str, bytes]:
    """{name: content} of files of a run. Files that do not exist or are too large to be sent are left out.

    With `most` only the first of them, as many as have so many bytes together.
    """
    found: dict[str, bytes] = {}
    left = list(files)
    while left:
        bound = {"most": most} if most else {}
        request = {"id": run_id, "files": left, "state": "read", **bound}
        run = _info(OneRunResult[FilesOfRun], host, settings, request).run
        wanted, waiting = set(left), set(run.later)
        found |= {name: data for name, data in run.files.items() if name in wanted}
        later = [] if most else [name for name in left if name in waiting]
        if len(later) >= len(left):
            raise HostError(
                f"{host} lists files of run {run_id} but does not send them: {some(later, 10)}",
                advice="Check on that host whether these files can be read, then run the same command again.",
            )
        left = later
    return found


def _change(
    shape: type[Read], host: str, settings: Settings, request: Mapping[str, Any], *, check: bool = False
) -> Read:
    """The result of starting, ending or scoring a run. Raises HostError with the host's failure."""
    return _of_one(CHANGE, shape, _request("run.yml", host, settings, request, check))


def _info(shape: type[Read], host: str, settings: Settings, request: Mapping[str, Any]) -> Read:
    """The result of reading from a run, which changes nothing. Raises HostError with the host's failure."""
    return _of_one(INFO, shape, _request("run_info.yml", host, settings, request, False))


def _request(name: str, host: str, settings: Settings, run: Mapping[str, Any], check: bool) -> playbook.Request:
    variables = {
        "provision_stack_root": settings.stack_root,
        "provision_run_user": settings.run_user,
        "provision_run": run,
    }
    return playbook.Request.of_site(settings, name, [host], variables, check=check)


def _of_one(module: str, shape: type[Read], request: playbook.Request) -> Read:
    results, failures = host_results.of(playbook.run(request).results, module, shape)
    if failures:
        raise advice.host_error(failures)
    if len(results) != 1:
        raise UsageError(f"--host {request.limit[0]} must name exactly one host, but it matches {len(results)}")
    return next(iter(results.values()))
