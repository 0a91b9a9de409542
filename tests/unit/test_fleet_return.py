"""The way back of a rollout: hosts in use, hosts that were lost while they were activated, and shared stack roots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from neuraltalk_provision.fleet import command
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome
from neuraltalk_provision.fleet.records import Outcome, Phase, Status, Step
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes
from tests.unit.plans import RECIPE, planned
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
from tests.unit.test_fleet_evidence import FOUR, Nodes, changed, nodes, old, sharing

__all__ = ["fleet", "nodes", "settings"]


def used_before_its_return(
    fleet: Fleet, settings: Settings, *, ends: bool = False, pauses: bool = False, **more: Any
) -> FleetOutcome:
    """node3 fails, so that the others return; a training has begun on node1 since it was activated.

    When the others have returned, the training `ends`, or somebody asks for a pause.
    """
    chosen = changed(settings, waves=[2, "100%"], on_failure="rollback", max_failures=0, **more)
    fleet.breaks = {"activate.yml": {"node3"}}

    def begin(name: str) -> None:
        if name == "activate.yml" and fleet.activated:
            fleet.uses = {"node1": {"runs": [RUN]}}
        returned = any(playbook == "give_back.yml" for playbook, _hosts in fleet.ran)
        if returned and ends:
            fleet.uses = {}
        if returned and pauses:
            Journal.request_pause(settings.journal, "me", lambda _: False)

    fleet.before = begin
    return carried_out(found("staged", FOUR), chosen.model_copy(update={"busy_poll": 1 if pauses else 0}))


def test_host_does_not_return_under_a_training_and_returns_with_resume(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = used_before_its_return(fleet, settings)
    assert [hosts for name, hosts in fleet.ran if name == "give_back.yml"] == [("node2", "node4")]
    assert (outcome.kept, outcome.status) == (("node1",), Status.STOPPED)
    assert [(one.host, "run r1, pid 7" in one.reason) for one in outcome.aside] == [("node1", True)]
    assert newest(settings).outcome("node1", Step.GIVE_BACK) is Outcome.SET_ASIDE
    fleet.uses, fleet.breaks, fleet.before = {}, {}, lambda _name: None
    again = resumed(monkeypatch, settings, found("staged", FOUR))
    assert (again.returned, again.status) == (("node1", "node2", "node4"), Status.ROLLED_BACK)


def test_return_waits_for_a_training_if_so_wanted(fleet: Fleet, settings: Settings) -> None:
    outcome = used_before_its_return(fleet, settings, busy="wait", ends=True)
    assert [hosts for name, hosts in fleet.ran if name == "give_back.yml"] == [("node2", "node4"), ("node1",)]
    assert (outcome.returned, outcome.status) == (("node1", "node2", "node4"), Status.ROLLED_BACK)


def test_request_to_pause_ends_the_wait_of_a_return(fleet: Fleet, settings: Settings) -> None:
    outcome = used_before_its_return(fleet, settings, busy="wait", pauses=True)
    assert (outcome.kept, outcome.status) == (("node1",), Status.STOPPED)
    assert "somebody asked for a pause" in outcome.aside[0].reason


def test_node_of_slurm_is_drained_while_its_host_returns(nodes: Nodes, settings: Settings) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    nodes.breaks = {"activate.yml": {"node2"}}
    assert carried_out(old("node1", "node2"), chosen).returned == ("node1",)
    assert nodes.changes[-4:-1] == [("drained", "node1"), ("give_back.yml", "node1"), ("resumed", "node1")]
    assert nodes.drained == {}


def lost_while_activated(fleet: Fleet, settings: Settings, **more: Any) -> FleetOutcome:
    """node3 hangs in the middle of its activation: nobody knows whether the new generation is current there."""
    fleet.breaks, fleet.code = {**fleet.breaks, "activate.yml": {"node3"}}, codes.HOST_HANGS
    return carried_out(found("staged", FOUR), changed(settings, waves=[1, "100%"], max_failures=0, **more))


def test_host_that_was_lost_while_it_was_activated_returns_too(fleet: Fleet, settings: Settings) -> None:
    outcome = lost_while_activated(fleet, settings, on_failure="rollback")
    assert ("give_back.yml", ("node1", "node2", "node3", "node4")) in fleet.ran
    assert (outcome.returned, outcome.kept) == (("node1", "node2", "node3", "node4"), ())
    assert outcome.status == Status.ROLLED_BACK
    assert newest(settings).outcome("node3", Step.ACTIVATE) is Outcome.LOST


def test_rollout_is_not_rolled_back_while_a_lost_host_may_have_the_new_generation(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.breaks = {"give_back.yml": {"node3"}}
    outcome = lost_while_activated(fleet, settings, on_failure="rollback")
    assert (outcome.returned, outcome.kept) == (("node1", "node2", "node4"), ("node3",))
    assert outcome.status == Status.STOPPED
    assert sum(name == "give_back.yml" for name, _hosts in fleet.ran) == 1
    fleet.breaks = {}
    again = resumed(monkeypatch, settings, found("staged", FOUR))
    assert fleet.ran[-2] == ("give_back.yml", ("node3",))
    assert (again.kept, again.status) == ((), Status.ROLLED_BACK)
    assert again.why == f"the rollout {again.rollout} was on its way back, and not all of its hosts had returned"


def test_lost_host_on_which_the_new_generation_is_current_is_tested_when_the_rollout_is_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost_while_activated(fleet, settings).status == Status.STOPPED
    fleet.breaks = {}
    outcome = resumed(monkeypatch, settings, found("converged", FOUR))
    assert ("follow.yml", ("node3",)) in fleet.ran
    assert (outcome.site.activated, outcome.status) == (tuple(FOUR), Status.FINISHED)


def test_hosts_in_whose_activation_the_controller_was_killed_return_although_the_rollout_did_not_come_to_them_again(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, 3, "100%"], on_failure="rollback", max_failures=0)
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), chosen)
    fleet.before, fleet.breaks = lambda _name: None, {"site.yml": {"node4"}}
    now = found("staged", FOUR)
    outcome = resumed(monkeypatch, chosen, replace(now, plans=(*now.plans[:3], planned("bare", "node4"))))
    assert outcome.returned == ("node1", "node2", "node3")


def test_host_that_shares_a_stack_root_has_returned_if_the_other_one_returned_while_it_was_off(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}}
    fleet.before = lambda name: killed() if name == "give_back.yml" else None
    with pytest.raises(SystemExit):
        carried_out(sharing("staged", "staged", "staged"), chosen)
    fleet.before, fleet.breaks = lambda _name: None, {}
    now = sharing("staged", "staged", "staged")
    off = replace(OFF, host="node2", reason="node2: the host cannot be reached by SSH")
    first = resumed(monkeypatch, chosen, replace(now, aside=(off,)))
    assert (first.returned, first.kept, first.status) == (("node1", "node4"), ("node2",), Status.STOPPED)
    again = resumed(monkeypatch, chosen, now)
    assert (again.returned, again.kept, again.status) == (("node1", "node2", "node4"), (), Status.ROLLED_BACK)


def killed() -> None:
    raise SystemExit(9)


@pytest.mark.parametrize("phase", [Phase.FULL, Phase.ACTIVATE])
def test_hosts_return_although_the_mirror_describes_another_generation_now(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    """Somebody corrected the mirror before they continued the way back. A host with another address is left alone."""
    chosen = changed(settings, waves=[2, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}}
    fleet.before = lambda name: killed() if name == "give_back.yml" else None
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), chosen, phase)
    fleet.before, fleet.breaks = lambda _name: None, {}
    corrected = replace(RECIPE, id="ffffffffffffffff")
    now = replace(found("staged", FOUR), plans=tuple(planned("bare", host, corrected) for host in FOUR))
    outcome = resumed(monkeypatch, chosen, replace(now, addresses={**now.addresses, "node2": "other"}))
    assert (outcome.returned, outcome.kept) == (("node1", "node4"), ("node2",))
    assert "another address for this host" in outcome.aside[0].reason


def test_host_that_had_the_new_generation_already_and_fails_is_lost_until_it_returns(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its activation was confirmed, and nobody recorded it. It is tested again, which does not return it."""
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    nodes.before = lambda name: killed() if name == "resumed" else None
    with pytest.raises(SystemExit):
        carried_out(old("node1", "node2"), chosen)
    nodes.before, nodes.breaks = lambda _name: None, {"follow.yml": {"node1"}, "give_back.yml": {"node1"}}
    outcome = resumed(monkeypatch, chosen, old("node2", done=("node1",)))
    assert (outcome.kept, list(nodes.drained)) == (("node1",), ["node1"])
    assert newest(chosen).outcome("node1", Step.ACTIVATE) is Outcome.LOST
    nodes.breaks = {}
    again = resumed(monkeypatch, chosen, old("node2", done=("node1",)))
    assert (again.returned, again.status, nodes.drained) == (("node1",), Status.ROLLED_BACK, {})


def test_host_in_whose_activation_the_controller_was_killed_is_not_forgotten_because_it_is_in_use_later(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=1)
    fleet.before = lambda name: killed() if name == "activate.yml" and len(fleet.activated) else None
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), chosen)
    fleet.uses, fleet.breaks = {"node2": {"runs": [RUN]}}, {"activate.yml": {"node3"}}
    fleet.before = lambda name: killed() if name == "give_back.yml" else None
    with pytest.raises(SystemExit):
        resumed(monkeypatch, chosen, found("staged", FOUR))
    assert newest(chosen).outcome("node2", Step.ACTIVATE) is Outcome.LOST
    fleet.before, fleet.uses = lambda _name: None, {}
    outcome = resumed(monkeypatch, chosen, found("staged", FOUR))
    assert set(outcome.returned) >= {"node1", "node2", "node4"}


WORDS = {
    "rollback": "1 of its 2 hosts that got the new generation have not returned, and may still have it: node1",
    "stop": "2 of its 4 hosts are activated",
}


@pytest.mark.parametrize("on_failure", WORDS)
def test_new_rollout_says_before_it_begins_what_it_gives_up(
    fleet: Fleet, settings: Settings, on_failure: Literal["stop", "rollback"], capsys: pytest.CaptureFixture[str]
) -> None:
    """After it, `--resume` can no longer continue the earlier one: its hosts then keep what they have."""
    chosen = changed(settings, waves=[2, "100%"], on_failure=on_failure, max_failures=0)
    fleet.breaks = {"activate.yml": {"node3", "node4"}, "give_back.yml": {"node1"}}
    carried_out(found("staged", FOUR), chosen)
    fleet.ran, fleet.breaks, survey = [], {}, found("staged", FOUR)
    told = [command.given_up(survey, chosen)]
    fleet.before = lambda _name: told.append(capsys.readouterr().err)
    command.carry_out(survey, Phase.FULL, chosen, Output())
    planned_words, real = (" ".join(text.split()) for text in told[:2])
    assert planned_words in real
    assert WORDS[on_failure] in real and "`provision site --resume`" in real
    assert command.given_up(survey, chosen) == ""  # this one has finished


def test_nothing_is_given_up_without_a_new_rollout_or_beside_a_controller_that_works(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), settings)
    assert command.given_up(found("converged", FOUR), settings) == ""
    assert "is not finished" in command.given_up(found("staged", FOUR), settings)
    with Journal.open(settings.journal, "me", lambda _: False, what="provision site"):
        monkeypatch.setattr("neuraltalk_provision.site.controller.is_dead", lambda _: False)
        assert command.given_up(found("staged", FOUR), settings) == ""
