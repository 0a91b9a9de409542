"""What uses a host and its nodes of Slurm, as host_use_info, slurm_node_info and slurm_node return it. Pure.

Times are in seconds since 1970; those of Slurm are texts as Slurm prints them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuraltalk_provision.results.base import LongWords as LongText
from neuraltalk_provision.results.base import Many, Result, Whole
from neuraltalk_provision.results.base import Words as Text
from neuraltalk_provision.rules import slurm as rules

Short = Annotated[str, Field(max_length=300)]
MOST = 1000
"""The maximum number of entries of a list; the modules return no more."""


class UsingProcess(Result):
    """A process that uses the host; `generation` is that of a program of the stack, `cards` are UUIDs."""

    pid: Whole
    name: Short
    user: Short
    since: Whole | None
    generation: Short = ""
    cards: Annotated[Many[Short], Field(max_length=MOST)] = ()


class ActiveRun(Result):
    """A run that is active; `state` is running, waiting, elsewhere, process or unreadable."""

    id: Short
    state: Short
    pid: Whole | None
    user: Short
    since: Whole | None
    generation: Short
    problem: Text = ""


class HostUse(Result):
    """What uses a host. `hidden` are processes on cards that it cannot see, `more` entries that were left out."""

    names: Annotated[Many[Short], Field(min_length=1, max_length=10)]
    slurm: bool
    """Whether programs of Slurm are installed, or a daemon of a node runs."""
    node: bool = False
    """Whether a daemon of a node of Slurm runs."""
    runs: Annotated[Many[ActiveRun], Field(max_length=MOST)]
    programs: Annotated[Many[UsingProcess], Field(max_length=MOST)]
    processes: Annotated[Many[UsingProcess], Field(max_length=MOST)]
    hidden: Whole
    more: Whole
    problems: Annotated[Many[LongText], Field(max_length=100)]


class HostUseResult(Result):
    """The result of host_use_info."""

    use: HostUse


class Job(Result):
    """A job of Slurm that uses a node."""

    id: Short
    state: Short
    user: Short
    since: Short
    name: Short


class Node(Result):
    """A node of Slurm; `rollout` is the id in the reason of a drain of ours, else empty."""

    name: Short
    state: Short
    drained: bool
    down: bool
    idle: bool
    reason: Text
    by: Short
    since: Short
    rollout: Annotated[str, Field(pattern=f"^({rules.ROLLOUT})?$")]
    jobs: Annotated[Many[Job], Field(max_length=MOST)]
    more: Whole

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else has drained it or taken it out of service."""
        return (self.drained or self.down) and not self.rollout


class SlurmNodes(Result):
    """The nodes that a host is; `problem` says why they are not known."""

    used: bool
    problem: LongText
    nodes: Annotated[Many[Node], Field(max_length=MOST)]


class ChangedNodes(Result):
    """The nodes after slurm_node, and the names of those that somebody else has taken out of service."""

    changed: bool
    nodes: Annotated[Many[Node], Field(max_length=MOST)]
    foreign: Annotated[Many[Short], Field(max_length=MOST)]
