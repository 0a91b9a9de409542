"""Controllers that are killed at any moment: what they reported as recorded is in the journal, and nothing half."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Ending, Outcome, Step
from neuraltalk_provision.site import controller
from tests import kill
from tests.unit.rollouts import ME, digests, names, opened, rollout

HOSTS = names(40)
GROUPS = [tuple(HOSTS[first : first + 4]) for first in range(0, len(HOSTS), 4)]
State = tuple[Outcome | None, str]


def write(file: Path, number: int, report: int) -> None:
    """Stage the groups of hosts again and again, and write a line to `report` after each record.

    Each round has a number, which is the reason of its records.
    """
    with Journal.open(file, controller.name(), controller.is_dead, what="provision site") as journal:
        if journal.unfinished():
            journal.resume()
        else:
            journal.begin(rollout(hosts=HOSTS))
        os.write(report, b"begun 0 0\n")
        while True:
            number += 1
            for index, group in enumerate(GROUPS):
                journal.started(group, Step.STAGE, digests(group))
                os.write(report, b"started %d %d\n" % (number, index))
                reason = f"{number} {'x' * 1500}"
                journal.ended_all(
                    Step.STAGE, [Ending(host=host, outcome=Outcome.FAILED, reason=reason) for host in group]
                )
                os.write(report, b"failed %d %d\n" % (number, index))


def killed_writer(file: Path, number: int, reports: int, seconds: float) -> list[tuple[str, int, int]]:
    """What a writer reported as recorded that was killed that time after so many reports."""
    reading, report = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            write(file, number, report)
        os._exit(1)
    os.close(report)
    with os.fdopen(reading, "rb") as told:
        lines = [told.readline() for _ in range(reports)]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        lines += told
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    words = [line.decode().split() for line in lines]
    return [(outcome, int(found), int(group)) for outcome, found, group in words]


def next_of(outcome: str, number: int, group: int) -> tuple[int, State]:
    """(group, state) that the writer records after it reported this."""
    if outcome == "started":
        return group, (Outcome.FAILED, str(number))
    return (0 if outcome == "begun" else (group + 1) % len(GROUPS)), (Outcome.STARTED, "")


def states(file: Path) -> dict[int, State]:
    """The state of each group; all hosts of a group have the same."""
    with opened(file, controller.name(), controller.is_dead) as journal:
        assert journal._connection.execute("PRAGMA integrity_check").fetchall()[0][0] == "ok"
        found = journal.unfinished()
    assert found
    assert [one.host for one in found.hosts] == HOSTS
    each = dict[int, State]()
    for index, group in enumerate(GROUPS):
        records = [found.records.get((host, Step.STAGE)) for host in group]
        (each[index],) = {(one.outcome, one.reason.partition(" ")[0]) if one else (None, "") for one in records}
    return each


@pytest.mark.slow
def test_writer_that_is_killed_at_twenty_moments_loses_nothing_that_it_reported_and_leaves_nothing_half(
    tmp_path: Path,
) -> None:
    """Only the record that it was writing may be there without a report, whole."""
    file, chance = tmp_path / ".provision" / "journal.sqlite", random.Random(7)
    known: dict[int, State] = dict.fromkeys(range(len(GROUPS)), (None, ""))
    number, kinds = 0, set[str]()
    for _ in range(20):
        reports = killed_writer(file, number, chance.randint(1, 30), chance.uniform(0, 0.02))
        for outcome, found, group in reports:
            if outcome != "begun":
                known[group] = (Outcome(outcome), str(found) if outcome == "failed" else "")
                number = max(number, found)
        kinds.add(reports[-1][0])
        group, state = next_of(*reports[-1])
        found_now = states(file)
        assert found_now in (known, {**known, group: state})
        known = found_now
        number += 1
    assert kinds >= {"started", "failed"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_creation_that_is_killed_at_any_change_of_the_file_system_leaves_no_journal_or_a_good_one(
    tmp_path: Path, when: str
) -> None:
    for at in range(1, 9):
        file = tmp_path / f"{at}" / ".provision" / "journal.sqlite"

        def create(file: Path = file) -> None:
            with opened(file) as journal:
                journal.begin(rollout())

        was_killed = kill.killed(at, when, create)
        with opened(file, "other", lambda name: name == ME) as journal:
            assert len(journal.rollouts()) == (0 if was_killed and at < 9 else 1)
            journal.begin(rollout())
        assert not list(file.parent.glob("*.creating-*"))
        if not was_killed:
            break
    else:
        pytest.fail("creation was killed each time")
    assert at > 2


def test_reader_reads_what_was_recorded_before_a_writer_was_killed_while_it_wrote(tmp_path: Path) -> None:
    file = tmp_path / ".provision" / "journal.sqlite"
    killed_writer(file, 0, 9, 0)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException), opened(file, take_over=True) as journal:
            connection = journal._connection
            connection.execute("PRAGMA cache_size=2")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE records SET reason = ?", ("y" * 1900,))
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with Journal.read(file) as found:
        read = found.unfinished()
    assert read
    assert not any(one.reason.startswith("y") for one in read.records.values())
