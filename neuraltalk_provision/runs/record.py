"""The runs of a site as their hosts keep them: who they are, how far they got, whether they are well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.runs import health, log
from neuraltalk_provision.runs.health import Health
from neuraltalk_provision.runs.history import History, Part, merge
from neuraltalk_provision.runs.log import Progress
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook, question

POINTS = 300
"""Of how many losses a list tells."""


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
    samples: tuple[Mapping[str, Any], ...] = ()
    """What the run took, oldest first: time, iteration, cpu (s), pids, and with a card on, used, utilization."""
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    """{file, bytes, modified} of what it wrote."""
    models: tuple[Mapping[str, Any], ...] = ()
    """The models among them, each with its iteration too, in the run's own count."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options as they were asked for; `arguments` are those that the program got."""
    begun: bool = False
    begins: int = 0
    """The iteration of its parent, in the parent's own count, that it started from."""
    parent: Mapping[str, Any] | None = None
    stage: str = ""
    until: Mapping[str, int] | None = None
    needs: str = ""
    sweep: str = ""
    conductor: str = ""
    job: str = ""
    unit: str = ""
    scorer: Mapping[str, Any] | None = None
    elsewhere: str = ""

    def as_json(self) -> dict[str, Any]:
        """The run as `--json` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Site:
    """What the hosts told: their runs, the latest first, and the cards that are free on each, the best first."""

    runs: tuple[RunState, ...]
    free: Mapping[str, tuple[Mapping[str, Any], ...]]
    queued: Mapping[str, tuple[str, str]]
    """{run: (the host that Slurm was asked from, its job)}, of all that was given to Slurm."""


def runs(settings: Settings, limit: Sequence[str] = (), quiet: float = health.QUIET) -> tuple[RunState, ...]:
    """Every run of every host, the latest first. Raises HostError naming the hosts that could not be asked."""
    return ask(settings, limit, quiet).runs


def ask(
    settings: Settings,
    limit: Sequence[str] = (),
    quiet: float = health.QUIET,
    *,
    points: int = POINTS,
    samples: int = 20,
    gpu: str = "none",
    memory: int = 0,
) -> Site:
    """All that the hosts tell of their runs; with `gpu` auto, of the cards too that have so much memory (MiB) free.

    `quiet` is after how many seconds without a line a run is called hanging. Of each run about `points` losses and
    `samples` samples are told. Raises HostError naming the hosts that could not be asked.
    """
    told_of = {"provision_points": points, "provision_samples": samples}
    request = playbook.Request(
        playbook="runs.yml",
        inventory=settings.inventory,
        limit=limit,
        forks=settings.forks,
        variables={
            "provision_stack_root": settings.stack_root,
            "provision_gpu": gpu,
            "provision_memory": memory,
            **told_of,
        },
    )
    told = playbook.run(request).told
    if told.failures:
        raise HostError(
            "\n".join(question.explain(failure) for failure in told.failures),
            advice="To go on without some: --limit '!HOST'.",
        )
    answers = told.result_of("stack_run")
    found = [state(host, said, quiet) for host, result in answers.items() for said in result["runs"]]
    queued = [(host, entry) for host, result in answers.items() for entry in result["queued"]]
    here = {run.id for run in found if not run.elsewhere}
    found = [run for run in found if not run.elsewhere or run.id not in here]
    known = {run.id for run in found}
    found += [_queued(host, entry) for host, entry in queued if entry["id"] not in known]
    return Site(
        runs=tuple(sorted(found, key=lambda run: (-run.started, run.host, run.id))),
        free={host: tuple(result["free"]) for host, result in answers.items()},
        queued={entry["id"]: (host, str(entry["job"])) for host, entry in queued},
    )


def state(host: str, said: Mapping[str, Any], quiet: float = health.QUIET) -> RunState:
    """A run as its host told of it."""
    progress = log.read(said["text"])
    return RunState(
        host=host,
        id=said["id"],
        program=said["program"],
        arguments=said["arguments_given"] or said["arguments"],
        started=int(said["started"]),
        card=said["card"],
        log=said["log"],
        tail=said["tail"],
        progress=progress,
        health=health.judge(said, progress, quiet),
        samples=tuple(said["samples"]),
        checkpoints=tuple(said["checkpoints"]),
        models=tuple(said["models"]),
        asked=said["arguments"],
        begun=said["begun"],
        begins=int(said["begins"]),
        parent=said["parent"],
        stage=said["stage"] or "",
        until=said["until"],
        needs=said["needs"] or "",
        sweep=said["sweep"] or "",
        conductor=said["conductor"] or "",
        job=said["job"] or "",
        unit=said["unit"] or "",
        scorer=said["scorer"],
        elsewhere=said["elsewhere"],
    )


def _queued(host: str, entry: Mapping[str, Any]) -> RunState:
    """A run that was given to Slurm and of which no node has a directory."""
    job, its = f"job {entry['job']} of Slurm's", entry["state"]
    if its in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"):
        word = Health("waiting", f"{job}: {its} ({entry['reason']})")
    elif its == "SILENT":
        word = Health("waiting", f"{job}, and Slurm does not answer: {entry['reason']}")
    elif its.startswith("CANCELLED"):
        word = Health("stopped", f"{job}: {its}")
    else:
        seen = "Slurm knows it no more" if its == "GONE" else f"{its} on {entry['node'] or 'no node'}"
        word = Health(
            "failed", f"{job} left no run on any host: {seen}. See /tmp/neuraltalk-*-{entry['job']}.out there"
        )
    return RunState(
        host=host,
        id=entry["id"],
        program=entry["program"],
        arguments=entry["arguments"],
        started=int(entry["submitted"]),
        card=None,
        log="",
        tail="",
        progress=Progress(),
        health=word,
        job=str(entry["job"]),
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
