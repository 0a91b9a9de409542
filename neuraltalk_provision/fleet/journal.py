"""The journal of a site's rollouts: every host, step and outcome, written before and after; and the controller's lock.

When a method returns, what it recorded is on the disk: a kill at any moment, and a loss of power, lose nothing that was
recorded and leave nothing half. The file holds no secrets: reasons and commands are redacted.

One controller at a time works with a journal. Its name is in the file, so that another one can say who it is, since
when, and from which machine; the name of a process that has ended is replaced. Anybody else may read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from neuraltalk_provision import redaction
from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.fleet import database, place
from neuraltalk_provision.fleet.drained_nodes import DrainedNodes
from neuraltalk_provision.fleet.reader import KEPT, Reader
from neuraltalk_provision.fleet.records import (
    Drain,
    Ending,
    Holder,
    Outcome,
    Rollout,
    Status,
    Step,
    bounded_reason,
)
from neuraltalk_provision.rules import holder as holders
from neuraltalk_provision.text import visible

_LONGEST_COMMAND = 500
_ADD_HOST = """INSERT INTO hosts (rollout, host, position, wave, target, former, cuda, inputs)
VALUES (:rollout, :host, :position, :wave, :target, :former, :cuda, :inputs)"""
_SET_RECORD = """INSERT OR REPLACE INTO records (rollout, host, step, inputs, outcome, reason, code, started, ended)
VALUES (:rollout, :host, :step, :inputs, :outcome, :reason, :code, :started, :ended)"""
# A step that was not started gets the inputs of its host.
_END = """INSERT INTO records (rollout, host, step, inputs, outcome, reason, code, started, ended)
SELECT rollout, host, :step, inputs, :outcome, :reason, :code, :now, :now
FROM hosts WHERE rollout = :rollout AND host = :host
ON CONFLICT (rollout, host, step) DO UPDATE SET
outcome = excluded.outcome, reason = excluded.reason, code = excluded.code, ended = excluded.ended"""

# A drain that may not be lifted yet is not forgotten.
_FORGET = """DELETE FROM rollouts WHERE number <= ?
AND number NOT IN (SELECT rollout FROM records WHERE step = ? AND outcome = ?)"""
_DRAINED = "SELECT outcome, reason FROM records WHERE rollout = ? AND host = ? AND step = ?"
_SET_DRAIN = "UPDATE records SET outcome = ?, reason = ?, ended = ? WHERE step = ? AND host = ? AND rollout = ?"


class Journal(Reader):
    """A journal that this controller writes. Every method raises UsageError if the file cannot be written."""

    def __init__(
        self,
        file: Path,
        connection: sqlite3.Connection,
        holder: str,
        redacted: Callable[[str], str] = redaction.redact,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(file, connection)
        self._holder = holder
        self._redacted = redacted
        self._now = now
        self._number = 0

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        file: Path,
        holder: str,
        is_dead: Callable[[str], bool],
        *,
        what: str = "provision",
        take_over: bool = False,
        redacted: Callable[[str], str] = redaction.redact,
        now: Callable[[], float] = time.time,
    ) -> Iterator[Journal]:
        """The journal, locked for the controller with the name `holder` until the end of the block.

        It is created if it is missing. `what` is the command, for others; `redacted` removes secrets from texts.
        UsageError if another controller has it, with who, since when and for which command, unless `is_dead` says that
        its process has ended, or `take_over` is true; or if the file cannot be used.
        """
        place.prepare(file)
        if not place.is_there(file):
            database.create(file)
        with database.opened(file, write=True) as connection:
            journal = cls(file, connection, holder, redacted, now)
            journal._acquire(is_dead, what, take_over)
            database.remove_remains(file)
            try:
                yield journal
            finally:
                # If this fails, the next command finds that this process has ended.
                with contextlib.suppress(ProvisionError), journal._writing() as writing:
                    writing.execute("DELETE FROM controller")

    @staticmethod
    @contextlib.contextmanager
    def read(file: Path) -> Iterator[Reader]:
        """The journal for reading, also while a controller writes it. A missing one is read as an empty one."""
        there = place.is_there(file)
        with database.opened(file, write=False) if there else database.empty() as connection:
            yield Reader(file, connection)

    @staticmethod
    def request_pause(
        file: Path, by: str, is_dead: Callable[[str], bool], now: Callable[[], float] = time.time
    ) -> Holder:
        """Ask the running controller to pause, from another process; the controller that was asked.

        UsageError if no controller is running. The controller pauses when it next asks `pause_requested`.
        """
        nothing = UsageError(f"nothing to pause: no controller is working with {file}")
        if not place.is_there(file):
            raise nothing
        with database.opened(file, write=True) as connection:
            journal = Journal(file, connection, "")
            with journal._transaction():
                found = journal.holder()
                if found is None or is_dead(found.holder):
                    raise nothing
                connection.execute("INSERT OR REPLACE INTO pause VALUES (1, ?, ?)", (visible(by[:200]), now()))
        return found

    def begin(self, rollout: Rollout) -> Rollout:
        """Record a new rollout with its hosts, and with its records if it has some; the rollout with its id.

        A former rollout that is still unfinished can no longer be continued. The oldest ones beyond `KEPT` are removed,
        unless they have a drain that was not lifted.
        """
        now = self._now()
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{os.urandom(4).hex()}"
        begun = rollout.model_copy(update={"id": name, "begun": now, "ended": None, "status": Status.RUNNING})
        with self._writing() as writing:
            writing.execute(
                "UPDATE rollouts SET status = ?, ended = ? WHERE status IN (?, ?)",
                (Status.STOPPED, now, Status.RUNNING, Status.PAUSED),
            )
            values = (name, now, begun.options.model_dump_json(), begun.phase, begun.status)
            number = writing.execute(
                "INSERT INTO rollouts (id, begun, options, phase, status) VALUES (?, ?, ?, ?, ?)", values
            ).lastrowid
            assert number
            hosts = (
                {**entry.model_dump(), "rollout": number, "position": place} for place, entry in enumerate(begun.hosts)
            )
            writing.executemany(_ADD_HOST, hosts)
            rows = ({**one.model_dump(mode="json"), "rollout": number} for one in begun.records.values())
            writing.executemany(_SET_RECORD, rows)
            writing.execute(_FORGET, (number - KEPT, Step.DRAIN, Outcome.STARTED))
        self._number = number
        return begun

    def resume(self) -> Rollout:
        """The unfinished rollout, which is running again. UsageError if there is none."""
        with self._writing() as writing:
            found, newest = self.unfinished(), self._newest()
            if found is None or newest is None:
                raise UsageError("there is no rollout that could be continued", advice="Begin one: `provision site`.")
            writing.execute(
                "UPDATE rollouts SET status = ?, ended = NULL WHERE number = ?", (Status.RUNNING, newest["number"])
            )
        self._number = newest["number"]
        return found.model_copy(update={"status": Status.RUNNING, "ended": None})

    def started(self, hosts: Iterable[str], step: Step, digests: Mapping[str, str]) -> None:
        """Record that a step begins on these hosts, before it does; `digests` are the inputs of each host.

        What was recorded of this step before, on these hosts, is replaced.
        """
        common = {"rollout": self._current(), "step": step, "outcome": Outcome.STARTED, "started": self._now()}
        common |= {"reason": "", "code": "", "ended": None}
        rows = [{**common, "host": host, "inputs": digests[host]} for host in hosts]
        with self._writing() as writing:
            writing.executemany(_SET_RECORD, rows)

    def ended(self, host: str, step: Step, outcome: Outcome, reason: str = "", code: str = "") -> None:
        """Record how a step ended on a host; `code` is the code of its failure. For many hosts use `ended_all`."""
        ending = {"host": host, "outcome": outcome, "reason": reason, "code": code}
        self.ended_all(step, [Ending.model_validate(ending)])

    def ended_all(self, step: Step, endings: Iterable[Ending]) -> None:
        """Record how a step ended on many hosts, all or none of them; also on hosts where it was not started."""
        common = {"rollout": self._current(), "step": step, "now": self._now()}
        rows = [
            {
                **common,
                "host": one.host,
                "outcome": one.outcome,
                "reason": bounded_reason(one.reason, self._redacted),
                "code": one.code,
            }
            for one in endings
        ]
        with self._writing() as writing:
            if writing.executemany(_END, rows).rowcount != len(rows):
                raise ValueError("a step ended on a host that does not belong to the rollout")

    def draining(self, nodes: Mapping[str, Sequence[str]]) -> None:
        """Record, before it is done, that these nodes of Slurm are drained: {host: the names of its nodes}.

        Nodes that a host was before in this rollout, when its name was that of another machine, stay recorded.
        """
        common = {"rollout": self._current(), "step": Step.DRAIN, "outcome": Outcome.STARTED, "started": self._now()}
        common |= {"inputs": "", "code": "", "ended": None}
        with self._writing() as writing:
            rows = []
            for host, names in nodes.items():
                left = self._drained(self._current(), host).drained(names)
                rows.append({**common, "host": host, "reason": left.text})
            writing.executemany(_SET_RECORD, rows)

    def undrained(self, drains: Iterable[Drain], *, lost: bool = False) -> None:
        """Record that these drains are lifted; with `lost`, that nobody looks for them any more.

        The names of lost ones stay in the record of the host when its other drains are lifted.
        """
        with self._writing() as writing:
            for one in drains:
                (number,) = writing.execute("SELECT number FROM rollouts WHERE id = ?", (one.rollout,)).fetchone()
                left = self._drained(number, one.host).without(one.node, lost=lost)
                ended = None if left.waiting else self._now()
                writing.execute(_SET_DRAIN, (left.outcome, left.text, ended, Step.DRAIN, one.host, number))

    def _drained(self, rollout: int, host: str) -> DrainedNodes:
        """The nodes of a host that a rollout has drained."""
        found = self._connection.execute(_DRAINED, (rollout, host, Step.DRAIN)).fetchone()
        return DrainedNodes() if found is None else DrainedNodes.of(found["outcome"], found["reason"])

    def finish(self, status: Status) -> None:
        """Record that the rollout is no longer running, and why."""
        values = (status, self._now(), self._current())
        with self._writing() as writing:
            writing.execute("UPDATE rollouts SET status = ?, ended = ? WHERE number = ?", values)

    def _current(self) -> int:
        assert self._number, "no rollout was begun or continued"
        return self._number

    def _acquire(self, is_dead: Callable[[str], bool], what: str, take_over: bool) -> None:
        command = visible(self._redacted(what))[:_LONGEST_COMMAND]
        with self._transaction() as writing:
            found = self.holder()
            if found is not None and not take_over and not is_dead(found.holder):
                raise UsageError(
                    f"another controller is working on this site: {describe(found)}",
                    advice="Wait until it ends. If it is no longer running, which cannot be determined from here, run "
                    f"the same command with --take-over. Its journal is {self.file}.",
                )
            values = (self._holder, command, self._now())
            writing.execute("INSERT OR REPLACE INTO controller VALUES (1, ?, ?, ?)", values)
            writing.execute("DELETE FROM pause")  # it was for the controller before

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the controller that has the lock. UsageError if another one has taken it over."""
        with self._transaction() as writing:
            found = self.holder()
            if found is None or found.holder != self._holder:
                who = f": {describe(found)}" if found else ""
                raise UsageError(
                    f"another controller has taken over this site{who}",
                    advice="This command has stopped recording. Look at what the other one did before you go on.",
                )
            yield writing

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time, database.explained(self.file):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise


def describe(holder: Holder) -> str:
    """Who works with a journal, since when and for which command, in a sentence."""
    return str(holders.describe(holder.model_dump()))
