"""Rollouts: what is said of a host was seen, and no host drops out, also after a kill and on the way back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.fleet import command, running
from neuraltalk_provision.fleet.outcome import raise_failures
from neuraltalk_provision.fleet.records import Outcome, Status, Step
from neuraltalk_provision.fleet.survey import Survey
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import inventory_names, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan, plan
from neuraltalk_provision.site.sharing import Share
from tests.unit.plans import RECIPE, planned, state_of
from tests.unit.test_fleet_command import (
    IDLE,
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

__all__ = ["fleet", "settings"]
FOUR = ["node1", "node2", "node3", "node4"]


def changed(settings: Settings, **more: Any) -> Settings:
    """The settings with other values, read as from provision.yml."""
    given = Settings(mirror=settings.mirror, journal=settings.journal, cache=False, **more)
    return given


def sharing(node1: str, node2: str, others: str, same: str = "") -> Survey:
    """Four hosts in these states; node2 shares the stack root of node1, or is another name of the machine `same`."""
    share = plan("node2", state_of(node2), RECIPE, share=Share("node1", same, "nfs4 on nas:/x"))
    plans: tuple[HostPlan, ...] = (planned(node1, "node1"), share, planned(others, "node3"), planned(others, "node4"))
    return Survey(plans, (), {}, {one.host: one.host for one in plans})


@dataclass
class Nodes(Fleet):
    """Hosts that are nodes of Slurm; `drained` is {host: rollout}. Slurm does not resume those of `stuck`."""

    drained: dict[str, str] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    """Hosts that are drained, and then Slurm does not answer any more."""
    jobs: dict[str, int] = field(default_factory=dict)
    """{host: how often a job is still seen on it}."""
    changes: list[tuple[str, ...]] = field(default_factory=list)
    """What was done, in this order: (state or playbook, hosts...)."""
    silent: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    no_nodes: set[str] = field(default_factory=set)
    """Hosts on which no slurmd runs."""
    names: dict[str, str] = field(default_factory=dict)
    """{host: the name of its node}, if it is another one."""

    def node(self, host: str) -> dict[str, Any]:
        rollout = self.drained.get(host, "")
        state = {"state": "IDLE+DRAIN" if rollout else "IDLE", "drained": bool(rollout), "down": False, "idle": True}
        reason = f"neuraltalk-provision: {rollout}" if rollout else ""
        jobs = [{"id": "7", "name": "train", "user": "me", "state": "RUNNING", "since": ""}] * (
            self.jobs.get(host, 0) > 0
        )
        name = self.names.get(host, host)
        who = {"name": name, "reason": reason, "by": "", "since": "", "rollout": rollout, "jobs": jobs, "more": 0}
        return {**who, **state}

    def run(self, request: playbook.Request, *more: object) -> playbook.Outcome:
        hosts = list(request.limit)
        if request.playbook == "use.yml":
            self.ran.append(("use.yml", tuple(hosts)))
            known = [host for host in hosts if host not in self.silent]
            uses = [
                (host, "host_use_info", {"use": {**IDLE, "slurm": is_node, "node": is_node}})
                for host in known
                for is_node in (host not in self.no_nodes,)
            ]
            nodes = [
                (host, "slurm_node_info", {"used": True, "problem": "", "nodes": [self.node(host)]})
                if host not in self.unknown
                else (host, "slurm_node_info", {"used": False, "problem": "", "nodes": []})
                for host in known
                if host not in self.no_nodes
            ]
            self.jobs = {host: left - 1 for host, left in self.jobs.items()}
            failures = tuple(Failure(host, "Ask", "off", unreachable=True) for host in hosts if host in self.silent)
            return playbook.Outcome(0, PlayResults(results=(*uses, *nodes), failures=failures))
        if request.playbook != "slurm_node.yml":
            self.changes.append((request.playbook, *sorted(hosts)))
            return super().run(request, *more)
        state = request.variables["provision_node_state"]
        self.before(state)
        self.changes.append((state, *sorted(hosts)))
        bad = set(hosts) & (self.stuck if state == "resumed" else self.refusing)
        for host in set(hosts) - bad:
            self.drained.pop(host, None)
            if state == "drained":
                self.drained[host] = request.variables["provision_rollout"]
        bad |= set(hosts) & self.mute
        done = [host for host in hosts if host not in bad]
        return playbook.Outcome(
            0,
            PlayResults(
                results=tuple(
                    (host, "slurm_node", {"changed": True, "nodes": [self.node(host)], "foreign": []}) for host in done
                ),
                failures=tuple(Failure(host, "Resume", "Slurm refuses", code="slurm.refused") for host in bad),
            ),
        )


@pytest.fixture
def nodes(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    found = Nodes()
    monkeypatch.setattr(playbook, "run", found.run)
    monkeypatch.setattr(inventory_names, "hosts", lambda _: None)
    return found


def old(*hosts: str, done: tuple[str, ...] = ()) -> Survey:
    """Hosts that have another generation, and those on which nothing is to be done."""
    plans = tuple(replace(planned("converged", host), current="aaaa", former="aaaa") for host in hosts)
    plans = (*(planned("converged", host) for host in done), *plans)
    return Survey(plans, (), {}, {one.host: one.host for one in plans})


def killed_before_a_resume(nodes: Nodes, settings: Settings) -> None:
    def die(name: str) -> None:
        if name == "resumed":
            raise SystemExit(9)

    nodes.before = die
    with pytest.raises(SystemExit):
        carried_out(old("node1", "node2"), settings)
    nodes.before = lambda _name: None
    assert list(nodes.drained) == ["node1"]


def test_drain_of_a_killed_command_is_lifted_though_the_next_one_has_other_hosts_to_change(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    killed_before_a_resume(nodes, chosen)
    assert carried_out(old("node2", done=("node1",)), chosen).succeeded
    assert nodes.drained == {}


def test_drain_that_slurm_does_not_lift_is_an_error_and_the_next_command_lifts_it(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    nodes.stuck = {"node1"}
    outcome = carried_out(old("node1", "node2"), chosen)
    assert set(outcome.drained) == {"node1"}
    assert outcome.site.activated == ("node1", "node2")
    assert outcome.as_json()["drained"].keys() == {"node1"}
    assert "scontrol update" in advice_of(outcome)
    nodes.stuck = set()
    assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


def test_drain_is_not_forgotten_because_of_a_rollout_of_other_hosts(nodes: Nodes, settings: Settings) -> None:
    chosen = changed(settings, waves=["100%"])
    nodes.stuck = {"node1"}
    assert set(carried_out(old("node1"), chosen).drained) == {"node1"}
    assert carried_out(old("node2"), chosen).succeeded
    assert list(nodes.drained) == ["node1"]
    nodes.stuck = set()
    assert carried_out(old(done=("node1", "node2")), chosen).succeeded
    assert nodes.drained == {}


def test_host_that_cannot_be_asked_for_its_drain_is_an_error(nodes: Nodes, settings: Settings) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    killed_before_a_resume(nodes, chosen)
    nodes.silent = {"node1"}
    outcome = carried_out(old(done=("node1", "node2")), chosen)
    assert not outcome.succeeded
    assert "it is not known whether its node of Slurm is still drained" in outcome.drained["node1"]


def one_root() -> Survey:
    """Two nodes of Slurm that share a stack root; node1 activates for both."""
    plans = tuple(replace(planned("converged", host), current="aaaa", former="aaaa") for host in ("node1", "node2"))
    share = Share("node1", "", "nfs4 on nas:/x")
    return Survey((plans[0], replace(plans[1], share=share, steps=())), (), {}, {"node1": "a", "node2": "b"})


def steps_of(nodes: Nodes) -> list[tuple[str, ...]]:
    """The changes of nodes and generations, in their order."""
    return [one for one in nodes.changes if one[0] in ("drained", "resumed", "activate.yml", "follow.yml")]


@pytest.mark.parametrize(("busy", "jobs"), [("skip", {}), ("wait", {"node2": 2})])
def test_nodes_of_all_machines_that_share_a_stack_root_are_drained_until_it_is_verified_on_all(
    nodes: Nodes, settings: Settings, busy: str, jobs: dict[str, int]
) -> None:
    nodes.jobs = jobs
    chosen = changed(settings, waves=["100%"], busy=busy).model_copy(update={"busy_poll": 0})
    outcome = carried_out(one_root(), chosen)
    assert outcome.site.activated == ("node1", "node2")
    assert steps_of(nodes) == [
        ("drained", "node1", "node2"),
        ("activate.yml", "node1"),
        ("follow.yml", "node2"),
        ("resumed", "node1", "node2"),
    ]
    assert nodes.drained == {}


def test_host_that_activates_for_nodes_of_slurm_need_not_be_one(nodes: Nodes, settings: Settings) -> None:
    nodes.no_nodes = {"node1"}
    assert carried_out(one_root(), changed(settings, waves=["100%"])).succeeded
    assert steps_of(nodes) == [
        ("drained", "node2"),
        ("activate.yml", "node1"),
        ("follow.yml", "node2"),
        ("resumed", "node2"),
    ]


def test_drain_of_one_machine_is_lifted_if_the_other_one_cannot_be_drained(nodes: Nodes, settings: Settings) -> None:
    nodes.refusing = {"node2"}
    outcome = carried_out(one_root(), changed(settings, waves=["100%"]))
    assert nodes.activated == []
    assert {one.host for one in outcome.aside} == {"node1", "node2"}
    assert "Slurm refuses" in outcome.aside[0].reason
    assert steps_of(nodes) == [("drained", "node1", "node2"), ("resumed", "node1")]
    assert nodes.drained == {}


def test_node_of_a_sharing_machine_that_slurm_does_not_resume_is_named(nodes: Nodes, settings: Settings) -> None:
    nodes.stuck = {"node2"}
    outcome = carried_out(one_root(), changed(settings, waves=["100%"]))
    assert set(outcome.drained) == {"node1"}
    assert list(nodes.drained) == ["node2"]
    nodes.stuck = set()
    done = tuple(planned("converged", host) for host in ("node1", "node2"))
    share = replace(done[1], share=Share("node1", "", "nfs4 on nas:/x"))
    assert carried_out(Survey((done[0], share), (), {}, {}), changed(settings, waves=["100%"])).succeeded
    assert nodes.drained == {}


def test_machine_on_which_the_shared_generation_fails_stays_drained_until_it_is_verified(
    nodes: Nodes, settings: Settings
) -> None:
    chosen = changed(settings, waves=["100%"])
    nodes.breaks = {"follow.yml": {"node2"}}
    outcome = carried_out(one_root(), chosen)
    assert list(nodes.drained) == ["node2"]
    assert "its node stays drained" in outcome.drained["node2"]
    done = tuple(planned("converged", host) for host in ("node1", "node2"))
    share = replace(done[1], share=Share("node1", "", "nfs4 on nas:/x"))
    again = Survey((done[0], share), (), {}, {"node1": "a", "node2": "b"})
    outcome = carried_out(again, chosen)
    assert list(nodes.drained) == list(outcome.drained) == ["node2"]
    assert (outcome.succeeded, outcome.status) == (False, Status.STOPPED)
    nodes.breaks = {}
    assert carried_out(again, chosen).succeeded
    assert nodes.drained == {}


def test_host_whose_node_the_other_host_does_not_know_is_not_idle(nodes: Nodes, settings: Settings) -> None:
    """Its node has another name than the host."""
    nodes.unknown = {"node2"}
    outcome = carried_out(old("node1", "node2"), changed(settings, waves=["100%"], slurm="login", busy="skip"))
    assert nodes.activated == [("node1",)]
    (aside,) = outcome.aside
    assert "slurmd runs on this host, but login knows no node" in aside.reason
    assert "set slurm_node_name" in aside.reason


@pytest.mark.parametrize("busy", ["skip", "refuse"])
def test_machine_that_shares_the_stack_root_must_be_idle_too(fleet: Fleet, settings: Settings, busy: str) -> None:
    chosen = changed(settings, waves=["100%"], busy=busy)
    share = Share("node1", "", "nfs4 on nas:/x")
    plans = tuple(replace(planned("converged", host), current="aaaa", former="aaaa") for host in ("node1", "node2"))
    survey = Survey((plans[0], replace(plans[1], share=share, steps=())), (), {}, {"node1": "a", "node2": "b"})
    fleet.uses = {"node2": {"runs": [RUN]}}
    if busy == "refuse":
        with pytest.raises(UsageError, match="node2 is in use: run"):
            carried_out(survey, chosen)
    else:
        outcome = carried_out(survey, chosen)
        assert {one.host for one in outcome.aside} == {"node1", "node2"}
        assert "on node2, which shares its stack root" in outcome.aside[0].reason
    assert fleet.activated == []
    fleet.uses = {}
    assert carried_out(survey, chosen).site.activated == ("node1", "node2")


def advice_of(outcome: Any) -> str:
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    return caught.value.advice


def test_failed_verification_is_not_forgotten_because_of_a_rollout_of_other_hosts(
    fleet: Fleet, settings: Settings
) -> None:
    chosen = changed(settings, waves=["100%"])
    fleet.breaks = {"follow.yml": {"node2"}}
    assert not carried_out(sharing("staged", "staged", "converged"), chosen).succeeded
    fleet.breaks = {}
    assert carried_out(found("staged", "node4"), chosen).succeeded
    fleet.breaks = {"follow.yml": {"node2"}}
    assert not carried_out(sharing("converged", "converged", "converged"), chosen).succeeded


def test_failed_verification_of_a_sharing_host_is_repeated(fleet: Fleet, settings: Settings) -> None:
    chosen = changed(settings, waves=["100%"])
    fleet.breaks = {"follow.yml": {"node2"}}
    assert not carried_out(sharing("staged", "staged", "converged"), chosen).succeeded
    fleet.ran.clear()
    assert not carried_out(sharing("converged", "converged", "converged"), chosen).succeeded
    assert ("follow.yml", ("node2",)) in fleet.ran
    fleet.breaks = {}
    assert carried_out(sharing("converged", "converged", "converged"), chosen).succeeded
    fleet.ran.clear()
    assert carried_out(sharing("converged", "converged", "converged"), chosen).succeeded
    assert fleet.ran == []


def test_first_wave_with_a_failed_verification_stays_strict_when_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "100%"])
    fleet.breaks = {"follow.yml": {"node2"}}
    assert "node2 failed" in carried_out(sharing("staged", "staged", "staged"), chosen).why
    fleet.ran.clear()
    outcome = resumed(monkeypatch, chosen, sharing("converged", "converged", "staged"))
    assert "node2 failed" in outcome.why
    assert fleet.activated == []


@pytest.mark.parametrize(("same", "status"), [("node1", Status.FINISHED), ("", Status.STOPPED)])
def test_machine_with_two_names_fails_once(fleet: Fleet, settings: Settings, same: str, status: Status) -> None:
    """Machines that share a stack root are several, and fail together."""
    chosen = changed(settings, waves=["100%"], max_failures=1)
    survey = sharing("staged", "staged", "staged")
    plans = (survey.plans[0], replace(survey.plans[1], share=Share("node1", same)), *survey.plans[2:])
    fleet.breaks = {"activate.yml": {"node1"}}
    outcome = carried_out(replace(survey, plans=plans), chosen)
    assert {failure.host for failure in outcome.site.failures} == {"node1", "node2"}
    assert (outcome.status, newest(chosen).options.total) == (status, 3 if same else 4)


def test_way_back_that_was_killed_goes_on(fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = changed(settings, waves=[1, 2, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}}

    def die(name: str) -> None:
        if name == "give_back.yml":
            raise SystemExit(9)

    fleet.before = die
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), chosen)
    fleet.before, fleet.breaks = lambda _name: None, {}
    fleet.ran.clear()
    # node1 had returned already.
    now = Survey(
        (planned("staged", "node1"), planned("converged", "node2"), *found("staged", FOUR).plans[2:]), (), {}, {}
    )
    outcome = resumed(monkeypatch, chosen, replace(now, addresses={host: host for host in FOUR}))
    assert fleet.activated == []
    assert ("give_back.yml", ("node1", "node2", "node4")) in fleet.ran
    assert (outcome.returned, outcome.status) == (("node1", "node2", "node4"), Status.ROLLED_BACK)
    assert "was on its way back" in outcome.why
    assert "former generation is current again on node1, node2, node4" in advice_of(outcome)


def test_way_back_goes_on_though_hosts_are_off(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, 2, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}, "give_back.yml": {"node1", "node2"}}
    assert carried_out(found("staged", FOUR), chosen).kept == ("node1", "node2")
    fleet.breaks = {}
    off = replace(OFF, host="node2", reason="node2: the host cannot be reached by SSH")
    outcome = resumed(monkeypatch, chosen, found("staged", ["node1", "node3", "node4"], aside=(off,)))
    assert outcome.returned == ("node1", "node4")
    assert outcome.kept == ("node2",)


def test_sharing_host_returns_only_with_its_builder(fleet: Fleet, settings: Settings) -> None:
    chosen = changed(settings, waves=[1, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}, "give_back.yml": {"node1"}}
    outcome = carried_out(sharing("staged", "staged", "staged"), chosen)
    assert outcome.returned == ("node4",)
    assert outcome.kept == ("node1", "node2")
    assert [newest(chosen).outcome(host, Step.GIVE_BACK) for host in ("node1", "node2")] == [Outcome.FAILED] * 2
    assert outcome.status == Status.STOPPED


def test_host_that_does_not_return_is_named_and_returns_with_resume(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, 2, "100%"], on_failure="rollback", max_failures=0)
    fleet.breaks = {"activate.yml": {"node3"}, "give_back.yml": {"node1"}}
    outcome = carried_out(found("staged", FOUR), chosen)
    said = advice_of(outcome)
    assert "node1 did not return" in said
    assert "current on node1" not in said
    assert "node1" in Path(outcome.lists["failed"]).read_text(encoding="utf-8").split()
    fleet.breaks = {}
    fleet.ran.clear()
    again = resumed(monkeypatch, chosen, found("staged", FOUR))
    assert (again.kept, again.status) == ((), Status.ROLLED_BACK)
    assert ("give_back.yml", ("node1",)) in fleet.ran
    assert fleet.activated == []


def test_activated_host_that_is_off_on_the_way_back_is_named(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, 3, "100%"], on_failure="rollback", max_failures=1)
    killed_at(fleet, 2)
    with pytest.raises(SystemExit):
        carried_out(found("staged"), chosen)
    fleet.before, fleet.breaks = lambda _name: None, {"activate.yml": {"node4"}}
    off = replace(OFF, host="node2", reason="node2: the host cannot be reached by SSH")
    kept = tuple(planned("converged", host) for host in ("node1", "node3"))
    now = replace(found("staged", aside=(off,)), plans=(*kept, *found("staged").plans[3:]))
    outcome = resumed(monkeypatch, chosen, now)
    assert outcome.kept == ("node2",)
    assert "node2 did not return" in advice_of(outcome)
    assert "set-aside" not in outcome.lists


def test_lists_of_hosts_are_those_of_the_last_command(fleet: Fleet, settings: Settings) -> None:
    chosen = changed(settings, waves=["100%"])
    fleet.breaks = {"activate.yml": {"node3"}}
    lists = carried_out(found("staged", FOUR), chosen).lists
    assert set(lists) == {"done", "failed"}
    fleet.breaks = {}
    assert carried_out(found("staged", FOUR), chosen).lists == {}
    assert not any(Path(file).exists() for file in lists.values())
    outcome = carried_out(found("converged", FOUR[:3], aside=(OFF,)), chosen)
    assert Path(outcome.lists["set-aside"]).read_text(encoding="utf-8") == "off1\n"
    assert Path(outcome.lists["done"]).read_text(encoding="utf-8").split() == FOUR[:3]


@pytest.mark.parametrize(("failing", "waits"), [("node3", [2]), ("node4", [])])
def test_pause_after_a_wave_is_kept_if_the_rollout_that_is_continued_had_not_finished_the_wave(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, failing: str, waits: list[int]
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(running, "_waiter", lambda *_: lambda action: waited.append(action.wave.number))
    chosen = changed(settings, waves=[1, {"size": 3, "pause": "1h"}, "100%"], max_failures=0)
    fleet.breaks = {"activate.yml": {failing}}
    assert carried_out(found("staged", FOUR), chosen).status == Status.STOPPED
    fleet.breaks, waited[:] = {}, []
    now = Survey(
        tuple(planned("staged" if host >= failing else "converged", host) for host in FOUR),
        (), {}, {host: host for host in FOUR},
    )  # fmt: skip
    assert resumed(monkeypatch, chosen, now).status == Status.FINISHED
    assert waited == waits


@pytest.mark.parametrize(("busy", "given", "after"), [("wait", "", "wait"), ("refuse", "skip", "skip")])
def test_rollout_that_is_continued_treats_hosts_in_use_as_before(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, busy: str, given: str, after: str
) -> None:
    """`--busy` was given with the first command alone, or another one with the second."""
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), changed(settings, waves=[1, "100%"], busy=busy))
    assert newest(settings).options.busy == busy
    seen: list[str] = []
    fleet.before = lambda _name: None
    monkeypatch.setattr(command, "_refuse_in_use", lambda _plans, chosen: seen.append(chosen.busy))
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda *_, **__: found("staged", FOUR))
    now = changed(settings, waves=[1, "100%"], **({"busy": given} if given else {}))
    command.resume((), now, Output(as_json=True), lambda _: None, given=["busy"] * bool(given))
    assert seen == [after]


def test_rollout_is_not_continued_while_hosts_are_in_use_if_so_wanted(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged", FOUR), changed(settings, waves=[1, "100%"], busy="refuse"))
    fleet.before, fleet.uses, fleet.ran = lambda _name: None, {"node4": {"runs": [RUN]}}, []
    with pytest.raises(UsageError, match="node4 is in use: run r1"):
        resumed(monkeypatch, settings, found("staged", FOUR))
    assert fleet.ran == []
