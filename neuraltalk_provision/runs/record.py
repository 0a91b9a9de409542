"""The runs of a site as their hosts keep them: who they are, how far they got, whether they are well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.runs import health, shapes, state
from neuraltalk_provision.runs.history import History, Part, merge
from neuraltalk_provision.runs.state import RunState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, answers, playbook

POINTS = 300
"""Of how many losses is told of a run where nothing else is asked."""


@dataclass(frozen=True)
class Site:
    """What the hosts told: their runs, the latest first, and the cards that are free on each, the best first."""

    runs: tuple[RunState, ...]
    free: Mapping[str, tuple[Mapping[str, Any], ...]]
    queued: Mapping[str, tuple[str, str]]
    """{run: (the host that Slurm was asked from, its job)}, of all that was given to Slurm."""


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
    return find(run_id, found or runs(settings, limit, quiet), host)


def whole(
    wanted: Sequence[RunState],
    settings: Settings,
    quiet: float = health.QUIET,
    *,
    points: int = POINTS,
    samples: int = 20,
) -> tuple[RunState, ...]:
    """All that is known of these runs, in their order; of each about so many losses and samples.

    Raises HostError where a host can't be asked, or has one of its runs no more.
    """
    here = [run for run in wanted if run.conductor or not run.job]
    if not here:
        return tuple(wanted)
    hosts, ids = sorted({run.host for run in here}), sorted({run.id for run in here})
    known = {
        (run.host, run.id): run for run in ask(settings, hosts, quiet, points=points, samples=samples, ids=ids).runs
    }
    gone = [f"{run.id} on {run.host}" for run in here if (run.host, run.id) not in known]
    if gone:
        raise HostError(
            f"{', '.join(gone)}: its directory was removed while it was asked for",
            advice="Run the same command again.",
        )
    return tuple(known.get((run.host, run.id), run) for run in wanted)


def ask(
    settings: Settings,
    limit: Sequence[str] = (),
    quiet: float = health.QUIET,
    *,
    ids: Sequence[str] = (),
    points: int = POINTS,
    samples: int = 20,
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
            "provision_points": points,
            "provision_samples": samples,
            **({"provision_ids": list(ids)} if ids else {}),
        },
    )
    told, failures = answers.of(playbook.run(request).told, "stack_run", shape=shapes.Listed)
    if failures:
        raise advice.host_error(failures, advice="To go on without some: --limit '!HOST'.")
    found = [state.read(host, said, quiet) for host, result in told.items() for said in result["runs"]]
    queued = [(host, entry) for host, result in told.items() for entry in result["queued"]]
    here = {run.id for run in found if not run.elsewhere}
    found = [run for run in found if not run.elsewhere or run.id not in here]
    known = {run.id for run in found}
    found += [state.queued(host, entry) for host, entry in queued if entry["id"] not in known]
    return Site(
        runs=tuple(sorted(found, key=lambda run: (-run.started, run.host, run.id))),
        free={host: tuple(result["free"]) for host, result in told.items()},
        queued={entry["id"]: (host, str(entry["job"])) for host, entry in queued},
    )


def find(run_id: str, all_runs: Sequence[RunState], host: str = "") -> RunState:
    """The run of that id. Raises UsageError where there is none, or one on several hosts."""
    found = [run for run in all_runs if run.id == run_id and host in ("", run.host)]
    if not found:
        there = ", ".join(run.id for run in all_runs[:10]) or "none"
        raise UsageError(f"no host has a run called {run_id}; there are: {there}")
    if len(found) > 1:
        hosts = ", ".join(run.host for run in found)
        raise UsageError(f"{run_id} is a run on {hosts}", advice="Say which with --host.")
    return found[0]


def line(run: RunState, all_runs: Sequence[RunState]) -> tuple[RunState, ...]:
    """The run and those that it goes back to, the first one first."""
    found = [run]
    while found[0].parent:
        parent = found[0].parent["id"]
        before = [other for other in all_runs if other.id == parent and other.host == run.host]
        if not before or before[0] in found:
            break
        found.insert(0, before[0])
    return tuple(found)


def history(runs_of_line: Sequence[RunState]) -> History:
    """What a line of runs did, in one count of iterations."""
    return merge([Part(run.id, run.progress, run.begins) for run in runs_of_line])
