"""What was seen of a host: what uses it now, and the nodes of Slurm that it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from neuraltalk_provision.results.host_use import ActiveRun, HostUse, Node, SlurmNodes, UsingProcess
from neuraltalk_provision.rules.texts import moment


@dataclass(frozen=True)
class Use:
    """One thing that uses a host: `kind`, its id or pid, its user, and since when; empty if it is not known.

    `host` is the machine, if it is another one that shares the stack root.
    """

    kind: Literal["run", "program", "process", "job", "unknown"]
    what: str
    user: str = ""
    since: str = ""
    host: str = ""

    def as_text(self) -> str:
        """The use in words."""
        known = [f"of {self.user}"] * bool(self.user) + [f"since {self.since}"] * bool(self.since)
        name = self.what if self.kind == "unknown" else f"{self.kind} {self.what}"
        where = f" on {self.host}, which shares its stack root" if self.host else ""
        return f"{name} ({', '.join(known)}){where}" if known else f"{name}{where}"


@dataclass(frozen=True)
class Seen:
    """What was last seen of a host, at the time `at`. `failure` says why it could not be asked.

    `slurm` is None if Slurm is not used for the host. `machines` are the other ones that share its stack root: what is
    activated is activated for them too, so all of them must be idle, and their nodes are drained like its own.
    """

    host: str
    at: float
    use: HostUse | None = None
    slurm: SlurmNodes | None = None
    failure: str = ""
    machines: tuple[Seen, ...] = ()

    def uses(self) -> tuple[Use, ...]:
        """All that uses the host; empty if it is idle."""
        if self.failure or self.use is None:
            unknown = Use("unknown", f"it is not known what uses the host: {self.failure or 'it did not answer'}")
            return (unknown, *self._others())
        return (*_own(self.use), *(_of_slurm(self.slurm) if self.slurm else ()), *self._others())

    def _others(self) -> tuple[Use, ...]:
        return tuple(replace(use, host=one.host) for one in self.machines for use in one.uses())

    @property
    def is_silent(self) -> bool:
        """Whether the host, or a machine that shares its stack root, did not say what uses it."""
        return any(one.use is None for one in (self, *self.machines))

    @property
    def nodes(self) -> dict[str, Seen]:
        """{host: what was seen of it} of those that are nodes of Slurm: the host itself, and its machines."""
        return {one.host: one for one in (self, *self.machines) if one.own_nodes}

    @property
    def has_nodes(self) -> bool:
        """Whether the host is a node of Slurm."""
        return bool(self.nodes)

    @property
    def is_drained(self) -> bool:
        """Whether no new job is started on any node that the host is, whoever has drained it."""
        return all(node.drained or node.down for node in self._every_node())

    @property
    def drains(self) -> tuple[str, ...]:
        """The rollouts of our drains on the host."""
        return tuple(sorted({node.rollout for node in self._every_node()} - {""}))

    @property
    def is_unknown(self) -> bool:
        """Whether it is not known which nodes are drained, though a node of the host was drained."""
        every = (self, *self.machines)
        return all(one.slurm is None for one in every) or any(one.unknown_drain for one in every)

    @property
    def to_resume(self) -> dict[str, Seen]:
        """{host: what was seen of it} of those with a drain of ours, or of which that is not known."""
        found = {one.host: one for one in (self, *self.machines) if one.unknown_drain or one._own_drains}
        return found or {self.host: self}

    @property
    def unknown_drain(self) -> str:
        """Why it is not known whether a node of this host alone is drained; empty if it is known."""
        return self.failure or (self.slurm.problem if self.slurm else "")

    @property
    def own_nodes(self) -> tuple[Node, ...]:
        """The nodes of Slurm for this host, without those of machines that share its stack root."""
        return self.slurm.nodes if self.slurm else ()

    @property
    def _own_drains(self) -> bool:
        return any(node.rollout for node in self.own_nodes)

    def _every_node(self) -> Iterator[Node]:
        for one in (self, *self.machines):
            yield from one.own_nodes

    @property
    def remarks(self) -> tuple[str, ...]:
        """A remark for each node that somebody else has taken out of service."""
        return tuple(
            f"node {node.name} is {node.state}: {node.reason or 'without a reason'}"
            + (f" ({node.by}, {node.since})" if node.by else "")
            + "; it stays so"
            for node in self._every_node()
            if node.is_foreign
        )


def _own(use: HostUse) -> tuple[Use, ...]:
    """What uses the host, as its own module returns it."""
    found = [_run(run) for run in use.runs]
    found += [_process("program", entry) for entry in use.programs]
    found += [_process("process", entry) for entry in use.processes]
    if use.hidden:
        found.append(Use("unknown", f"{use.hidden} processes on cards that cannot be seen from the host"))
    if use.more:
        found.append(Use("unknown", f"{use.more} more"))
    return (*found, *(Use("unknown", f"it is not known what uses the host: {problem}") for problem in use.problems))


def _run(run: ActiveRun) -> Use:
    how = "" if run.state == "running" else f", {run.state}"
    return Use("run", f"{run.id}{how}" + (f", pid {run.pid}" if run.pid else ""), run.user, _when(run.since))


def _process(kind: Literal["program", "process"], entry: UsingProcess) -> Use:
    where = " on a card" if kind == "process" else " of the stack"
    return Use(kind, f"{entry.name}{where}, pid {entry.pid}", entry.user, _when(entry.since))


def _of_slurm(slurm: SlurmNodes) -> tuple[Use, ...]:
    """The jobs on the nodes of a host. A node can be in use without a job that we may see (PrivateData)."""
    if slurm.problem:
        return (Use("unknown", f"it is not known whether a job of Slurm is on the host: {slurm.problem}"),)
    found: dict[str, Use] = {}
    for node in slurm.nodes:
        found |= {job.id: Use("job", f"{job.id} ({job.name}), {job.state}", job.user, job.since) for job in node.jobs}
        if not node.idle and not node.jobs:
            found[node.name] = Use("unknown", f"node {node.name} is {node.state}")
    return tuple(found.values())


def _when(since: int | None) -> str:
    return moment(since) if since else ""
