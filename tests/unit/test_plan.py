"""Plans: one data file for each kind of host, in data/hosts."""

from __future__ import annotations

import copy

import pytest

from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.plan import plan
from tests.unit.plans import HOSTS, RECIPE, planned


@pytest.mark.parametrize("kind", HOSTS)
def test_plan_is_what_the_state_of_the_host_asks_for(kind: str) -> None:
    decided, expect = planned(kind), HOSTS[kind]["expect"]
    assert list(decided.builds) == expect["builds"]
    assert decided.stages == expect["stages"]
    assert decided.activates == expect["activates"]
    assert decided.changes == (expect["stages"] or expect["activates"])
    assert decided.take_over == expect.get("take_over", False)
    reasons = {step.component: step.why for step in decided.steps if step.build}
    assert reasons.items() >= expect.get("why", {}).items()


@pytest.mark.parametrize("kind", HOSTS)
def test_every_reason_not_to_begin_is_given_and_no_other(kind: str) -> None:
    refusals, expected = planned(kind).refusals, HOSTS[kind]["expect"].get("refusals", [])
    assert len(refusals) == len(expected), refusals
    for refusal, words in zip(refusals, expected, strict=True):
        assert refusal.startswith("node1")
        assert words in refusal


def test_plan_as_json_says_what_is_built_kept_and_left_out() -> None:
    told = planned("half-built").as_json()
    assert [entry["component"] for entry in told["build"]] == ["nn", "weights"]
    assert told["keep"] == ["packages", "account", "torch"]
    assert told["left_out"] == ["scorer"]
    assert (told["generation"], told["current"], told["activate"]) == (RECIPE.id, "", True)
    assert len(told["refusals"]) == 1


def test_generation_sealed_before_manifests_is_sealed_again() -> None:
    state = copy.deepcopy(HOSTS["converged"]["state"])
    state["stack"]["generations"][RECIPE.id]["manifest"] = False
    decided = plan("node1", HostState.model_validate(state), RECIPE)
    assert (decided.builds, decided.stages, decided.activates) == ((), True, False)
    state["stack"]["generations"][RECIPE.id]["manifest"] = True
    assert not plan("node1", HostState.model_validate(state), RECIPE).stages
