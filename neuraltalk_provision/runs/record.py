"""The runs of a site as their hosts keep them: who they are, how far they got, whether they are well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.runs import health, log
from neuraltalk_provision.runs.health import Health
from neuraltalk_provision.runs.log import Progress
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook, question


@dataclass(frozen=True)
class RunState:
    """One run on one host; `started` in seconds since 1970, `card` None for one on the processor."""

    host: str
    id: str
    program: str
    arguments: Mapping[str, Any]
    started: int
    card: Mapping[str, Any] | None
    log: str
    tail: str
    progress: Progress
    health: Health

    def as_json(self) -> dict[str, Any]:
        """The run as `--json` prints it."""
        return asdict(self)


def runs(settings: Settings, limit: Sequence[str] = (), quiet: float = health.QUIET) -> tuple[RunState, ...]:
    """Every run of every host, the latest first. Raises HostError naming the hosts that could not be asked.

    `quiet` is after how many seconds without a line a run is called hanging. Of a long log only the end is read.
    """
    request = playbook.Request(
        playbook="runs.yml",
        inventory=settings.inventory,
        limit=limit,
        forks=settings.forks,
        variables={"provision_stack_root": settings.stack_root},
    )
    told = playbook.run(request).told
    if told.failures:
        raise HostError(
            "\n".join(question.explain(failure) for failure in told.failures),
            advice="To go on without some: --limit '!HOST'.",
        )
    found = [
        _state(host, said, quiet) for host, result in told.result_of("stack_run").items() for said in result["runs"]
    ]
    return tuple(sorted(found, key=lambda run: (-run.started, run.host, run.id)))


def _state(host: str, said: Mapping[str, Any], quiet: float) -> RunState:
    progress = log.read(said["tail"])
    return RunState(
        host=host,
        id=said["id"],
        program=said["program"],
        arguments=said["arguments"],
        started=int(said["started"]),
        card=said["card"],
        log=said["log"],
        tail=said["tail"],
        progress=progress,
        health=health.judge(said, progress, quiet),
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
