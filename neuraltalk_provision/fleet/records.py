"""What the journal records of a rollout: its options, its hosts, and the latest outcome of each step. Pure.

Every field has a limit, and every object is checked when it is made, also when it is read from the journal.
All times are in seconds since 1970, by the clock of the controller. They are shown; no decision depends on them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from neuraltalk_provision import redaction, wave_rules
from neuraltalk_provision.host_names import named
from neuraltalk_provision.results.base import Many, Result, Text
from neuraltalk_provision.results.host_use import Node
from neuraltalk_provision.settings import Busy, OnFailure
from neuraltalk_provision.text import visible

LONGEST_REASON = 2000
"""The most characters of a reason."""
MOST_HOSTS = 100_000
"""The most hosts of a rollout."""
_MARGIN = 4000
"""Characters beyond the limit that are searched for secrets too: a secret can begin before the cut."""

_CODE = r"[a-z0-9_.]{0,64}"
HOST_NAME = r"^[^\x00-\x1f\x7f]{1,255}$"
"""The pattern of the name of a host."""
HostName = Annotated[str, Field(pattern=HOST_NAME)]
GENERATION = r"^([0-9A-Za-z][0-9A-Za-z._-]{0,99})?$"
"""The pattern of the id of a generation, or of none."""
GenerationId = Annotated[str, Field(pattern=GENERATION)]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Code = Annotated[str, Field(pattern=rf"^{_CODE}$")]
Time = Annotated[float, Field(allow_inf_nan=False, ge=0, le=250_000_000_000)]
"""In seconds since 1970, until the year 9892: later ones cannot be shown in every time zone."""
RolloutId = Annotated[str, Field(pattern=r"^([0-9]{8}-[0-9]{6}-[0-9a-f]{8})?$")]


class Step(StrEnum):
    """What is done on a host. GIVE_BACK returns it to its former generation and cuDNN.

    DRAIN is beside the others: it is done when our drain of the nodes of Slurm that the host is has been lifted.
    Its reason has the names of the nodes (drained_nodes.py).
    """

    STAGE = "stage"
    ACTIVATE = "activate"
    GIVE_BACK = "give_back"
    DRAIN = "drain"


class Outcome(StrEnum):
    """How a step ended. STARTED: it has not ended, or its controller ended before it could record how. LOST: it failed,
    and the host did not show in which state it is.
    """

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    SET_ASIDE = "set_aside"


class Phase(StrEnum):
    """Which part of the work a rollout does."""

    FULL = "full"
    STAGE_ONLY = "stage_only"
    ACTIVATE = "activate"
    ROLLBACK = "rollback"
    """`provision rollback`: its only step is GIVE_BACK, and `target` is the earlier generation."""


class Status(StrEnum):
    """Where a rollout stands. RUNNING is also what a killed controller leaves; STOPPED: its budget was spent."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    ROLLED_BACK = "rolled_back"


UNFINISHED = frozenset({Status.RUNNING, Status.PAUSED, Status.STOPPED})
"""What can be continued."""


class WaveEntry(Result):
    """A wave of the rollout: its number, which counts from 1, its name, the pause after it, and whether all its hosts
    must succeed. Which hosts it has is in the entries of the hosts.
    """

    number: Annotated[int, Field(ge=1, le=10_000)]
    name: Text
    pause: Annotated[int, Field(ge=0)] = 0
    """In seconds."""
    strict: bool = False


def _readable_size(text: str) -> str:
    if text:
        wave_rules.read_size(text, "it")
    return text


class Options(Result):
    """What the rollout was asked for, as the user wrote it.

    It is stored as JSON: a field that is added later needs a default, and one that a version does not know is ignored.
    """

    waves: Annotated[Many[WaveEntry], Field(max_length=100)] = ()
    max_failures: Annotated[Text, AfterValidator(_readable_size)] = ""
    on_failure: OnFailure = "stop"
    busy: Busy = "refuse"
    lock: Digest = ""
    """The SHA-256 of the mirror's lock."""
    stack_root: Text = ""
    total: Annotated[int, Field(ge=0)] = 0
    """The number of all hosts of the command, of which max_failures is a part; 0 if an older version wrote it."""


class HostEntry(Result):
    """A host of a rollout: its wave, the generation that it gets, and the one that it had.

    `target` and `inputs` are empty while nothing is known of the host, `former` while it has no current generation.
    """

    host: HostName
    wave: Annotated[int, Field(ge=0, le=10_000)]
    target: GenerationId = ""
    former: GenerationId = ""
    cuda: Text = ""
    """The CUDA directory in which the rollout swaps cuDNN; empty if it swaps none."""
    inputs: Digest = ""
    """What the work on this host was planned for; see `inputs`."""


class Record(Result):
    """The latest outcome of one step on one host.

    `ended` is None while the step has not ended. `started` equals `ended` if the step ended before it was started.
    """

    host: HostName
    step: Annotated[Step, Strict(False)]
    inputs: Digest = ""
    outcome: Annotated[Outcome, Strict(False)]
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""
    code: Code = ""
    started: Time
    ended: Time | None = None


class Drain(Result):
    """A drain of ours that may not be lifted yet: of this node of Slurm, which a host was, for this rollout."""

    rollout: RolloutId
    host: HostName
    node: Text

    def is_lifted(self, nodes: Iterable[Node]) -> bool:
        """Whether one of these nodes, as Slurm shows them now, is this one, and does not have this drain."""
        shown = [node.rollout for node in nodes if node.name == self.node]
        return bool(shown) and self.rollout not in shown


def _known_code(code: object) -> object:
    return code if not isinstance(code, str) or re.fullmatch(_CODE, code) else ""


def _readable(reason: object) -> object:
    return visible(reason) if isinstance(reason, str) else reason


Ended = Literal[Outcome.DONE, Outcome.FAILED, Outcome.LOST, Outcome.SET_ASIDE]
"""The outcomes of a step that ended."""


class Ending(Result):
    """How a step ended on one host, for the journal. A host can have returned any reason and any code.

    The reason can be of any length; control characters become visible. A code that has not the form of one is dropped.
    """

    host: HostName
    outcome: Ended
    reason: Annotated[str, BeforeValidator(_readable)] = ""
    code: Annotated[Code, BeforeValidator(_known_code)] = ""


class Holder(Result):
    """The controller that works with the journal: its name, for which command, and since when."""

    holder: Text
    what: Text
    since: Time


class Pause(Result):
    """The request that the running controller pauses: by whom, and when."""

    by: Text
    since: Time


class Heading(Result):
    """What is known of a rollout without its hosts.

    `id` is empty until the rollout is in the journal. `ended` is when its status changed to another one than RUNNING.
    """

    id: RolloutId = ""
    begun: Time = 0.0
    ended: Time | None = None
    options: Options = Options()
    phase: Annotated[Phase, Strict(False)] = Phase.FULL
    status: Annotated[Status, Strict(False)] = Status.RUNNING

    @property
    def is_unfinished(self) -> bool:
        """Whether it can be continued."""
        return self.status in UNFINISHED


class Summary(Heading):
    """A rollout in a list: the number of its hosts, and how many have which outcome of which step."""

    size: Annotated[int, Field(ge=0, le=MOST_HOSTS)] = 0
    counts: Mapping[tuple[Step, Outcome], int] = {}


class Rollout(Heading):
    """One rollout, with all its hosts in their order, and the latest record of each step of each host."""

    hosts: Annotated[Many[HostEntry], Field(max_length=MOST_HOSTS)] = ()
    records: Mapping[tuple[str, Step], Record] = {}

    def by_name(self) -> dict[str, HostEntry]:
        """{host: its entry}."""
        return {entry.host: entry for entry in self.hosts}

    @property
    def contradiction(self) -> str:
        """Why a host would be left out silently if the rollout were continued, in words; empty if none would be."""
        waves = {wave.number for wave in self.options.waves}
        lost = sorted({host for host, _step in self.records} - self.by_name().keys())
        odd = [entry for entry in self.hosts if waves and entry.wave not in {0, *waves}]
        if lost:
            return f"{named(lost)} has records and is none of the hosts of the rollout {self.id}"
        return f"{odd[0].host} is in wave {odd[0].wave}, which the rollout {self.id} does not have" if odd else ""

    def outcome(self, host: str, step: Step) -> Outcome | None:
        """The outcome of a step on a host; None if the step was never started."""
        found = self.records.get((host, step))
        return found.outcome if found else None

    def hosts_with(self, step: Step, *outcomes: Outcome | None) -> tuple[str, ...]:
        """The hosts on which the step has one of these outcomes, in the order of the rollout."""
        return tuple(entry.host for entry in self.hosts if self.outcome(entry.host, step) in outcomes)

    def touched(self) -> tuple[str, ...]:
        """The hosts that got the new generation by this rollout, or may have got it."""
        return self.hosts_with(Step.ACTIVATE, Outcome.DONE, Outcome.STARTED, Outcome.LOST)

    def in_doubt(self) -> tuple[Record, ...]:
        """The steps of which nobody knows how they ended: what the host has must be asked of the host."""
        return tuple(one for one in self.records.values() if one.outcome in (Outcome.STARTED, Outcome.LOST))


def inputs(recipe: str, address: str) -> str:
    """The digest of what the work on a host depends on: the id of its recipe, and the address of its connection.

    The address should contain all that says which machine it is: connection, host, port and user.
    """
    return hashlib.sha256(json.dumps([recipe, address]).encode()).hexdigest()


def bounded_reason(text: str, redacted: Callable[[str], str] = redaction.redact) -> str:
    """The reason of a failure for the journal: without secrets and control characters, its middle left out if long."""
    half = LONGEST_REASON // 2 - 40
    if len(text) <= 2 * (half + _MARGIN):
        return _shortened(visible(redacted(text)), half, 0)
    left_out = len(text) - 2 * (half + _MARGIN)
    first, last = text[: half + _MARGIN], text[-(half + _MARGIN) :]
    return _shortened(visible(redacted(first)) + visible(redacted(last)), half, left_out)


def _shortened(text: str, half: int, left_out: int) -> str:
    if not left_out and len(text) <= LONGEST_REASON:
        return text
    return f"{text[:half]} ... ({left_out + len(text) - 2 * half:,} characters left out) ... {text[-half:]}"
