"""Drains of nodes: none of ours is forgotten, and no command lifts those of a controller that works."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.fleet import idle, rollback
from neuraltalk_provision.fleet.drains import Drains
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.fleet.records import Drain, Phase, Status
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, controller, inventory_names, playbook
from tests.unit import rollouts
from tests.unit.fleet_model import NoJournal
from tests.unit.plans import planned
from tests.unit.test_fleet_busy import node, seen
from tests.unit.test_fleet_command import OFF, carried_out, fleet, found, killed_at, newest, resumed, settings
from tests.unit.test_fleet_evidence import Nodes, changed, killed_before_a_resume, nodes, old, one_root
from tests.unit.test_fleet_rollback import stack, states

__all__ = ["fleet", "nodes", "settings"]


def killed_when_it_has_drained(nodes: Nodes, survey: Survey, chosen: Settings) -> None:
    """Begin a rollout whose controller is killed after the drains and before the first activation."""
    killed_at(nodes, 0)
    with pytest.raises(SystemExit):
        carried_out(survey, chosen)
    nodes.before = lambda _name: None


def test_command_with_nothing_to_do_lifts_no_drain_of_a_controller_that_works(nodes: Nodes, settings: Settings) -> None:
    """One waits for a training on a node that it drained; another one finds everything staged."""
    chosen = changed(settings, waves=["100%"])
    survey = old("node1", "node2")

    def second(name: str) -> None:
        if name == "activate.yml":
            with pytest.raises(UsageError, match="another controller is working on this site"):
                carried_out(survey, chosen, Phase.STAGE_ONLY)
            assert set(nodes.drained) == {"node1", "node2"}

    nodes.before = second
    assert carried_out(survey, chosen).site.activated == ("node1", "node2")


@pytest.mark.parametrize("resumes", [True, False])
def test_drain_that_slurm_did_not_lift_is_looked_for_after_a_rollback_too(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    nodes.breaks, nodes.stuck = {"activate.yml": {"node2"}}, {"node1"}
    outcome = carried_out(old("node1", "node2"), chosen)
    assert (outcome.returned, list(nodes.drained)) == (("node1",), ["node1"])
    nodes.stuck = set()
    if resumes:
        assert resumed(monkeypatch, chosen, old("node1", "node2")).status == Status.ROLLED_BACK
    else:  # the lock is as before the rollout again, so nothing is to be done
        assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


def test_node_of_a_host_that_was_lost_is_named_and_looked_for(nodes: Nodes, settings: Settings) -> None:
    """The activation was confirmed, and the host did not hear from its controller again."""
    chosen = changed(settings, waves=["100%"])
    nodes.breaks, nodes.code = {"activate.yml": {"node2"}}, codes.HOST_HANGS
    outcome = carried_out(old("node1", "node2", "node3"), chosen)
    assert list(nodes.drained) == ["node2"]
    assert "its node stays drained" in outcome.drained["node2"]
    nodes.breaks = {}
    assert carried_out(old(done=("node1", "node2", "node3")), chosen).succeeded
    assert nodes.drained == {}


@pytest.mark.parametrize("resumes", [True, False])
def test_drain_is_not_forgotten_because_its_host_was_off_meanwhile(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    killed_before_a_resume(nodes, chosen)
    off = replace(OFF, host="node1", reason="node1: the host cannot be reached by SSH")
    if resumes:
        assert resumed(monkeypatch, chosen, replace(old("node2"), aside=(off,))).status == Status.FINISHED
    else:
        carried_out(replace(old("node2", "node3"), aside=(off,)), chosen)
    assert list(nodes.drained) == ["node1"]
    assert carried_out(old(done=("node1", "node2", "node3")), chosen).succeeded
    assert nodes.drained == {}


def test_request_to_pause_lifts_the_drain_of_a_command_that_was_killed(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"], busy="wait").model_copy(update={"busy_poll": 1})
    nodes.jobs = {"node1": 99}

    def die(_seconds: float) -> None:
        raise SystemExit(9)

    monkeypatch.setattr(idle, "_sleep", die)
    with pytest.raises(SystemExit):
        carried_out(old("node1"), chosen)
    assert list(nodes.drained) == ["node1"]
    monkeypatch.setattr(idle, "_sleep", lambda _: Journal.request_pause(settings.journal, "me", lambda _: False))
    assert resumed(monkeypatch, chosen, old("node1")).status == Status.PAUSED
    assert nodes.drained == {}


def test_node_of_a_host_that_was_lost_and_cannot_be_asked_on_the_way_back_stays_named(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    nodes.breaks, nodes.code = {"activate.yml": {"node2"}}, codes.HOST_HANGS

    def lose(name: str) -> None:
        if name == "activate.yml" and nodes.activated:
            nodes.silent = {"node2"}

    nodes.before = lose
    outcome = carried_out(old("node1", "node2"), chosen)
    assert (outcome.returned, outcome.kept, outcome.status) == (("node1",), ("node2",), Status.STOPPED)
    assert list(nodes.drained) == ["node2"]
    assert "its node stays drained" in outcome.drained["node2"]


def test_drains_that_slurm_does_not_lift_count_against_the_budget(nodes: Nodes, settings: Settings) -> None:
    """Otherwise a rollout takes one node after the other out of service."""
    chosen = changed(settings, waves=[1, 2, "100%"], max_failures=1)
    nodes.stuck = {"node1", "node2", "node3"}
    outcome = carried_out(old("node1", "node2", "node3"), chosen)
    assert nodes.activated == [("node1",), ("node2",)]
    assert (outcome.status, outcome.untouched) == ("stopped", ("node3",))
    assert "2 of 3 hosts failed or were set aside, or Slurm did not lift our drain" in outcome.why
    assert set(nodes.drained) == {"node1", "node2"}


def test_drain_of_a_killed_command_is_named_if_its_host_cannot_be_asked_after_its_activation(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"], max_failures=1)
    killed_when_it_has_drained(nodes, old("node1"), chosen)

    def lose(name: str) -> None:
        if name == "activate.yml":
            nodes.silent, nodes.stuck = {"node1"}, {"node1"}

    nodes.before = lose
    outcome = resumed(monkeypatch, chosen, old("node1"))
    assert list(nodes.drained) == list(outcome.drained) == ["node1"]


def test_machine_that_shares_a_stack_root_is_resumed_when_the_root_has_returned(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new generation failed there, and the former one is current again."""
    chosen = changed(settings, waves=["100%"], on_failure="rollback", max_failures=0)
    nodes.breaks = {"follow.yml": {"node2"}}
    outcome = carried_out(one_root(), chosen)
    assert (outcome.returned, list(outcome.drained), outcome.status) == (("node1",), ["node2"], Status.STOPPED)
    again = resumed(monkeypatch, chosen, one_root())
    assert (again.status, again.drained, nodes.drained) == (Status.ROLLED_BACK, {}, {})


@pytest.mark.parametrize("returns", [True, False])
def test_machine_is_resumed_or_named_although_the_host_that_works_for_it_is_off(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, returns: bool
) -> None:
    """The machine is asked alone then: what is current there says whether its stack root has returned."""
    chosen = changed(settings, waves=["100%"], on_failure="rollback", max_failures=0)
    nodes.breaks = {"follow.yml": {"node2"}, "give_back.yml": set() if returns else {"node1"}}
    carried_out(one_root(), chosen)
    alone = old("node2") if returns else old(done=("node2",))
    again = resumed(monkeypatch, chosen, replace(alone, aside=(replace(OFF, host="node1"),), addresses={"node2": "b"}))
    left = [] if returns else ["node2"]
    assert list(again.drained) == list(nodes.drained) == left
    assert again.status == (Status.ROLLED_BACK if returns else Status.STOPPED)


def test_machine_that_was_off_when_its_stack_root_returned_is_resumed_later(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"], on_failure="rollback", max_failures=0)
    nodes.breaks, both = {"activate.yml": {"node3"}}, one_root()
    three = replace(both, plans=(*both.plans, *old("node3").plans), addresses={**both.addresses, "node3": "c"})

    def die(name: str) -> None:
        if name == "resumed" and any(one[0] == "give_back.yml" for one in nodes.changes):
            raise SystemExit(9)

    nodes.before = die
    with pytest.raises(SystemExit):
        carried_out(three, chosen)
    nodes.before = lambda _name: None
    assert set(nodes.drained) == {"node1", "node2"}
    rest = tuple(plan for plan in three.plans if plan.host != "node2")
    resumed(monkeypatch, chosen, replace(three, plans=rest, aside=(replace(OFF, host="node2"),)))
    assert list(nodes.drained) == ["node2"]
    assert resumed(monkeypatch, chosen, three).status == Status.ROLLED_BACK
    assert nodes.drained == {}


@pytest.mark.parametrize("resumes", [True, False])
def test_drain_that_a_command_left_does_not_stay_because_the_next_one_only_stages(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    """Otherwise the node is out of service until the maintenance window, and nobody knows."""
    chosen = changed(settings, waves=[1, "100%"])
    survey = replace(old("node1", "node2"), plans=tuple(planned("bare", host) for host in ("node1", "node2")))
    survey = replace(survey, plans=tuple(replace(plan, current="aaaa", former="aaaa") for plan in survey.plans))
    killed_when_it_has_drained(nodes, survey, chosen)
    assert list(nodes.drained) == ["node1"]

    def die(name: str) -> None:
        if name == "site.yml" and resumes:
            raise SystemExit(9)

    nodes.before = die
    if resumes:
        nodes.stuck = {"node1"}
        with pytest.raises(SystemExit):
            carried_out(survey, chosen, Phase.STAGE_ONLY)
        nodes.before, nodes.stuck = lambda _name: None, set()
        assert resumed(monkeypatch, chosen, survey).succeeded
    else:
        assert carried_out(survey, chosen, Phase.STAGE_ONLY).succeeded
    assert nodes.drained == {}


def test_node_of_a_host_that_may_not_be_whole_stays_drained_while_it_is_staged(
    nodes: Nodes, settings: Settings
) -> None:
    """Its activation was not confirmed, and the host has not returned yet."""
    chosen = changed(settings, waves=["100%"])
    survey = replace(old("node1"), plans=(replace(planned("bare"), current="aaaa", former="aaaa"),))
    killed_when_it_has_drained(nodes, survey, chosen)
    open_ = replace(survey, plans=tuple(replace(plan, unconfirmed=True) for plan in survey.plans))
    outcome = carried_out(open_, chosen, Phase.STAGE_ONLY)
    assert list(nodes.drained) == list(outcome.drained) == ["node1"]


def test_drain_is_not_forgotten_because_its_host_could_not_be_asked_in_its_wave(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=["100%"], max_failures=1)
    killed_when_it_has_drained(nodes, old("node1", "node2"), chosen)
    nodes.before, nodes.silent = lambda _name: None, {"node1"}
    assert carried_out(old("node1", "node2"), chosen).status == Status.FINISHED
    assert list(nodes.drained) == ["node1"]
    nodes.silent = set()  # and the mirror is as before the first command again
    assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


@pytest.mark.parametrize("why", ["", "stuck", "unconfirmed"])
def test_drain_of_a_killed_command_does_not_stay_because_the_next_one_stops_before_its_host(
    nodes: Nodes, settings: Settings, why: str
) -> None:
    chosen = changed(settings, waves=["100%"], max_failures=0)
    killed_when_it_has_drained(nodes, old("node1", "node2"), chosen)
    assert set(nodes.drained) == {"node1", "node2"}
    nodes.before, nodes.breaks = lambda _name: None, {"activate.yml": {"node1"}}
    nodes.stuck = {"node2"} if why == "stuck" else set()
    now = old("node1", "node2")
    now = replace(now, plans=(now.plans[0], replace(now.plans[1], unconfirmed=why == "unconfirmed")))
    outcome = carried_out(now, changed(settings, waves=[1, "100%"], max_failures=0))
    assert outcome.untouched == ("node2",)
    assert list(nodes.drained) == list(outcome.drained) == (["node2"] if why else [])


def test_drain_is_not_forgotten_because_slurm_does_not_answer(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    killed_before_a_resume(nodes, chosen)
    run = nodes.run

    def silent(request: playbook.Request, *more: object) -> playbook.Outcome:
        found = run(request, *more)
        answers = tuple(
            (host, name, {"used": True, "problem": "slurmctld does not answer", "nodes": []})
            if name == "slurm_node_info"
            else (host, name, result)
            for host, name, result in found.results.results
        )
        return replace(found, results=replace(found.results, results=answers))

    with monkeypatch.context() as patched:
        patched.setattr(playbook, "run", silent)
        outcome = carried_out(old(done=("node1", "node2")), chosen)
    assert "is still drained by us: slurmctld does not answer" in outcome.drained["node1"]
    assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


def test_drain_of_a_killed_command_does_not_stay_because_its_host_cannot_build(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    assert list(nodes.drained) == ["node1"]
    nodes.before, nodes.breaks = lambda _name: None, {"site.yml": {"node1"}}
    builds = replace(planned("bare", "node1"), current="aaaa", former="aaaa")
    assert carried_out(replace(old("node1"), plans=(builds,)), chosen).site.failures
    assert nodes.drained == {}


@pytest.mark.parametrize("fails", [False, True])
def test_drain_of_a_killed_command_does_not_stay_because_hosts_go_back_in_use(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    assert list(nodes.drained) == ["node1"]
    nodes.before = lambda _name: None
    states(monkeypatch, node1=stack("b", "a", a=True, b=True))
    asked = rollback.Request(in_use=True)
    if fails:
        nodes.breaks = {"rollback.yml": {"node1"}}
        with pytest.raises(HostError) as caught:
            rollback.rollback(chosen, asked, Output(as_json=True), plan=False)
        assert list(nodes.drained) == list(caught.value.document["drained"]) == ["node1"]
    else:
        rollback.rollback(chosen, asked, Output(as_json=True), plan=False)
        assert nodes.drained == {}


def test_drain_does_not_stay_because_its_host_has_no_generation_any_more(nodes: Nodes, settings: Settings) -> None:
    """It was lost in its first activation, and returned by itself to no generation: nothing there can be in use."""
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    assert list(nodes.drained) == ["node1"]
    nodes.before = lambda _name: None
    assert carried_out(found("bare", ["node1"]), chosen).succeeded
    assert nodes.drained == {}


def test_drain_whose_answer_was_lost_is_lifted(nodes: Nodes, settings: Settings) -> None:
    """Slurm accepted it and did not answer afterwards, or the connection was lost: the host counts as not drained."""
    nodes.mute = {"node2"}
    outcome = carried_out(old("node1", "node2"), changed(settings, waves=["100%"]))
    assert (outcome.site.activated, [one.host for one in outcome.aside]) == (("node1",), ["node2"])
    assert nodes.drained == {}


class Inventory:
    """The hosts of the inventory, and how often it was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.names, self.asked = frozenset(names), 0
        monkeypatch.setattr(inventory_names, "hosts", self.hosts)

    def hosts(self, _settings: Settings) -> frozenset[str]:
        self.asked += 1
        return self.names


def error_of(outcome: FleetOutcome) -> str:
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    return caught.value.message


@pytest.mark.parametrize("fails", [False, True])
def test_drain_of_a_killed_command_is_lifted_although_its_host_has_another_name_now(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Slurm shows the same node, drained for the same rollout. A drain of another site stays."""
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    Inventory(monkeypatch, "gpu1", "other")
    nodes.drained = {"gpu1": nodes.drained["node1"], "other": "of-another-site"}
    nodes.names = {"gpu1": "node1"}
    nodes.stuck = {"gpu1"} if fails else set()
    outcome = carried_out(old(done=("gpu1", "other")), chosen)
    assert sorted(nodes.drained) == (["gpu1", "other"] if fails else ["other"])
    assert sorted(outcome.drained) == (["gpu1"] if fails else [])
    nodes.stuck = set()
    assert carried_out(old(done=("gpu1", "other")), chosen).succeeded
    assert list(nodes.drained) == ["other"]


@pytest.mark.parametrize("how", ["unknown", "no_nodes", "silent"])
def test_drain_of_a_host_that_shows_no_node_is_named_and_looked_for_again(
    nodes: Nodes, settings: Settings, how: str
) -> None:
    """For example, slurmd was not started after a reboot, or the directory with Slurm's programs is not mounted."""
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    setattr(nodes, how, {"node1"})
    said = error_of(carried_out(old(done=("node1",)), chosen))
    assert "it is not known whether its node of Slurm is still drained by us" in said
    setattr(nodes, how, set())
    assert carried_out(old(done=("node1",)), chosen).succeeded
    assert nodes.drained == {}


@pytest.mark.parametrize("why", ["left out", "off"])
def test_drain_of_a_renamed_host_is_not_given_up_before_every_host_was_asked(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    Inventory(monkeypatch, "node2", "gpu1")
    nodes.drained, nodes.names = {"gpu1": nodes.drained["node1"]}, {"gpu1": "node1"}
    survey = replace(old(done=("node2",)), aside=(replace(OFF, host="gpu1"),) if why == "off" else ())
    assert "gpu1 was not asked, and can be its machine" in carried_out(survey, chosen).drained["node1"]
    assert carried_out(old(done=("node2", "gpu1")), chosen).succeeded
    assert nodes.drained == {}


def test_node_of_the_same_name_in_another_cluster_says_nothing_about_a_drain(nodes: Nodes, settings: Settings) -> None:
    chosen = changed(settings, waves=[1, "100%"], max_failures=2)
    nodes.names, nodes.stuck = {"a1": "node1", "b1": "node1"}, {"a1"}
    assert list(carried_out(old("a1", "b1"), chosen).drained) == ["a1"]
    nodes.stuck = set()
    assert carried_out(old(done=("a1", "b1")), chosen).succeeded
    assert nodes.drained == {}


def test_drain_is_named_although_the_machine_that_has_the_name_now_needs_nothing(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    Inventory(monkeypatch, "node1", "node2")
    nodes.drained, nodes.names = {"gpu1": nodes.drained["node1"]}, {"node1": "node9"}
    outcome = carried_out(old("node2", done=("node1",)), chosen)
    assert (list(outcome.drained), outcome.status) == (["node1"], Status.STOPPED)


def test_node_whose_stack_is_not_whole_stays_drained_under_another_name_too(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"])
    nodes.breaks, nodes.code = {"activate.yml": {"node2"}}, codes.HOST_HANGS
    assert list(carried_out(old("node1", "node2", "node3"), chosen).drained) == ["node2"]
    nodes.breaks = {}
    Inventory(monkeypatch, "node1", "gpu2", "node3")
    nodes.drained, nodes.names = {"gpu2": nodes.drained["node2"]}, {"gpu2": "node2"}
    outcome = carried_out(old(done=("node1", "gpu2", "node3")), chosen)
    assert list(nodes.drained) == ["gpu2"]
    assert "its node stays drained" in outcome.drained["gpu2"]


@pytest.mark.parametrize("lists", [True, False])
def test_drain_is_not_forgotten_because_another_machine_has_the_name_of_its_host_now(
    nodes: Nodes, settings: Settings, lists: bool
) -> None:
    """The machine that was node1 is listed as gpu1 now, or not at all."""
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    nodes.drained = {"gpu1": nodes.drained["node1"]}
    nodes.names = {"gpu1": "node1", "node1": "node9"}
    survey = old(done=("node1", "gpu1") if lists else ("node1",))
    outcome = carried_out(survey, chosen)  # tests node1, and sees only then that it is another machine
    assert (list(nodes.drained), list(outcome.drained)) == (["gpu1"], ["node1"])
    outcome = carried_out(survey, chosen)
    assert (list(nodes.drained), list(outcome.drained)) == (([], []) if lists else (["gpu1"], ["node1"]))


def test_drain_is_not_forgotten_because_the_rollout_continues_on_another_machine_with_that_name(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node of the new machine was recorded in place of the one of the old machine."""
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    nodes.drained = {"gpu1": nodes.drained["node1"]}
    nodes.names = {"gpu1": "node1", "node1": "node9"}
    outcome = resumed(monkeypatch, chosen, old("node1"))
    assert (outcome.site.activated, list(nodes.drained)) == (("node1",), ["gpu1"])
    assert "this host was the node node1 of Slurm" in outcome.drained["node1"]
    assert carried_out(old(done=("node1", "gpu1")), chosen).succeeded
    assert nodes.drained == {}


@pytest.mark.parametrize("how", ["nothing to do", "another rollout", "resume", "rollback"])
def test_drain_of_a_host_that_left_the_inventory_is_named_once_with_the_command_that_lifts_it(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    chosen = changed(settings, waves=["100%"], max_failures=1)
    killed_when_it_has_drained(nodes, old("node1", "node2"), chosen)
    rollout = nodes.drained["node1"]
    Inventory(monkeypatch, "node2")
    states(monkeypatch, node2=stack("b", "a", a=True, b=True))

    def again() -> str:
        if how == "rollback":
            with pytest.raises(HostError) as caught:
                rollback.rollback(chosen, rollback.Request(), Output(as_json=True), plan=False)
            return caught.value.message
        if how == "resume":
            off = replace(OFF, host="node1", reason="node1: the inventory does not have it any more")
            return error_of(resumed(monkeypatch, chosen, replace(old("node2"), aside=(off,))))
        return error_of(carried_out(old("node2") if how == "another rollout" else old(done=("node2",)), chosen))

    said = again()
    assert f"node1: this host was the node node1 of Slurm, which the rollout {rollout} drained" in said
    assert "no host of the inventory is its machine. `scontrol show node node1` shows" in said
    assert "lift the drain: `scontrol update nodename=node1 state=resume`" in said
    if how != "nothing to do":
        assert newest(chosen).status is Status.STOPPED, "it is not called finished"
    assert list(nodes.drained) == ["node1"]
    with Journal.read(chosen.journal) as journal:
        assert journal.drains() == (), "nobody can look for it, and it was said"
    assert carried_out(old(done=("node2",)), chosen).succeeded


def test_host_that_is_only_left_out_is_not_named_and_its_drain_is_lifted_later(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1", "node2"), chosen)
    Inventory(monkeypatch, "node1", "node2")
    assert carried_out(old("node2"), chosen).succeeded
    assert carried_out(old(done=("node2",)), chosen).succeeded
    assert list(nodes.drained) == ["node1"]
    assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


def test_host_that_left_the_inventory_disturbs_no_controller_that_works(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=["100%"])
    killed_when_it_has_drained(nodes, old("node1"), chosen)
    Inventory(monkeypatch, "node2")
    with Journal.open(chosen.journal, "somebody else", lambda _holder: True):
        monkeypatch.setattr(controller, "is_dead", lambda _holder: False)
        assert carried_out(old(done=("node2",)), chosen).succeeded


@pytest.mark.parametrize("slurm", ["auto", "none"])
def test_without_a_recorded_drain_or_without_slurm_nobody_is_asked_for_drains(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch, slurm: str
) -> None:
    chosen = changed(settings, waves=["100%"])
    if slurm == "none":
        killed_when_it_has_drained(nodes, old("node1"), chosen)
    else:
        killed_at(nodes, 0)
        nodes.no_nodes = {"node1"}
        with pytest.raises(SystemExit):
            carried_out(old("node1"), chosen)
    inventory = Inventory(monkeypatch, "node2")
    nodes.before, nodes.ran = lambda _name: None, []
    for names in (("node1", "node2"), ("node2",)):
        assert carried_out(old(done=names), chosen.model_copy(update={"slurm": slurm})).succeeded
    asked = {name for name, _hosts in nodes.ran} - {"follow.yml", "release.yml"}  # node1 is tested again
    assert (asked, inventory.asked) == (set(), 0)


def test_continued_rollback_does_not_record_the_drain_of_the_first_one_again(
    nodes: Nodes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, max_failures=2)
    nodes.breaks, nodes.code, nodes.stuck = {"rollback.yml": {"node1"}}, codes.HOST_HANGS, {"node1"}
    states(monkeypatch, **{name: stack("b", "a", a=True, b=True) for name in ("node1", "node2")})
    with pytest.raises(HostError):
        rollback.rollback(chosen, rollback.Request(), Output(as_json=True), plan=False)
    states(monkeypatch, node2=stack("a", "b", a=True, b=True))
    rollback.rollback(chosen, rollback.Request(limit=("node2",)), Output(as_json=True), plan=False)
    with Journal.read(chosen.journal) as journal:
        assert [one.host for one in journal.drains()] == ["node1"]


class Recorded(NoJournal):
    """A journal with drains of hosts that were two nodes each."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.recorded = {
            Drain(rollout=rollouts.ID, host=host, node=f"{host}-{end}"): False for host in hosts for end in ("a", "b")
        }

    def drains(self) -> tuple[Drain, ...]:
        return tuple(self.recorded)

    def undrained(self, drains: Iterable[Drain], *, lost: bool = False) -> None:
        self.recorded |= dict.fromkeys(drains, lost)


def test_lost_drains_of_many_hosts_are_named_in_order_and_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every drain was compared with every host: 44 seconds for 4,000 hosts."""
    few, many = name_lost(settings, monkeypatch, 250), name_lost(settings, monkeypatch, 2000)
    assert many < 8 * 4 * few, "8 times as many hosts"


def name_lost(settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int) -> float:
    """The seconds of processor time until the drains of so many hosts, of which none is there any more, are named."""
    hosts = rollouts.names(number)
    others = {f"new{one}": seen(node()) for one in range(number)}
    Inventory(monkeypatch, *others)
    journal = Recorded(hosts)
    drains = Drains(settings, Output(as_json=True), journal, ())
    begin = time.process_time()
    drains.note(others)
    drains.name_lost()
    spent = time.process_time() - begin
    assert list(drains.left) == hosts
    assert f"nodename={hosts[7]}-a,{hosts[7]}-b state=resume" in drains.left[hosts[7]]
    assert all(journal.recorded.values())
    return spent
