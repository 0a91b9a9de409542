"""verify and rollback: evidence decides, and nothing is touched where one host cannot go back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import operations, playbook, question
from neuraltalk_provision.site.events import Failure, Told
from tests.unit.plans import HOSTS, planned

QUIET = Output(as_json=True)
GOOD = {"name": "stamps", "passed": True, "saw": "3 stamps as the recipe says"}
BAD = {"name": "load nn", "passed": False, "saw": "nn does not load"}


def telling(monkeypatch: pytest.MonkeyPatch, told: Told) -> list[playbook.Request]:
    requests: list[playbook.Request] = []

    def run(request: playbook.Request) -> playbook.Outcome:
        requests.append(request)
        return playbook.Outcome(0, told)

    monkeypatch.setattr(playbook, "run", run)
    return requests


def test_host_passes_by_what_was_seen_and_fails_where_nothing_was(monkeypatch: pytest.MonkeyPatch) -> None:
    results = (
        ("node1", "stack_verify", {"checks": [GOOD]}),
        ("node2", "stack_verify", {"checks": [GOOD, BAD]}),
        ("node3", "stack_verify", {"checks": []}),
    )
    failures = (
        Failure("node2", "Prove", "1 of 2 checks failed"),
        Failure("node4", "Prove", "Connection refused", unreachable=True),
    )
    telling(monkeypatch, Told(results=results, failures=failures))
    plans = [planned("converged", f"node{number}") for number in range(1, 6)]
    verdicts = {verdict.host: verdict for verdict in operations.verify(plans, Settings(), QUIET)}
    assert {host for host, verdict in verdicts.items() if verdict.passed} == {"node1"}
    assert verdicts["node2"].checks == (GOOD, BAD)
    assert verdicts["node3"].failure == "nothing was seen"
    assert "cannot be reached by SSH" in verdicts["node4"].failure
    assert verdicts["node5"].failure == "nothing was seen"


@pytest.mark.parametrize(
    ("verdict", "passed"),
    [
        (operations.Verdict("node1", (GOOD,)), True),
        (operations.Verdict("node1", ()), False),
        (operations.Verdict("node1", (GOOD, BAD)), False),
        (operations.Verdict("node1", (GOOD,), "it broke"), False),
    ],
)
def test_verdict_without_evidence_has_not_passed(verdict: operations.Verdict, passed: bool) -> None:
    assert verdict.passed is passed


def states(monkeypatch: pytest.MonkeyPatch, **hosts: dict[str, Any]) -> None:
    answers = {}
    for host, stack in hosts.items():
        answers[host] = {**copy.deepcopy(HOSTS["converged"]["state"]), "stack": stack}
    monkeypatch.setattr(question, "ask", lambda *given: question.Answers(answers))


def stack(current: str, previous: str | None, **sealed: bool) -> dict[str, Any]:
    return {
        "current": current,
        "previous": previous,
        "generations": {name: {"stamps": {}, "sealed": whole} for name, whole in sealed.items()},
    }


def test_rollback_goes_to_what_was_current_before(monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), node2=stack("c", "b", b=True, c=True))
    requests = telling(monkeypatch, Told())
    moves = operations.rollback(Settings(), (), "", plan=False)
    assert [(move.host, move.before, move.after) for move in moves] == [("node1", "b", "a"), ("node2", "c", "b")]
    assert [list(request.limit) for request in requests] == [["node1", "node2"]]


def test_rollback_plan_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True))
    requests = telling(monkeypatch, Told())
    assert operations.rollback(Settings(), (), "", plan=True)[0].after == "a"
    assert requests == []


@pytest.mark.parametrize(
    ("target", "second", "words"),
    [
        ("", stack("b", None, b=True), "node2: there is no generation before the current one to go back to; whole: b"),
        ("", stack("b", "a", a=False, b=True), "node2: there is no generation a to go back to; whole: b"),
        ("z", stack("b", "a", a=True, b=True), "node1: there is no generation z to go back to; whole: a, b"),
        (
            "a",
            {"current": None, "previous": None, "generations": {}},
            "node2: there is no generation a .*; whole: none",
        ),
    ],
)
def test_rollback_touches_no_host_where_one_cannot_go_back(
    monkeypatch: pytest.MonkeyPatch, target: str, second: dict[str, Any], words: str
) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), node2=second)
    requests = telling(monkeypatch, Told())
    with pytest.raises(UsageError, match=words):
        operations.rollback(Settings(), (), target, plan=False)
    assert requests == []


def test_rollback_that_fails_on_a_host_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True))
    telling(monkeypatch, Told(failures=(Failure("node1", "Return", "No space left on device"),)))
    with pytest.raises(HostError, match="its disk is full"):
        operations.rollback(Settings(), (), "", plan=False)
