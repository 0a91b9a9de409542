"""The runs of several hosts as one list, in which each run stands once. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.results.run import RunsResult
from neuraltalk_provision.runs.progress import state
from neuraltalk_provision.runs.progress.state import RunState


def each_machine_once(results: Mapping[str, RunsResult]) -> Mapping[str, RunsResult]:
    """The results without those of further names of a machine: of each machine, the first name is kept."""
    first: dict[str, str] = {}
    return {
        host: results[host]
        for host in sorted(results)
        if not results[host].machine or first.setdefault(results[host].machine, host) == host
    }


def of_hosts(results: Mapping[str, RunsResult], quiet: float) -> tuple[RunState, ...]:
    """All runs and jobs, the latest first. Hosts that share a disk list the runs and the jobs of each other.

    Of several names of a machine, the first one has its runs; what only another one lists is kept too, because a host
    can say that it is the machine of another one. After `quiet` seconds without a new line in its log, a run counts as
    hanging.
    """
    first: dict[tuple[str, str], str] = {}
    listed = [
        state.of(host, run, quiet)
        for host in sorted(results)
        for run in results[host].runs
        if first.setdefault((results[host].machine or host, run.id), host) == host
    ]
    found = [run for run in listed if not run.elsewhere]
    here = {run.id for run in found}
    others = {(run.id, run.elsewhere): run for run in reversed(listed) if run.elsewhere and run.id not in here}
    found += others.values()
    known = {run.id for run in found}
    jobs = {(run.id, run.job): (host, run) for host, result in reversed(list(results.items())) for run in result.queued}
    found += [state.queued(host, run) for host, run in jobs.values() if run.id not in known]
    return tuple(sorted(found, key=lambda run: (-run.started, run.host, run.id)))
