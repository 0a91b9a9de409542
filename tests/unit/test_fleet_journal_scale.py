"""The cost of a host in the journal does not depend on how many hosts there are. Counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Ending, Outcome, Status, Step
from tests.unit.rollouts import digests, names, opened, rollout

pytestmark = pytest.mark.slow

SIZES = (100, 1000, 5000)
FLAT = 1.25
"""The most by which the cost per host of two sizes may differ, as a factor; a table is two pages deeper with 5,000."""
SINGLE = 20
"""How many hosts end one by one: each of them is a transaction, with several waits for the disk."""
REASON = "ssh: connect to host node port 22: Connection timed out"

Cost = tuple[float, Counter[str]]
"""Instructions of SQLite's machine, and the statements by their first word."""


def counted(journal: Journal, act: Callable[[], object]) -> Cost:
    steps, words = [0], Counter[str]()

    def count() -> int:
        steps[0] += 1
        return 0

    def note(statement: str) -> None:
        words[statement.split()[0]] += 1

    journal._connection.set_progress_handler(count, 10)
    journal._connection.set_trace_callback(note)
    act()
    journal._connection.set_progress_handler(None, 0)
    journal._connection.set_trace_callback(None)
    return steps[0] * 10, words


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, Cost]]:
    """{what: {number of hosts: its cost}}, in a journal with another rollout of as many hosts."""
    found: dict[str, dict[int, Cost]] = {}
    for size in SIZES:
        hosts, given = names(size), digests(names(size))
        endings = [Ending(host=host, outcome=Outcome.FAILED, reason=REASON) for host in hosts]

        def one_by_one(journal: Journal, hosts: list[str] = hosts, size: int = size) -> None:
            for host in hosts[:: size // SINGLE]:
                journal.ended(host, Step.GIVE_BACK, Outcome.DONE)

        acts: dict[str, Callable[[Journal], object]] = {
            "begin": lambda journal, hosts=hosts: journal.begin(rollout(hosts=hosts)),
            "started": lambda journal, hosts=hosts, given=given: journal.started(hosts, Step.STAGE, given),
            "ended_all": lambda journal, endings=endings: journal.ended_all(Step.STAGE, endings),
            "ended": one_by_one,
            "rollout": lambda journal: journal.rollout(),
            "resume": lambda journal: journal.resume(),
            "finish": lambda journal: journal.finish(Status.STOPPED),
            "pause_requested": lambda journal: journal.pause_requested(),
        }
        file = tmp_path_factory.mktemp(f"{size}") / ".provision" / "journal.sqlite"
        with opened(file) as journal:
            for round_ in ("first", "measured"):
                for what, act in acts.items():
                    cost = counted(journal, lambda act=act, journal=journal: act(journal))
                    if round_ == "measured":
                        found.setdefault(what, {})[size] = cost
    return found


@pytest.mark.parametrize("what", ["begin", "started", "ended_all", "rollout", "resume"])
def test_cost_per_host_is_flat(costs: dict[str, dict[int, Cost]], what: str) -> None:
    each = [cost / size for size, (cost, _) in costs[what].items()]
    assert max(each) <= FLAT * min(each), each


@pytest.mark.parametrize("what", ["ended", "finish", "pause_requested"])
def test_cost_of_one_host_or_of_none_does_not_depend_on_the_others(
    costs: dict[str, dict[int, Cost]], what: str
) -> None:
    each = [cost for cost, _ in costs[what].values()]
    assert max(each) <= FLAT * min(each) + 20, each


def test_all_hosts_of_a_call_are_one_transaction(costs: dict[str, dict[int, Cost]]) -> None:
    for what in ("begin", "started", "ended_all"):
        for size in SIZES:
            _, words = costs[what][size]
            assert (words["BEGIN"], words["COMMIT"]) == (1, 1)
            assert sum(words.values()) <= size + 12
    assert all(words["COMMIT"] == SINGLE for _, words in costs["ended"].values())


def test_space_per_host_is_flat_and_small(tmp_path: Path) -> None:
    each = []
    for size in SIZES[1:]:
        hosts = names(size)
        file = tmp_path / str(size) / ".provision" / "journal.sqlite"
        with opened(file) as journal:
            journal.begin(rollout(hosts=hosts))
            for step in Step:
                journal.started(hosts, step, digests(hosts))
                journal.ended_all(step, [Ending(host=host, outcome=Outcome.DONE) for host in hosts])
        each.append(file.stat().st_size / size)
    assert max(each) <= FLAT * min(each)
    assert max(each) < 1500
