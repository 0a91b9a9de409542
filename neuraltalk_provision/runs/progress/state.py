"""A run as its host tells of it: a row of a list, or all that is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from neuraltalk_provision.runs.progress import fields, health, log
from neuraltalk_provision.runs.progress.health import Health
from neuraltalk_provision.runs.progress.log import Progress


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


def read(host: str, said: Mapping[str, Any], quiet: float = health.QUIET) -> RunState:
    """A run as its host told of it, a row or all; what cannot be made sense of is a run that is `unreadable`."""
    if "unreadable" in said:
        return _unreadable(host, said, str(said["unreadable"]))
    try:
        return _state(host, said, quiet)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _unreadable(host, said, f"what its host says of it makes no sense: {type(error).__name__} {error}")


def _state(host: str, said: Mapping[str, Any], quiet: float) -> RunState:
    progress = log.progress(said["progress"])
    arguments = fields.mapping(said.get("arguments"))
    return RunState(
        host=host,
        id=said["id"],
        program=fields.text(said["program"]),
        arguments=fields.mapping(said.get("arguments_given")) or arguments,
        started=fields.whole(said["started"]) or 0,
        card=fields.mapping(said["card"]) or None,
        log=fields.text(said["log"]),
        tail=fields.text(said.get("tail")),
        progress=progress,
        health=_health(said, progress, quiet),
        samples=tuple(fields.mappings(said["samples"])),
        checkpoints=tuple(_files(said.get("checkpoints"))),
        models=tuple(_files(said.get("models"))),
        asked=arguments,
        begun=said["begun"] is True,
        begins=fields.whole(said.get("begins")) or 0,
        parent=fields.mapping(said["parent"]) or None,
        stage=fields.text(said["stage"]),
        until=fields.mapping(said["until"]) or None,
        needs=fields.text(said["needs"]),
        sweep=fields.text(said["sweep"]),
        conductor=fields.text(said["conductor"]),
        job=fields.text(said["job"]),
        unit=fields.text(said["unit"]),
        scorer=fields.mapping(said.get("scorer")) or None,
        elsewhere=fields.text(said["elsewhere"]),
    )


def _health(said: Mapping[str, Any], progress: Progress, quiet: float) -> Health:
    """Its health; of a run whose record is damaged only that."""
    damaged = [str(name) for name in said.get("damaged") or []]
    if damaged and not said.get("running"):
        return Health("unreadable", f"{', '.join(damaged)} in {said.get('path')} cannot be read")
    return health.assess(said, progress, quiet)


def _files(value: Any) -> list[Mapping[str, Any]]:
    """Those of a list's files that have all that is said of a file."""
    return [
        entry
        for entry in fields.mappings(value)
        if isinstance(entry.get("file"), str)
        and isinstance(entry.get("bytes"), int)
        and isinstance(entry.get("modified"), int | float)
    ]


def _unreadable(host: str, said: Mapping[str, Any], why: str) -> RunState:
    """A run of which no more is known than that it is there."""
    word = Health("unreadable", why)
    return RunState(
        host=host, id=str(said.get("id", "?")), program="", arguments={}, started=0, card=None, log="", tail="",
        progress=Progress(), health=word, conductor="?",
    )  # fmt: skip


def queued(host: str, entry: Mapping[str, Any]) -> RunState:
    """A run that was given to Slurm and of which no node has a directory."""
    job, its = f"job {entry['job']} of Slurm's", str(entry["state"])
    if its in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"):
        word = Health("waiting", f"{job}: {its} ({entry['reason']})")
    elif its == "SILENT":
        word = Health("waiting", f"{job}, and Slurm does not answer: {entry['reason']}")
    elif its.startswith("CANCELLED"):
        word = Health("stopped", f"{job}: {its}")
    else:
        seen = "Slurm knows it no more" if its == "GONE" else f"{its} on {entry['node'] or 'no node'}"
        word = Health("failed", f"{job} left no run on any host: {seen}. See {entry['output']} there")
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
