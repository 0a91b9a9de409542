"""The journal of rollouts: what is recorded is read again, one controller writes, others read and ask for a pause."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import database, journal, reader
from neuraltalk_provision.fleet.drained_nodes import DrainedNodes
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.reader import Reader
from neuraltalk_provision.fleet.records import LONGEST_REASON, Ending, Options, Outcome, Phase, Rollout, Status, Step
from neuraltalk_provision.site import controller
from tests.unit.rollouts import (
    ME,
    OTHER,
    WAVES,
    digests,
    names,
    nobody_is_dead,
    opened,
    record,
    rollout,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a journal, with what makes a URI hard to write."""
    return tmp_path / "the site's 100% #1? dir" / ".provision" / "journal.sqlite"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1_764_112_380.0

    def __call__(self) -> float:
        return self.seconds


def newest(file: Path) -> Rollout:
    with Journal.read(file) as found:
        rollout = found.rollout()
    assert rollout
    return rollout


def test_rollout_is_read_as_it_was_begun(file: Path) -> None:
    options = Options(waves=WAVES, max_failures="5%", on_failure="rollback", busy="wait", lock="a" * 64)
    early = record("node2", Step.STAGE, Outcome.SET_ASIDE, reason="it is switched off", code="host.unreachable")
    given = rollout(early, hosts=("zeta", "node2", "alpha"), options=options, phase=Phase.STAGE_ONLY)
    with opened(file, now=Clock()) as writing:
        begun = writing.begin(given)
    assert begun.id.startswith("20251125-231300-")
    assert begun == given.model_copy(update={"id": begun.id, "begun": Clock().seconds})
    assert newest(file) == begun
    assert [one.host for one in newest(file).hosts] == ["zeta", "node2", "alpha"]


def test_steps_are_recorded_before_and_after(file: Path) -> None:
    clock = Clock()
    with opened(file, now=clock) as writing:
        writing.begin(rollout())
        clock.seconds = 100.0
        writing.started(["node1", "node2"], Step.STAGE, digests(["node1", "node2"]))
        assert [one.host for one in newest(file).in_doubt()] == ["node1", "node2"]
        clock.seconds = 160.0
        writing.ended("node1", Step.STAGE, Outcome.DONE)
        writing.ended("node2", Step.STAGE, Outcome.FAILED, "no space left", "disk.full")
    found = newest(file)
    assert found.in_doubt() == ()
    one, two = (found.records[host, Step.STAGE] for host in ("node1", "node2"))
    assert (one.outcome, one.reason, one.code, one.started, one.ended) == (Outcome.DONE, "", "", 100.0, 160.0)
    assert (two.outcome, two.reason, two.code) == (Outcome.FAILED, "no space left", "disk.full")
    assert two.inputs == digests(["node2"])["node2"]
    assert found.outcome("node3", Step.STAGE) is None


def test_step_that_is_started_again_replaces_what_was_recorded(file: Path) -> None:
    with opened(file) as writing:
        writing.begin(rollout())
        writing.ended("node1", Step.STAGE, Outcome.FAILED, "once", "x")
        writing.started(["node1"], Step.STAGE, {"node1": "b" * 64})
    again = newest(file).records["node1", Step.STAGE]
    assert (again.outcome, again.reason, again.code, again.ended, again.inputs) == (
        Outcome.STARTED,
        "",
        "",
        None,
        "b" * 64,
    )


def test_host_that_is_set_aside_before_a_step_began_has_a_record(file: Path) -> None:
    with opened(file, now=Clock()) as writing:
        writing.begin(rollout())
        writing.ended_all(Step.ACTIVATE, [Ending(host="node3", outcome=Outcome.SET_ASIDE, reason="busy", code="busy")])
    found = newest(file).records["node3", Step.ACTIVATE]
    assert found.outcome is Outcome.SET_ASIDE
    assert found.started == found.ended == Clock().seconds
    assert found.inputs == digests(["node3"])["node3"]


def test_nothing_at_all_is_recorded_for_no_host(file: Path) -> None:
    with opened(file) as writing:
        begun = writing.begin(rollout())
        writing.started([], Step.STAGE, {})
        writing.ended_all(Step.STAGE, [])
    assert newest(file) == begun


def test_end_of_a_host_of_another_rollout_records_nothing(file: Path) -> None:
    with opened(file) as writing:
        writing.begin(rollout())
        endings = [Ending(host=host, outcome=Outcome.DONE) for host in ("node1", "stranger")]
        with pytest.raises(ValueError, match="does not belong"):
            writing.ended_all(Step.STAGE, endings)
    assert newest(file).records == {}


@pytest.mark.parametrize("status", [Status.FINISHED, Status.ROLLED_BACK])
def test_finished_rollout_is_not_continued(file: Path, status: Status) -> None:
    with opened(file, now=Clock()) as writing:
        writing.begin(rollout())
        assert writing.unfinished()
        writing.finish(status)
        assert writing.unfinished() is None
        with pytest.raises(UsageError, match="no rollout that could be continued"):
            writing.resume()
    assert (newest(file).status, newest(file).ended) == (status, Clock().seconds)


@pytest.mark.parametrize("status", [None, Status.PAUSED, Status.STOPPED])
def test_unfinished_rollout_is_continued_where_it_was(file: Path, status: Status | None) -> None:
    with opened(file) as writing:
        begun = writing.begin(rollout())
        writing.ended("node1", Step.STAGE, Outcome.DONE)
        if status:
            writing.finish(status)
    with opened(file, OTHER) as writing:
        found = writing.resume()
        assert (found.id, found.status, found.ended) == (begun.id, Status.RUNNING, None)
        assert found.outcome("node1", Step.STAGE) is Outcome.DONE
        assert (newest(file).status, newest(file).ended) == (Status.RUNNING, None)
        writing.ended("node2", Step.STAGE, Outcome.DONE)
    assert newest(file).hosts_with(Step.STAGE, Outcome.DONE) == ("node1", "node2")


def test_rollout_that_another_followed_is_not_continued(file: Path) -> None:
    with opened(file) as writing:
        first = writing.begin(rollout())
        second = writing.begin(rollout())
        writing.finish(Status.FINISHED)
        assert writing.unfinished() is None
        assert [(one.id, one.status) for one in writing.rollouts()] == [
            (second.id, Status.FINISHED),
            (first.id, Status.STOPPED),
        ]


def test_rollouts_are_listed_newest_first_with_numbers_and_without_hosts(file: Path) -> None:
    with opened(file) as writing:
        writing.begin(rollout(record("node1", Step.STAGE, Outcome.DONE), record("node2", Step.STAGE, Outcome.DONE)))
        writing.begin(rollout(record("a", Step.GIVE_BACK, Outcome.FAILED), hosts=["a"]))
        second, first = writing.rollouts()
        assert writing.rollouts(1) == (second,)
    assert (first.size, first.counts) == (3, {(Step.STAGE, Outcome.DONE): 2})
    assert (second.size, second.counts) == (1, {(Step.GIVE_BACK, Outcome.FAILED): 1})


def test_rollout_is_found_by_its_id(file: Path) -> None:
    with opened(file) as writing:
        first = writing.begin(rollout())
        writing.begin(rollout())
        assert (writing.rollout(first.id) or Rollout()).id == first.id
        assert writing.rollout("20200101-000000-0000") is None


def test_last_fifty_rollouts_are_kept_and_nothing_of_the_others(file: Path) -> None:
    with opened(file) as writing:
        begun = [writing.begin(rollout(record("node1", Step.STAGE, Outcome.DONE))).id for _ in range(reader.KEPT + 3)]
        assert [one.id for one in writing.rollouts()] == begun[: -reader.KEPT - 1 : -1]
        with database.opened(file, write=False) as connection:
            for table, each in (("rollouts", 1), ("hosts", 3), ("records", 1)):
                (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                assert rows == each * reader.KEPT


def test_rollout_with_a_drain_that_was_not_lifted_is_kept_until_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host was off or left out by --limit in all rollouts since."""
    monkeypatch.setattr(journal, "KEPT", 2)
    with opened(file) as writing:
        first = writing.begin(rollout()).id
        writing.draining({"node1": ["gpu1"]})
        for _ in range(3):
            writing.begin(rollout())
        (left,) = writing.drains()
        assert (left.rollout, left.host, left.node) == (first, "node1", "gpu1")
        writing.undrained([left])
        assert writing.drains() == ()
        writing.begin(rollout())
        assert first not in {one.id for one in writing.rollouts()}


def test_lost_node_stays_recorded_whatever_happens_to_the_other_nodes_of_its_host(file: Path) -> None:
    with opened(file) as writing:
        writing.begin(rollout())
        writing.draining({"node1": ["gpu1", "gpu2", "gpu3"]})
        one, two, three = writing.drains()
        writing.undrained([one, two], lost=True)
        assert writing.drains() == (three,)
        assert drained(file) == (Outcome.STARTED, ("gpu3",), ("gpu1", "gpu2"))
        writing.undrained([three])
        assert drained(file) == (Outcome.LOST, (), ("gpu1", "gpu2"))
        writing.draining({"node1": ["gpu4", "gpu2"]})  # the rollout is continued, and the host is another machine now
        assert drained(file) == (Outcome.STARTED, ("gpu4", "gpu2"), ("gpu1",))
        writing.undrained(writing.drains())
        assert drained(file) == (Outcome.LOST, (), ("gpu1",))


def drained(file: Path) -> tuple[Outcome, tuple[str, ...], tuple[str, ...]]:
    """The outcome of node1's drain, its nodes that wait, and those that are lost."""
    found = newest(file).records["node1", Step.DRAIN]
    nodes = DrainedNodes.of(found.outcome, found.reason)
    return found.outcome, nodes.waiting, nodes.lost


@pytest.mark.parametrize(
    ("outcome", "reason", "nodes"),
    [
        (Outcome.STARTED, "gpu1 gpu2", DrainedNodes(("gpu1", "gpu2"))),
        (Outcome.LOST, "this host was the node gpu1 of Slurm", DrainedNodes()),
        (Outcome.DONE, "", DrainedNodes()),
        (Outcome.STARTED, None, DrainedNodes()),
    ],
)
def test_drains_of_an_older_version_are_read(outcome: Outcome, reason: object, nodes: DrainedNodes) -> None:
    assert DrainedNodes.of(outcome, reason) == nodes


def test_no_name_of_a_node_is_cut_and_none_makes_a_line_of_its_own() -> None:
    many = DrainedNodes(tuple(f"node-{number:04}" for number in range(400)), ("lost",))
    names = DrainedNodes.of(Outcome.STARTED, many.text).waiting
    assert len(many.text) <= LONGEST_REASON
    assert names == many.waiting[: len(names)]
    assert len(names) > 190
    assert DrainedNodes.of(Outcome.STARTED, DrainedNodes(("a\nb", "c")).text).waiting == ("a", "b", "c")


def test_journal_without_a_file_is_empty_and_reading_creates_nothing(file: Path) -> None:
    with Journal.read(file) as found:
        assert (found.unfinished(), found.rollouts(), found.holder(), found.pause_requested()) == (None, (), None, None)
    assert not file.parent.exists()


def test_file_is_private_and_nothing_else_is_left(file: Path) -> None:
    with opened(file):
        pass
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {one.name for one in file.parent.iterdir()} <= {".gitignore", file.name, f"{file.name}-journal"}
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in file.parent.glob(f"{file.name}*"))


@pytest.mark.parametrize("links", [True, False])
def test_journal_is_never_created_over_another(file: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Also on a file system without hard links."""
    if not links:

        def refuse(*_given: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    with opened(file) as writing:
        begun = writing.begin(rollout())
    database.create(file)
    assert newest(file) == begun


def test_what_a_killed_creation_left_is_removed(file: Path) -> None:
    file.parent.mkdir(parents=True)
    (file.parent / f"{file.name}.creating-abcd").write_bytes(b"half")
    with opened(file):
        assert not list(file.parent.glob("*.creating-*"))


def test_secrets_are_in_no_byte_of_the_file(file: Path) -> None:
    def without_known(text: str) -> str:
        return text.replace("knownsecret", "***")

    with opened(file, what="provision site -e knownsecret", redacted=without_known) as writing:
        writing.begin(rollout())
        writing.ended("node1", Step.STAGE, Outcome.FAILED, "login with knownsecret failed")
    with opened(file, what="provision site -e ansible_password=hunter22") as writing:
        writing.resume()
        writing.ended("node1", Step.STAGE, Outcome.FAILED, "https://user:hunter22@example.org/ is down")
        assert "hunter" not in str(writing.holder())
        content = file.read_bytes()
    assert b"knownsecret" not in content
    assert b"hunter22" not in content


def test_second_controller_is_refused_with_who_since_when_and_for_what(file: Path) -> None:
    with opened(file, ME, what="provision site --activate", now=Clock()) as writing:
        writing.begin(rollout())
        with pytest.raises(UsageError) as caught, opened(file, OTHER):
            pass
        assert "pid 71 on ctl1 (machine 0123456789abcdef0123456789abcdef)" in caught.value.message
        assert 'since 2025-11-25 23:13:00 UTC, for "provision site --activate"' in caught.value.message
        assert "--take-over" in caught.value.advice
        writing.ended("node1", Step.STAGE, Outcome.DONE)
    with opened(file, OTHER) as writing:
        assert (writing.holder() or pytest.fail()).holder == OTHER
    with Journal.read(file) as found:
        assert found.holder() is None


def test_one_process_cannot_lock_the_journal_twice(file: Path) -> None:
    with opened(file), pytest.raises(UsageError, match="another controller"), opened(file):
        pass


def test_dead_controller_is_replaced(file: Path) -> None:
    with opened(file, ME) as writing:
        writing.begin(rollout())
        with opened(file, OTHER, lambda name: name == ME) as taking:
            assert taking.resume().status is Status.RUNNING


def test_controller_that_was_replaced_records_nothing_more_and_does_not_release_the_lock(file: Path) -> None:
    with contextlib.ExitStack() as ends_last:
        with opened(file, ME) as first:
            first.begin(rollout())
            other = ends_last.enter_context(opened(file, OTHER, take_over=True))
            with pytest.raises(UsageError, match="taken over this site: pid 88 on ctl2"):
                first.ended("node1", Step.STAGE, Outcome.DONE)
        assert (other.holder() or pytest.fail()).holder == OTHER
        assert other.resume().records == {}


def test_lock_is_released_after_an_error_too(file: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(file):
        raise KeyboardInterrupt
    with Journal.read(file) as found:
        assert found.holder() is None


def test_two_processes_at_once_are_one_controller_and_one_that_is_refused(file: Path) -> None:
    words = (
        "import sys; from pathlib import Path; from neuraltalk_provision.errors import UsageError\n"
        "from neuraltalk_provision.fleet.journal import Journal; from neuraltalk_provision.site import controller\n"
        "try:\n"
        "    with Journal.open(Path(sys.argv[1]), controller.name(), controller.is_dead, what='provision site'):\n"
        "        print('mine', flush=True); input()\n"
        "except UsageError as error: print(error.message, flush=True)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", words, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [(one, one.stdout.readline().strip()) for one in both if one.stdout]
    (mine,) = [one for one, line in said if line == "mine"]
    (refused,) = [line for _, line in said if line != "mine"]
    assert f"pid {mine.pid} on " in refused
    mine.kill()
    for one in both:
        one.communicate()
    with opened(file, controller.name(), controller.is_dead) as writing:
        assert writing.holder()


def test_pause_is_requested_by_another_process_and_seen_by_the_controller(file: Path) -> None:
    with opened(file) as writing:
        writing.begin(rollout())
        assert writing.pause_requested() is None
        asked = Journal.request_pause(file, "ops on ctl1\x1b", nobody_is_dead, now=Clock())
        assert asked.holder == ME
        found = writing.pause_requested()
        assert found
        assert (found.by, found.since) == ("ops on ctl1\\x1b", Clock().seconds)


@pytest.mark.parametrize("is_killed", [True, False])
def test_request_to_pause_is_for_the_controller_that_works_and_ends_with_it(file: Path, is_killed: bool) -> None:
    with contextlib.suppress(ZeroDivisionError), opened(file) as writing:
        writing.begin(rollout())
        Journal.request_pause(file, "ops", nobody_is_dead)
        if is_killed:
            with opened(file, OTHER, take_over=True):
                Journal.request_pause(file, "ops", nobody_is_dead)
                raise ZeroDivisionError
    with opened(file, OTHER, take_over=True) as writing:
        assert writing.pause_requested() is None
        Journal.request_pause(file, "ops", nobody_is_dead)
        writing.resume()
        assert writing.pause_requested()
        writing.begin(rollout())
        assert writing.pause_requested()


def test_nothing_is_paused_where_no_controller_runs(file: Path) -> None:
    with pytest.raises(UsageError, match="nothing to pause"):
        Journal.request_pause(file, "ops", nobody_is_dead)
    with opened(file) as writing:
        with pytest.raises(UsageError, match="nothing to pause"):
            Journal.request_pause(file, "ops", lambda name: name == ME)
        assert writing.pause_requested() is None
    with pytest.raises(UsageError, match="nothing to pause"):
        Journal.request_pause(file, "ops", nobody_is_dead)


def test_reader_sees_one_moment_while_another_writes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two queries of a reader, a writer adds a host and its record: a reader sees both or neither."""
    monkeypatch.setattr(database, "WAIT", 0.1)
    with opened(file) as writing:
        writing.begin(rollout())
        rows, tried = Reader._rows, list[str]()

        def slowly(self: Reader, query: str, *given: Any) -> Any:
            found = rows(self, query, *given)
            if "FROM hosts" in query and self is not writing:
                tried.append(query)
                with contextlib.suppress(UsageError):  # it waits for the reader
                    with writing._writing() as opened_:
                        opened_.execute(
                            "INSERT INTO hosts SELECT rollout, 'late', 9, 1, '', '', '', '' FROM hosts LIMIT 1"
                        )
                    writing.ended("late", Step.STAGE, Outcome.DONE)
            return found

        monkeypatch.setattr(Reader, "_rows", slowly)
        found = newest(file)
        assert {host for host, _ in found.records} <= set(found.by_name())
        assert tried
        writing.ended("node1", Step.STAGE, Outcome.DONE)


def test_threads_of_the_controller_write_and_read_the_same_journal(file: Path) -> None:
    hosts = names(40)
    with opened(file) as writing:
        writing.begin(rollout(hosts=hosts))

        def end(some: list[str]) -> None:
            for host in some:
                writing.ended(host, Step.STAGE, Outcome.DONE)
                writing.pause_requested()

        threads = [threading.Thread(target=end, args=(hosts[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert newest(file).hosts_with(Step.STAGE, Outcome.DONE) == tuple(hosts)


def test_what_was_committed_survives_a_loss_of_power(file: Path) -> None:
    """SQLite promises it with these settings, on a disk that does not lie."""
    with opened(file) as writing:
        connection = writing._connection
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "truncate"
