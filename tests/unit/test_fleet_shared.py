"""Rollouts on hosts that share a stack root: what is said of one of them holds for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neuraltalk_provision.fleet import affected, command
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.reader import Past
from neuraltalk_provision.fleet.records import Outcome, Phase, Step
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes
from tests.unit.plans import RECIPE
from tests.unit.test_fleet_command import (
    OFF,
    RUN,
    Fleet,
    carried_out,
    fleet,
    found,
    killed_at,
    newest,
    resumed,
    settings,
)
from tests.unit.test_fleet_evidence import FOUR, advice_of, changed, sharing

__all__ = ["fleet", "settings"]


def listed(outcome: FleetOutcome) -> dict[str, list[str]]:
    """{name of the list: its hosts}."""
    return {name: Path(file).read_text().split() for name, file in outcome.lists.items()}


def with_groups(found: Survey, **groups: tuple[str, ...]) -> Survey:
    """The survey with these groups of hosts."""
    return replace(found, groups={plan.host: groups.get(plan.host, ()) for plan in found.plans})


def test_host_for_which_nothing_is_staged_by_the_other_one_is_set_aside_too(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(sharing("bare", "staged", "staged"), settings, Phase.ACTIVATE)
    assert listed(outcome) == {"done": ["node3", "node4"], "set-aside": ["node1", "node2"]}
    reasons = {one.host: one.reason for one in outcome.aside}
    assert "node1, which builds in the stack root that both share, is set aside" in reasons["node2"]


def test_stack_root_belongs_to_the_first_wave_in_which_one_of_its_hosts_is(fleet: Fleet, settings: Settings) -> None:
    """The group was refused as one without a host, although nothing was wrong with its host."""
    chosen = changed(settings, waves=["canary", "100%"])
    outcome = carried_out(with_groups(sharing("staged", "staged", "staged"), node2=("canary",)), chosen)
    assert [wave.hosts for wave in outcome.waves] == [("node1", "node2"), ("node3", "node4")]


@pytest.mark.parametrize("same", ["", "node1"])
def test_what_nobody_knows_of_a_host_is_not_known_of_those_for_which_it_works(
    fleet: Fleet, settings: Settings, same: str
) -> None:
    """The host was lost while it activated: the new generation can be current for all of them."""
    fleet.breaks, fleet.code = {"activate.yml": {"node1"}}, codes.HOST_HANGS
    advice = advice_of(carried_out(sharing("staged", "staged", "staged", same), settings))
    assert "Which generation is current on node1, node2 is not known." in advice
    assert "is still current and complete" not in advice


def test_host_that_is_built_by_a_host_that_failed_is_not_staged(fleet: Fleet, settings: Settings) -> None:
    fleet.breaks = {"site.yml": {"node1"}}
    outcome = carried_out(sharing("bare", "staged", "bare"), settings, Phase.STAGE_ONLY)
    assert listed(outcome) == {"done": ["node3", "node4"], "failed": ["node1", "node2"]}
    assert newest(settings).hosts_with(Step.STAGE, Outcome.FAILED) == ("node1", "node2")


def test_host_on_which_nobody_recorded_the_verification_is_verified_by_the_next_command(
    fleet: Fleet, settings: Settings
) -> None:
    """The controller was killed between the activation on one host and the verification on the other one."""

    def die(name: str) -> None:
        if name == "follow.yml":
            raise SystemExit(9)

    fleet.before = die
    with pytest.raises(SystemExit):
        carried_out(sharing("staged", "staged", "converged"), settings)
    fleet.before, fleet.breaks = lambda _name: None, {"follow.yml": {"node2"}}
    assert not carried_out(sharing("converged", "converged", "converged"), settings).succeeded


def test_host_on_which_the_current_generation_failed_is_tested_again(fleet: Fleet, settings: Settings) -> None:
    """It has the generation that the mirror describes, so that nothing else is to be done there."""
    chosen = changed(settings, waves=["100%"], max_failures=2)
    fleet.breaks = {"activate.yml": {"node1"}}
    assert not carried_out(found("staged", FOUR[:1]), chosen).succeeded
    fleet.breaks, fleet.ran = {"follow.yml": {"node1"}}, []
    advice = advice_of(carried_out(found("converged", FOUR[:1]), chosen))
    assert advice.startswith("Nothing was changed on node1, where the current generation was only to be tested again.")
    assert "`provision rollback --limit node1` makes the previous one current." in advice
    fleet.breaks = {}
    assert carried_out(found("converged", FOUR[:1]), chosen).succeeded
    assert [hosts for name, hosts in fleet.ran if name != "release.yml"] == [("node1",)] * 2
    assert fleet.activated == []
    fleet.ran.clear()
    assert carried_out(found("converged", FOUR[:1]), chosen).succeeded
    assert fleet.ran == []


@pytest.mark.parametrize("busy", ["skip", "refuse", "wait"])
def test_host_whose_generation_is_only_tested_again_need_not_be_idle(
    fleet: Fleet, settings: Settings, busy: str
) -> None:
    """It was lost after it had confirmed the new generation, and then a training of days began there."""
    chosen = changed(settings, waves=["100%"], max_failures=2, busy=busy, busy_wait=1)
    fleet.breaks, fleet.code = {"activate.yml": {"node1"}}, codes.HOST_HANGS
    assert not carried_out(found("staged", FOUR[:1]), chosen).succeeded
    fleet.breaks, fleet.uses, fleet.ran = {}, {"node1": {"runs": [RUN]}}, []
    now = found("converged", FOUR[:1])
    doubtful = command.unproved(now, chosen)
    assert command.tested_again(now, Phase.FULL, doubtful) == ["node1"]
    assert command.in_use(now, Phase.FULL, chosen, doubtful) == {}
    outcome = carried_out(now, chosen)
    assert (outcome.succeeded, fleet.activated) == (True, [])
    assert fleet.ran[0] == ("follow.yml", ("node1",))


def test_generation_of_a_controller_that_was_killed_is_tested_by_a_new_rollout_too(
    fleet: Fleet, settings: Settings
) -> None:
    """With `return_after: 0` the host does not know that nobody confirmed it, so nothing seemed to be left to do."""
    chosen = changed(settings, waves=["100%"])
    killed_at(fleet, 0)
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR[:1]), chosen)
    fleet.before, fleet.ran = lambda _name: None, []
    for expected in (["follow.yml"], []):
        assert carried_out(found("converged", FOUR[:1]), chosen).succeeded
        assert [name for name, _hosts in fleet.ran if name != "release.yml"] == expected
        fleet.ran.clear()


def test_host_is_not_verified_if_the_one_that_works_for_it_could_not_build(fleet: Fleet, settings: Settings) -> None:
    """It failed twice, the second time after it had waited for a link that nobody renamed."""
    fleet.breaks = {"site.yml": {"node1"}}
    chosen = changed(settings, waves=["100%"], max_failures="100%")
    outcome = carried_out(sharing("bare", "staged", "bare"), chosen)
    assert [failure.host for failure in outcome.site.failures] == ["node1", "node2"]
    assert "follow.yml" not in {name for name, _hosts in fleet.ran}


@pytest.mark.parametrize(
    ("past", "doubtful"),
    [
        (Past(), {"node1", "node2"}),
        (Past({"node1": RECIPE.id}, {"node2": "another"}), {"node2"}),
        (Past({"node1": "another", "node2": RECIPE.id}), {"node1"}),
        (Past({"node1": RECIPE.id, "node2": RECIPE.id}, {"node3": RECIPE.id}), {"node3"}),
        (Past({"node1": RECIPE.id, "node2": RECIPE.id}, {"node3": "another"}), set()),
    ],
)
def test_host_that_shares_a_stack_root_needs_a_proof_of_its_own_that_the_generation_works(
    past: Past, doubtful: set[str]
) -> None:
    """The generation that is current now can be the work of another host. Without that, it was tested by its own."""
    assert affected.unproved(sharing("converged", "converged", "converged").plans, past) == doubtful


def test_host_that_works_for_others_is_tested_if_another_one_activated_while_it_was_off(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"], max_failures="100%")
    killed_at(fleet, 0)
    with pytest.raises(SystemExit):
        carried_out(sharing("staged", "staged", "converged"), chosen)
    fleet.before = lambda _name: None
    off = replace(OFF, host="node1", reason="node1: off")
    resumed(monkeypatch, chosen, replace(found("staged", ["node2"]), aside=(off,)))
    assert fleet.activated == [("node2",)]
    fleet.ran.clear()
    assert carried_out(sharing("converged", "converged", "converged"), chosen).succeeded
    assert [hosts for name, hosts in fleet.ran if name == "follow.yml"] == [("node1",), ("node2",)]


@pytest.mark.parametrize("same", ["", "node1"])
def test_machine_on_which_nobody_has_tested_what_another_one_activated_in_its_stack_root_is_tested(
    fleet: Fleet, settings: Settings, same: str
) -> None:
    """It was off, or is new: the other one had activated the generation, and nothing was to be done any more."""
    chosen = changed(settings, waves=["100%"], max_failures="100%")
    first = found("staged", ["node1", "node3", "node4"], aside=(replace(OFF, host="node2", reason="node2: off"),))
    assert {failure.host for failure in carried_out(first, chosen).aside} == {"node2"}
    now = sharing("converged", "converged", "converged", same)
    fleet.ran, expected = [], set() if same else {"node2"}  # another name of a machine needs no test of its own
    assert command.unproved(now, chosen) == expected
    assert carried_out(now, chosen).succeeded
    assert [(name, hosts) for name, hosts in fleet.ran] == ([] if same else [("follow.yml", ("node2",))])
    fleet.ran.clear()
    assert carried_out(now, chosen).succeeded
    assert fleet.ran == []
