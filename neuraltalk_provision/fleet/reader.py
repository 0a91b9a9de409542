"""Reads a journal: rollouts with their hosts and records, who works with it, and whether a pause is requested.

Each answer is read in one short transaction, so it is from one moment, and no writer waits long for it.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Strict, ValidationError

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import database
from neuraltalk_provision.fleet.drained_nodes import DrainedNodes
from neuraltalk_provision.fleet.records import (
    MOST_HOSTS,
    Drain,
    GenerationId,
    Holder,
    HostEntry,
    HostName,
    Options,
    Outcome,
    Pause,
    Phase,
    Record,
    Rollout,
    Step,
    Summary,
)
from neuraltalk_provision.results.base import Result, problems

KEPT = 50
"""The number of rollouts that a journal keeps, and the most that are listed."""
MOST_RECORDS = MOST_HOSTS * len(Step)

Read = TypeVar("Read", bound=Result)


@dataclass(frozen=True)
class Past:
    """What earlier rollouts left behind, each host as of the newest rollout in which it took part.

    `proved` is {host: the generation} of the hosts whose last activation and verification succeeded, `unproved` that of
    those where it failed, and `begun` that of those where nobody recorded how it ended.
    """

    proved: Mapping[str, str] = field(default_factory=dict)
    unproved: Mapping[str, str] = field(default_factory=dict)
    begun: Mapping[str, str] = field(default_factory=dict)


class _Activation(Result):
    """How the last activation of a host ended, and which generation it got."""

    host: HostName
    outcome: Annotated[Outcome, Strict(False)]
    target: GenerationId


class WentBack(Result):
    """A host of an earlier `provision rollback`, and the generation to which it went or was to go."""

    host: HostName
    target: GenerationId
    phase: Annotated[Phase, Strict(False)]


class _Count(Result):
    """How many hosts have this outcome of a step."""

    step: Annotated[Step, Strict(False)]
    outcome: Annotated[Outcome, Strict(False)]
    hosts: int


class Reader:
    """A journal that is read. Its methods raise UsageError if the file is damaged or cannot be read."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self._connection = connection
        self._one_at_a_time = threading.RLock()

    def unfinished(self) -> Rollout | None:
        """The newest rollout, if it can be continued. An older one cannot: a newer one has worked on the hosts."""
        with self._reading():
            found = self._newest()
            return self._whole(found) if found is not None and self._heading(found).is_unfinished else None

    def rollout(self, name: str = "") -> Rollout | None:
        """The rollout with that id, or the newest; None if there is none."""
        with self._reading() as connection:
            if not name:
                found = self._newest()
            else:
                found = connection.execute("SELECT * FROM rollouts WHERE id = ?", (name,)).fetchone()
            return self._whole(found) if found is not None else None

    def rollouts(self, most: int = KEPT) -> tuple[Summary, ...]:
        """The rollouts without their hosts, the newest first."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM rollouts ORDER BY number DESC LIMIT ?", (min(most, KEPT),))
            return tuple(self._summary(row) for row in found.fetchall())

    def past(self) -> Past:
        """What earlier rollouts left on hosts."""
        with self._reading() as connection:
            # SQLite takes the other columns from the row with the maximum.
            steps = connection.execute(
                "SELECT host, outcome, target, max(rollout) FROM records JOIN hosts USING (rollout, host) "
                "WHERE step = ? GROUP BY host LIMIT ?",
                (Step.ACTIVATE, KEPT * MOST_HOSTS),
            ).fetchall()
        last = [self._read(_Activation, dict(row), "a record") for row in steps]
        return Past(
            {one.host: one.target for one in last if one.outcome is Outcome.DONE},
            {one.host: one.target for one in last if one.outcome in (Outcome.FAILED, Outcome.LOST)},
            {one.host: one.target for one in last if one.outcome is Outcome.STARTED},
        )

    def went_back(self) -> tuple[WentBack, ...]:
        """The hosts of which the last thing that was done, or begun, is `provision rollback`.

        An activation that was given back counts as nothing.
        """
        with self._reading() as connection:
            # As above, the other columns are those of the newest rollout.
            rows = connection.execute(
                "SELECT host, target, phase, max(rollout) FROM records JOIN hosts USING (rollout, host) "
                "JOIN rollouts ON number = rollout WHERE "
                "phase = :rollback AND step = :back AND outcome IN (:done, :lost, :started, :failed) OR "
                "step = :activate AND outcome = :done AND NOT EXISTS (SELECT 1 FROM records AS back WHERE "
                "back.rollout = number AND back.host = records.host AND back.step = :back AND back.outcome = :done) "
                "GROUP BY host LIMIT :most",
                {
                    **{outcome.value: outcome for outcome in Outcome},
                    "rollback": Phase.ROLLBACK,
                    "activate": Step.ACTIVATE,
                    "back": Step.GIVE_BACK,
                    "most": KEPT * MOST_HOSTS,
                },
            ).fetchall()
        found = [self._read(WentBack, dict(row), "a record") for row in rows]
        return tuple(one for one in found if one.phase is Phase.ROLLBACK)

    def drains(self) -> tuple[Drain, ...]:
        """The drains of all rollouts that may not be lifted yet, one for each node."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT id, host, reason FROM records JOIN rollouts ON number = rollout WHERE step = ? AND outcome = ? "
                "LIMIT ?",
                (Step.DRAIN, Outcome.STARTED, KEPT * MOST_HOSTS),
            ).fetchall()
        nodes = ((row, name) for row in rows for name in DrainedNodes.of(Outcome.STARTED, row["reason"]).waiting)
        found = ({"rollout": row["id"], "host": row["host"], "node": name} for row, name in nodes)
        return tuple(self._read(Drain, one, "a drain") for one in found)

    def holder(self) -> Holder | None:
        """The controller that works with the journal, or that did when it was killed; None if there is none."""
        with self._reading() as connection:
            row = connection.execute("SELECT holder, what, since FROM controller").fetchone()
            return self._read(Holder, dict(row), "its controller") if row is not None else None

    def pause_requested(self) -> Pause | None:
        """The request that the running controller pauses."""
        with self._reading() as connection:
            row = connection.execute("SELECT by, since FROM pause").fetchone()
            return self._read(Pause, dict(row), "its request for a pause") if row is not None else None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time, database.explained(self.file):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def _newest(self) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(
            "SELECT * FROM rollouts ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return row

    def _heading(self, row: sqlite3.Row) -> Rollout:
        return self._read(Rollout, self._fields(row), "a rollout")

    def _whole(self, row: sqlite3.Row) -> Rollout:
        hosts = self._rows("SELECT * FROM hosts WHERE rollout = ? ORDER BY position LIMIT ?", row, MOST_HOSTS)
        found = self._rows("SELECT * FROM records WHERE rollout = ? LIMIT ?", row, MOST_RECORDS)
        entries = tuple(self._read(HostEntry, dict(one), "a host") for one in hosts)
        records = tuple(self._read(Record, dict(one), "a record") for one in found)
        latest = {(one.host, one.step): one for one in records}
        whole = self._heading(row).model_copy(update={"hosts": entries, "records": latest})
        if contradiction := whole.contradiction:
            raise database.damaged(self.file, contradiction)
        return whole

    def _rows(self, query: str, row: sqlite3.Row, most: int) -> list[sqlite3.Row]:
        found = self._connection.execute(query, (row["number"], most + 1)).fetchall()
        if len(found) > most:
            raise database.damaged(self.file, f"a rollout has more than {most:,} entries")
        return found

    def _summary(self, row: sqlite3.Row) -> Summary:
        (size,) = self._connection.execute("SELECT count(*) FROM hosts WHERE rollout = ?", (row["number"],)).fetchone()
        rows = self._connection.execute(
            "SELECT step, outcome, count(*) AS hosts FROM records WHERE rollout = ? GROUP BY step, outcome",
            (row["number"],),
        )
        counted = [self._read(_Count, dict(one), "a record") for one in rows.fetchmany(100)]
        counts = {(one.step, one.outcome): one.hosts for one in counted}
        return self._read(Summary, {**self._fields(row), "size": size, "counts": counts}, "a rollout")

    def _fields(self, row: sqlite3.Row) -> dict[str, Any]:
        """The fields of a rollout, with its options as an object."""
        try:
            return {**dict(row), "options": Options.model_validate_json(row["options"])}
        except ValidationError as error:
            raise self._wrong("the options of a rollout", error) from error

    def _read(self, shape: type[Read], fields: Mapping[str, Any], what: str) -> Read:
        try:
            return shape.model_validate(fields)
        except ValidationError as error:
            raise self._wrong(what, error) from error

    def _wrong(self, what: str, error: ValidationError) -> UsageError:
        """The error for a part of the journal: a newer version has further words for what is done, and how it ended."""
        found = error.errors(include_url=False)
        words = [str(one["input"]) for one in found if one["type"] in ("enum", "literal_error")]
        if len(words) == len(found) and all(re.fullmatch(r"[a-z][a-z_]{0,39}", word) for word in words):
            return database.newer(self.file, f"this one does not know {', '.join(words)} in {what}")
        return database.damaged(self.file, f"{what} is not as expected: {problems(error)}")
