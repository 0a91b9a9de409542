"""Hosts in use: the next action for each, and a simulation in which no job ever meets an activation."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from neuraltalk_provision.fleet import busy, idle, use
from neuraltalk_provision.fleet.busy import Action, Position, Rule, Step
from neuraltalk_provision.fleet.rollout import Done, Loss
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_use import HostUse, SlurmNodes
from neuraltalk_provision.settings import Busy, Settings
from tests.unit.fleet_model import NoJournal, no_drains

R1 = "r1"
NOW = 1000.0
RUN = {"id": "x", "state": "running", "pid": 7, "user": "alice", "since": 1764112380, "generation": "g"}
PROCESS = {"pid": 8, "name": "python", "user": "bob", "since": None, "cards": ["GPU-1"]}
JOB = {"id": "41", "state": "RUNNING", "user": "carol", "since": "2026-11-26T09:00:00", "name": "train"}
WAIT = Rule("wait", wait=3600, poll=60)


def use_of(**more: Any) -> HostUse:
    idle = {"names": ["n1"], "slurm": True, "runs": [], "programs": [], "processes": [], "hidden": 0, "more": 0}
    return HostUse.model_validate({**idle, "problems": [], **more})


def node(state: str = "IDLE", rollout: str = "", jobs: int = 0, **more: Any) -> dict[str, Any]:
    words = state.split("+")
    return {
        "name": "n1", "state": state, "drained": "DRAIN" in words, "down": "DOWN" in words,
        "idle": words[0] in ("IDLE", "DOWN") and not jobs, "reason": "", "by": "", "since": "", "rollout": rollout,
        "jobs": [{**JOB, "id": str(number)} for number in range(41, 41 + jobs)], "more": 0, **more,
    }  # fmt: skip


def seen(*nodes: dict[str, Any], at: float = NOW, slurm: str | None = None, **use: Any) -> Seen:
    """A host that is these nodes; without any, Slurm is not used."""
    known = {"used": True, "problem": slurm or "", "nodes": list(nodes)}
    return Seen("h1", at, use_of(**use), SlurmNodes.model_validate(known) if nodes or slurm else None)


IDLE, OPEN, OURS = seen(), seen(node()), node("IDLE+DRAIN", R1)
DRAINED = Position(drained_at=NOW - 10)


@pytest.mark.parametrize(
    ("what", "rule", "found", "position", "step"),
    [
        ("idle, no Slurm", Rule(), IDLE, Position(), Step.ACTIVATE),
        ("idle node", Rule(), OPEN, Position(), Step.DRAIN),
        ("drained, not asked again", Rule(), seen(OURS, at=NOW - 20), DRAINED, Step.ASK),
        ("drained, asked again", Rule(), seen(OURS), DRAINED, Step.ACTIVATE),
        ("drained by somebody else", Rule(), seen(node("IDLE+DRAIN")), Position(), Step.ACTIVATE),
        ("down", Rule(), seen(node("DOWN")), Position(), Step.ACTIVATE),
        ("left by a lost command", Rule(), seen(node("IDLE+DRAIN", "r0")), Position(), Step.DRAIN),
        ("resumed by somebody", Rule(), OPEN, DRAINED, Step.SKIP),
        ("run", Rule(), seen(runs=[RUN]), Position(), Step.SKIP),
        ("program", Rule(), seen(programs=[PROCESS]), Position(), Step.SKIP),
        ("process", Rule(), seen(processes=[PROCESS]), Position(), Step.SKIP),
        ("hidden process", Rule(), seen(hidden=1), Position(), Step.SKIP),
        ("unknown", Rule(), seen(problems=["cards: no answer"]), Position(), Step.SKIP),
        ("no answer", Rule(), Seen("h1", NOW), Position(), Step.SKIP),
        ("Slurm is silent", Rule(), seen(slurm="no answer"), Position(), Step.SKIP),
        ("job", Rule(), seen(node("MIXED", jobs=1)), Position(), Step.SKIP),
        ("job of others that is hidden", Rule(), seen(node("MIXED", idle=False)), Position(), Step.SKIP),
        ("job slipped in", Rule(), seen(node("MIXED+DRAIN", R1, jobs=1)), DRAINED, Step.SKIP),
        ("refused", Rule("refuse"), seen(runs=[RUN]), Position(), Step.REFUSE),
        ("refused, in the middle", Rule("refuse"), seen(node("MIXED+DRAIN", R1, 1)), DRAINED, Step.SKIP),
        ("refuse, idle", Rule("refuse"), IDLE, Position(), Step.ACTIVATE),
        ("wait, run", WAIT, seen(runs=[RUN]), Position(), Step.WAIT),
        ("wait, job on an open node", WAIT, seen(node("MIXED", jobs=1)), Position(), Step.DRAIN),
        ("wait, draining", WAIT, seen(node("MIXED+DRAIN", R1, 1)), DRAINED, Step.WAIT),
        ("wait, draining by somebody else", WAIT, seen(node("MIXED+DRAIN", jobs=1)), Position(), Step.WAIT),
        ("wait, over", WAIT, seen(runs=[RUN]), Position(busy_since=NOW - 3600), Step.SKIP),
        ("wait, Slurm is silent", WAIT, seen(slurm="no answer"), Position(), Step.WAIT),
        ("wait, silent for long", WAIT, Seen("h1", NOW), Position(silent_since=NOW - 600), Step.SKIP),
        ("wait, silent until now", WAIT, seen(runs=[RUN]), Position(silent_since=NOW - 600), Step.WAIT),
        ("wait, idle at last", WAIT, seen(OURS), Position(drained_at=1.0, busy_since=1.0), Step.ACTIVATE),
        ("verified", Rule(), seen(OURS), Position(ending="verified"), Step.RESUME),
        ("restored", Rule(), seen(OURS), Position(ending="restored"), Step.RESUME),
        ("broken", Rule(), seen(OURS), Position(ending="broken"), Step.DONE),
        ("skipped while drained", Rule(), seen(OURS), Position(given_up=True), Step.RESUME),
        ("skipped, left by a lost command", Rule(), seen(node("MIXED+DRAIN", "r0", 1)), Position(given_up=True),
         Step.RESUME),
        ("resumed", Rule(), OPEN, Position(drained_at=1.0, ending="verified"), Step.DONE),
        ("somebody else drained it meanwhile", Rule(), seen(node("IDLE+DRAIN")), Position(1.0, ending="verified"),
         Step.DONE),
        ("Slurm is silent at the end", Rule(), seen(slurm="no answer"), Position(1.0, ending="verified"), Step.RESUME),
        ("given up", Rule(), seen(OURS), Position(1.0, ending="verified", tries=3), Step.DONE),
        ("without Slurm", Rule(), IDLE, Position(ending="verified"), Step.DONE),
    ],
)  # fmt: skip
def test_next_action(what: str, rule: Rule, found: Seen, position: Position, step: Step) -> None:
    assert busy.next_action(rule, found, position, NOW, R1).step is step, what


def test_every_use_is_a_reason_with_its_user_and_its_time() -> None:
    found = seen(node("MIXED", jobs=1), runs=[{**RUN, "state": "waiting"}], processes=[PROCESS], hidden=2, more=3)
    assert busy.next_action(Rule(), found, Position(), NOW, R1).reasons == (
        "run x, waiting, pid 7 (of alice, since 2025-11-25 23:13:00 UTC)",
        "process python on a card, pid 8 (of bob)",
        "2 processes on cards that cannot be seen from the host",
        "3 more",
        "job 41 (train), RUNNING (of carol, since 2026-11-26T09:00:00)",
    )


def test_wait_ends_at_its_limit_and_says_so() -> None:
    action = busy.next_action(WAIT, seen(runs=[RUN]), Position(busy_since=NOW - 3590), NOW, R1)
    assert (action.step, action.until) == (Step.WAIT, NOW + 10)
    action = busy.next_action(WAIT, seen(runs=[RUN]), Position(busy_since=NOW - 3600), NOW, R1)
    assert action.reasons[0] == "after 1 hours it is still in use"
    assert (
        busy.next_action(Rule("wait", wait=120), seen(runs=[RUN]), Position(busy_since=1.0), NOW, R1)
        .reasons[0]
        .startswith("after 2 minutes")
    )


def test_host_that_does_not_answer_is_waited_for_only_some_minutes() -> None:
    """It can be a host that boots, and as well one that is off: nobody waits a day for it."""
    off = Seen("h1", NOW, failure="h1: the host cannot be reached by SSH")
    action = busy.next_action(WAIT, off, Position(), NOW, R1)
    position = Position().after(action, NOW)
    assert action.step is Step.WAIT
    later = NOW + busy.LONGEST_SILENCE
    assert busy.next_action(WAIT, off, position, later - 1, R1).step is Step.WAIT
    action = busy.next_action(WAIT, off, position, later, R1)
    assert (action.step, action.reasons[0]) == (Step.SKIP, "it has not answered for 10 minutes")
    answered = position.after(busy.next_action(WAIT, seen(runs=[RUN]), position, later - 1, R1), later - 1)
    assert busy.next_action(WAIT, off, answered, later, R1).step is Step.WAIT
    machine = Seen("h2", NOW, use_of(), machines=(off,))
    assert busy.next_action(WAIT, machine, position, later, R1).step is Step.SKIP


def test_refusal_lists_every_host_with_every_use() -> None:
    hosts = [seen(runs=[RUN, {**RUN, "id": "y"}]), seen()]
    (line,) = busy.refusals(Rule("refuse"), hosts)
    assert line.startswith("h1 is in use: run x, pid 7 (of alice")
    assert "; run y, pid 7" in line
    assert busy.refusals(Rule("skip"), hosts) == busy.refusals(Rule("refuse"), [seen()]) == ()


def test_node_that_somebody_else_took_out_is_a_remark() -> None:
    found = seen(node("DOWN", reason="bad disk", by="root", since="2026-11-26T09:00:00"))
    assert found.remarks == ("node n1 is DOWN: bad disk (root, 2026-11-26T09:00:00); it stays so",)
    assert seen(OURS).remarks == ()


@dataclass
class World:
    """A node on which jobs start at random while it is open, and end some time later."""

    random: random.Random
    state: set[str] = field(default_factory=set)
    rollout: str = ""
    job_ends: float = 0.0
    time: float = 0.0
    activating: bool = False
    killed: int = 0
    started: int = 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass, in which a job may start if the node is open."""
        self.time += seconds
        if self.time >= self.job_ends and "DRAIN" not in self.state and self.random.random() < 0.4:
            self.job_ends = self.time + self.random.uniform(1, 2000)
            self.started += 1
            assert not self.activating, "a job has started under an activation"

    def look(self) -> Seen:
        jobs = int(self.time < self.job_ends)
        state = "+".join(["MIXED" if jobs else "IDLE", *self.state])
        found = seen(node(state, self.rollout if self.state else "", jobs), at=self.time)
        self.pass_time(self.random.uniform(0.1, 5))
        return found

    def do(self, action: Action, position: Position) -> Position:
        match action.step:
            case Step.DRAIN:
                self.state, self.rollout = {"DRAIN"}, R1
            case Step.RESUME:
                self.state, self.rollout = set(), ""
            case Step.WAIT:
                self.pass_time(action.until - self.time if action.until > self.time else 1)
            case Step.ACTIVATE:
                assert self.time >= self.job_ends, "activated under a job"
                self.activating = True
                self.pass_time(30)
                self.activating = False
                position = position.after_activation("verified")
        self.pass_time(self.random.uniform(0.1, 5))
        return position.after(action, self.time)


@pytest.mark.parametrize("setting", ["wait", "skip"])
def test_no_job_ever_meets_an_activation_and_every_drain_is_lifted(setting: Busy) -> None:
    """A thousand nodes with jobs that come and go, each until nothing is left to do."""
    endings = []
    for number in range(1000):
        world, position = World(random.Random(number)), Position()
        if number % 7 == 0:
            world.state, world.rollout = {"DRAIN"}, "r0"
        for _step in range(500):
            action = busy.next_action(Rule(setting, 3600, 60), world.look(), position, world.time, R1)
            if action.step is Step.DONE:
                break
            position = world.do(action, position)
        else:
            pytest.fail(f"node {number} has no end: {action}")
        assert world.state == set(), "a drain of ours was left"
        endings.append(position.ending)
    activated = endings.count("verified")
    assert activated == 1000 if setting == "wait" else 200 < activated < 1000


@pytest.mark.parametrize(("loss", "resumed"), [(Loss("it broke"), 1), (Loss("it hangs", "ssh.silent", silent=True), 0)])
def test_node_of_a_host_that_was_lost_while_it_was_activated_stays_drained(
    monkeypatch: pytest.MonkeyPatch, loss: Loss, resumed: int
) -> None:
    """Nobody knows in which state it is; a host that says that it failed is back at its former generation."""
    state = {"drained": False}
    calls: list[str] = []

    def ask(_settings: Settings, hosts: list[str]) -> dict[str, Seen]:
        now = time.monotonic()
        return {host: seen(OURS if state["drained"] else node(), at=now) for host in hosts}

    def drain(*_: object) -> use.NodesChanged:
        state["drained"] = True
        return use.NodesChanged({})

    def resume(*_: object) -> use.NodesChanged:
        state["drained"] = False
        calls.append("resume")
        return use.NodesChanged({})

    for name, does in (("ask", ask), ("drain", drain), ("resume", resume)):
        monkeypatch.setattr(use, name, does)
    done = idle.Activation(R1, Settings(), Output(as_json=True), NoJournal(), no_drains(Settings())).run(
        ["h1"], lambda _: Done(failed={"h1": loss})
    )
    assert (done.failed, len(calls)) == ({"h1": loss}, resumed)
