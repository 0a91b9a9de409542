"""verify: evidence decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.output import Output
from neuraltalk_provision.results.checks import Check
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, host_state, operations, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan
from tests.unit.plans import RECIPE, planned, state_of

QUIET = Output(as_json=True)
GOOD = Check(name="stamps", passed=True, saw="3 stamps as in the recipe")
BAD = Check(name="load nn", passed=False, saw="nn does not load")


def telling(monkeypatch: pytest.MonkeyPatch, results: PlayResults) -> list[playbook.Request]:
    requests: list[playbook.Request] = []

    def run(request: playbook.Request) -> playbook.Outcome:
        requests.append(request)
        return playbook.Outcome(0, results)

    monkeypatch.setattr(playbook, "run", run)
    return requests


def proved(host: str, *checks: Check, generation: str = RECIPE.id) -> tuple[str, str, dict[str, Any]]:
    seen = [check.model_dump() for check in checks]
    return (host, "stack_verify", {"checks": seen, "generation": f"/opt/neuraltalk/generations/{generation}"})


def verdict_of(monkeypatch: pytest.MonkeyPatch, plan: HostPlan, *results: Any) -> operations.Verdict:
    telling(monkeypatch, PlayResults(results=results))
    (verdict,) = operations.verify([plan], Settings(), QUIET)
    return verdict


@pytest.mark.parametrize("kind", ["no-space", "busy", "not-writable", "aarch64"])
def test_reason_not_to_begin_is_a_failed_check(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    plan = planned(kind)
    verdict = verdict_of(monkeypatch, plan, proved("node1", GOOD))
    assert plan.refusals
    assert not verdict.passed
    assert [check.saw for check in verdict.checks if check.name == "plan"] == [
        words.removeprefix("node1: ") for words in plan.refusals
    ]


def test_card_of_which_nothing_can_be_told_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "node1: it is not clear whether it has a card: NVIDIA-SMI has failed"
    plan = replace(planned("converged"), refusals=(words,))
    verdict = verdict_of(monkeypatch, plan, proved("node1", GOOD))
    assert not verdict.passed
    assert verdict.checks[0] == Check(name="plan", passed=False, saw=words.removeprefix("node1: "))


def test_what_tells_that_there_is_no_card_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = verdict_of(monkeypatch, replace(planned("converged"), cards="no nvidia-smi"), proved("node1", GOOD))
    assert verdict.passed
    assert verdict.checks[0] == Check(name="cards", passed=True, saw="no nvidia-smi")


@pytest.mark.parametrize("current", ["ffff0000ffff0000", ""])
def test_generation_that_is_current_and_not_the_recipes_is_a_failed_check(
    monkeypatch: pytest.MonkeyPatch, current: str
) -> None:
    plan = replace(planned("converged"), current=current)
    verdict = verdict_of(monkeypatch, plan, proved("node1", GOOD, generation=current) if current else ("node1", "", {}))
    assert not verdict.passed
    (check,) = (check for check in verdict.checks if check.name == "generation")
    assert not check.passed
    found = f"generation {current}" if current else "no generation"
    assert f"{found} is current, but the mirror and the settings describe generation {RECIPE.id}" in check.saw


def test_generation_is_the_one_that_was_verified_and_not_the_one_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = verdict_of(monkeypatch, planned("converged"), proved("node1", GOOD, generation="ffff0000ffff0000"))
    assert "ffff0000ffff0000 is current" in verdict.checks[0].saw
    assert not verdict.passed


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, "more than 700,000 characters"),
        ({"generation": "/g"}, "checks: field required"),
        ({"checks": [GOOD.model_dump()]}, "generation: field required"),
        ({"checks": [{"name": "stamps", "saw": "x"}], "generation": "/g"}, "checks.0.passed: field required"),
        ({"checks": [{**GOOD.model_dump(), "passed": "yes"}], "generation": "/g"}, "checks.0.passed"),
        ({"checks": "all of them", "generation": "/g"}, "checks: "),
    ],
)
def test_verdict_that_is_not_as_expected_is_that_hosts_failure(
    monkeypatch: pytest.MonkeyPatch, result: dict[str, Any], words: str
) -> None:
    telling(monkeypatch, PlayResults(results=(proved("node1", GOOD), ("node2", "stack_verify", result))))
    one, two = operations.verify([planned("converged"), planned("converged", "node2")], Settings(), QUIET)
    assert (one.passed, two.passed) == (True, False)
    assert words in two.failure


def test_host_that_cannot_be_asked_has_failed_and_the_others_are_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = Failure("node1", "Ask", "gone", True, code="host.unreachable")
    heard = HostStates({"node2": state_of("converged")}, (gone,))
    monkeypatch.setattr(host_state, "read_each", lambda *given: heard)
    monkeypatch.setattr(converge, "open_mirror", lambda _: {})
    monkeypatch.setattr(converge, "planner", lambda *_, **__: lambda unpacks: (planned("converged", "node2"),))
    telling(monkeypatch, PlayResults(results=(proved("node2", GOOD),)))
    one, two = operations.verify_hosts(Settings(), (), QUIET)
    assert (one.host, one.passed, two.host, two.passed) == ("node1", False, "node2", True)
    assert "cannot be reached by SSH" in one.failure


def test_host_passes_by_what_was_seen_and_fails_where_nothing_was(monkeypatch: pytest.MonkeyPatch) -> None:
    results = (
        proved("node1", GOOD),
        proved("node2", GOOD, BAD),
        proved("node3"),
    )
    failures = (
        Failure("node2", "Prove", "1 of 2 checks failed"),
        Failure("node4", "Prove", "Connection refused", True, code="host.unreachable"),
    )
    telling(monkeypatch, PlayResults(results=results, failures=failures))
    plans = [planned("converged", f"node{number}") for number in range(1, 6)]
    verdicts = {verdict.host: verdict for verdict in operations.verify(plans, Settings(), QUIET)}
    assert {host for host, verdict in verdicts.items() if verdict.passed} == {"node1"}
    assert verdicts["node2"].checks[-2:] == (GOOD, BAD)
    assert verdicts["node3"].failure == "the host returned no checks"
    assert "cannot be reached by SSH" in verdicts["node4"].failure
    assert verdicts["node5"].failure == "the host returned no checks"


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
