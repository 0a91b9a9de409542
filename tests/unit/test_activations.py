"""What commands do with a host whose activation was not confirmed: who may go on, what is said, what is undone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import rollback
from neuraltalk_provision.fleet.moves import moves
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.checks import Check
from neuraltalk_provision.results.host_state import Activation, HostState, Lease
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import activations, controller, converge, cudnn, host_state, leases, operations, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan, plan
from tests.unit.plans import HOSTS, RECIPE
from tests.unit.test_fleet_rollback import using
from tests.unit.test_gpu import tree
from tests.unit.test_host_lease import site as site
from tests.unit.test_operations import telling

QUIET = Output(as_json=True)
ELSEWHERE = "alpha pid 7 since 9 boot b space 1 machine m"
DEAD = controller.name().replace(f"pid {os.getpid()} ", "pid 4194305 ")
"""A process of this machine that does not exist: its id is above the largest one."""


def activation(state: str = "unconfirmed", holder: str = DEAD, target: str = RECIPE.id, **more: Any) -> Activation:
    given = {"target": target, "former": "aaaa", "limit": 900, "log": "/opt/neuraltalk/logs/activation.log"}
    return Activation.model_validate({"state": state, "holder": holder, **given, **more})


def host(found: Activation, kind: str = "converged") -> HostState:
    return HostState.model_validate({**HOSTS[kind]["state"]}).model_copy(update={"activation": found})


def planned(found: Activation, kind: str = "converged") -> HostPlan:
    return plan("node1", host(found, kind), RECIPE)


# --- what a return leads to


@pytest.mark.parametrize(
    ("found", "before"),
    [
        (activation(cuda="/usr/local/cuda"), ("aaaa", "/usr/local/cuda")),
        (activation(former=""), ("", "")),
        (activation(target="bbbb"), (RECIPE.id, "")),
        (activation(over=True), (RECIPE.id, "")),
        (activation("returned"), (RECIPE.id, "")),
        (activation("none"), (RECIPE.id, "")),
    ],
)
def test_activation_that_is_continued_keeps_what_was_before_it(found: Activation, before: tuple[str, str]) -> None:
    """The new generation can be current already, if the controller was lost after it changed the link."""
    decided = planned(found)
    assert decided.current == RECIPE.id
    assert (decided.former, decided.cuda) == before


# --- who may go on


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (activation(holder=ELSEWHERE), "another controller (pid 7 on alpha) activated generation 0a1b2c3d4e5f6071"),
        (activation(holder=""), "another controller (somebody)"),
        (activation(holder="\x1b[2J"), "another controller (?[2J)"),
        (activation(holder=ELSEWHERE, former=""), "returns to no generation, 900 s after the start at the latest"),
        (activation("unreadable", problem="/opt/neuraltalk/activation.json is damaged"), "activation.json is damaged"),
        (activation(holder=ELSEWHERE, over=True), ""),
        (activation(holder=DEAD), ""),
        (activation(holder=controller.name()), ""),
        (activation("returned", holder=ELSEWHERE), ""),
        (activation("none"), ""),
    ],
)
def test_host_is_left_alone_while_another_controller_may_confirm(found: Activation, words: str) -> None:
    assert words in activations.refusal(found)
    assert bool(activations.refusal(found)) == bool(words)
    taken_over = activations.refusal(found, take_over=True)
    assert bool(taken_over) == (found.state == "unreadable")
    refusals = leases.refusals("node1", host(found))
    assert [line.startswith("node1: ") for line in refusals] == [True] * bool(words)


def test_lease_of_another_controller_refuses_its_host_alone_and_one_of_a_dead_controller_none() -> None:
    def held(holder: str) -> HostState:
        lease = Lease(holder=holder, host="x", what="provision site", since=1)
        return host(activation("none")).model_copy(update={"lease": lease})

    states = {"node1": held(ELSEWHERE), "node2": held(DEAD), "node3": host(activation("none"))}
    with pytest.raises(UsageError, match=r"\Anode1: another controller is working on this host: [^\n]*\Z"):
        leases.refuse(states)
    leases.refuse(states, take_over=True)
    over = leases.replaceable(states)
    assert over == {"node1": "", "node2": DEAD, "node3": ""}
    assert leases.replaceable(states, take_over=True)["node1"] == ELSEWHERE
    assert leases.variables("provision site", over)["over"] == {"node2": DEAD}


def test_state_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be one of none, unconfirmed, returned, unreadable"):
        Activation(state="other")


# --- the plan


def test_unconfirmed_generation_is_activated_again() -> None:
    decided = planned(activation())
    assert (decided.current, decided.stages, decided.activates, decided.changes) == (RECIPE.id, False, True, True)
    assert decided.remark == (
        "node1: the activation of generation 0a1b2c3d4e5f6071 was not confirmed by its controller: `provision site` "
        "activates it again; otherwise the host returns to generation aaaa by itself"
    )
    assert planned(activation("none")).activates is False


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (activation(over=True), "controller, and the host has not returned by itself: `provision site` returns it to"),
        (activation(target="bbbb"), "of generation bbbb was not confirmed by its controller: `provision site` returns"),
    ],
)
def test_plan_says_that_the_host_is_returned_first(found: Activation, words: str) -> None:
    assert words in planned(found).remark


def test_plan_says_that_the_host_has_returned() -> None:
    found = activation("returned", cause="time", when=1764112380)
    assert planned(found, "bare").remark == (
        "node1: generation 0a1b2c3d4e5f6071 was not confirmed within 900 s, and the host returned to generation aaaa "
        "at 2025-11-25 23:13:00 UTC; log /opt/neuraltalk/logs/activation.log"
    )
    assert planned(found).remark == ""
    other = activation("returned", cause="reboot", when=1764112380, problem="cuDNN was not restored: it is gone")
    assert "was not confirmed before the host was rebooted" in planned(other, "bare").remark
    assert "UTC, but: cuDNN was not restored: it is gone; log" in planned(other, "bare").remark


def test_verify_fails_while_the_generation_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"name": "stamps", "passed": True, "saw": "3 stamps"}
    result = {"checks": [good], "generation": f"/opt/neuraltalk/generations/{RECIPE.id}"}
    telling(monkeypatch, PlayResults(results=(("node1", "stack_verify", result),)))
    (verdict,) = operations.verify([planned(activation())], Settings(), QUIET)
    assert not verdict.passed
    saw = f"generation {RECIPE.id} is current, but its activation was not confirmed: run `provision site`"
    assert Check(name="generation", passed=False, saw=saw) in verdict.checks


# --- what playbooks get


def test_playbooks_get_the_time_of_the_settings() -> None:
    assert converge.variables([], Settings())["provision_return_after"] == 900
    assert converge.variables([], Settings(return_after=0))["provision_return_after"] == 0
    given = Settings.model_validate({"return_after": "20m"})
    assert converge.variables([], given)["provision_return_after"] == 1200


@pytest.mark.parametrize("value", [-1, 1, 59, 86401, "59s", "25h", "9 m", 90.5, True])
def test_time_that_is_too_short_for_any_host_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        Settings(return_after=value)


def test_host_that_was_lost_is_said_to_return() -> None:
    lost = Failure("node1", "Activate | Confirm", "Connection timed out", True, code="host.unreachable")
    hangs = Failure("node1", "Activate | Confirm", "Timed out after 3600 seconds", code="host.hangs")
    for failure, said in ((lost, True), (hangs, True), (Failure("node1", "Activate", "nn does not load"), False)):
        outcome = converge.SiteOutcome((planned(activation()),), failures=(failure,))
        with pytest.raises(Exception, match="node1") as caught:
            raise_failures(FleetOutcome(outcome))
        steps: str = caught.value.advice  # type: ignore[attr-defined]
        assert ("or could not undo it, returns to its former generation by itself" in steps) is said
        assert ("is still current and complete" in steps) is not said


def asked(monkeypatch: pytest.MonkeyPatch, found: Activation, *, current: str, previous: str) -> None:
    """Hosts node1 with that activation, and node2 with none."""
    whole = {"stamps": {}, "sealed": True}
    stack = {"current": current, "previous": previous, "generations": dict.fromkeys(["a", "aaaa", "bbbb"], whole)}
    bare = HOSTS["bare"]["state"]
    state = {**bare, "stack": stack, "gpu": {**bare["gpu"], "toolkits": [tree("7.5")]}}
    answers = {name: HostState.model_validate(state) for name in ("node1", "node2")}
    answers["node1"] = answers["node1"].model_copy(update={"activation": found})
    monkeypatch.setattr(host_state, "read_each", lambda *given: HostStates(answers))


def test_rollback_undoes_what_was_not_confirmed_and_names_generations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    using(monkeypatch)
    asked(monkeypatch, activation(target="bbbb"), current="bbbb", previous="aaaa")
    returned = tuple((host, "stack_generation", {"changed": True}) for host in ("node1", "node2"))
    requests = telling(monkeypatch, PlayResults(results=returned))
    settings = Settings(journal=tmp_path / ".provision" / "journal.sqlite")
    done = rollback.rollback(settings, rollback.Request(), QUIET, plan=False)
    assert [move.remark for move in done] == [
        "the activation of generation bbbb was not confirmed; the return to generation aaaa comes first",
        "",
    ]
    (request,) = requests
    assert request.variables["provision_unconfirmed"] == ["node1"]
    assert request.variables["provision_targets"] == {"node1": "aaaa", "node2": "aaaa"}


def test_current_generation_is_a_way_back_only_from_an_activation_that_was_not_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is recorded as the previous one if the activation was killed before the link was renamed."""
    asked(monkeypatch, activation(target="bbbb"), current="aaaa", previous="aaaa")
    found, unable = moves(host_state.read_each(Settings(), catalogue.load(), []).states, {}, "")
    assert [(move.host, move.before, move.after) for move in found] == [("node1", "aaaa", "aaaa")]
    assert list(unable) == ["node2"]


@pytest.mark.parametrize("command", ["rollback", "swap", "restore"])
def test_commands_are_refused_while_another_controller_may_confirm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    asked(monkeypatch, activation(holder=ELSEWHERE), current="bbbb", previous="aaaa")
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(UsageError, match=r"node1: another controller .* has not confirmed it yet"):
        if command == "rollback":
            settings = Settings(journal=tmp_path / ".provision" / "journal.sqlite")
            rollback.rollback(settings, rollback.Request(), QUIET, plan=False)
        else:
            monkeypatch.setattr(cudnn, "_archive", lambda settings, output: ({}, ""))
            cudnn.work(command, Settings(), QUIET)  # type: ignore[arg-type]
    assert requests == []


def test_cudnn_restore_undoes_what_was_not_confirmed_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, activation(), current=RECIPE.id, previous="aaaa")
    whole = {"state": "whole", "header": "4.0.7", "library": "4.0.7", "root": "/usr/local/cuda-7.5"}
    seen = {**whole, "problem": "", "backup": []}
    result = {"before": seen, "cudnn": seen, "did": [], "users": [], "changed": False}
    results = tuple((name, "cudnn_swap", result) for name in ("node1", "node2"))
    requests = telling(monkeypatch, PlayResults(results=results))
    states = {state.host: state.did for state in cudnn.work("restore", Settings(), QUIET)}
    assert states["node2"] == ()
    assert "was not confirmed; the return to generation aaaa comes first" in states["node1"][0]
    assert requests[0].variables["provision_unconfirmed"] == ["node1"]
    assert cudnn.work("status", Settings(), QUIET)[0].did == ()
    assert requests[1].variables["provision_unconfirmed"] == []


# --- the real playbook


def record(root: Path) -> dict[str, Any]:
    """An activation from a to b whose controller has ended."""
    return {
        "state": "unconfirmed", "token": "t", "holder": DEAD, "former": "a", "target": "b", "cuda": "",
        "restores": False, "limit": 900, "boot": "the boot before", "start": 1, "cause": "", "problem": "", "when": 0,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("target", ["", "c"])
def test_rollback_of_an_unconfirmed_activation_with_the_real_playbook(site: Settings, target: str) -> None:
    root = Path(site.stack_root)
    (root / "generations" / "c").mkdir()
    (root / "generations" / "c" / "generation.json").write_text("{}")
    (root / "history.json").write_text(json.dumps({"previous": "a", "activated": {"c": 1, "a": 2, "b": 3}}))
    (root / "activation.json").write_text(json.dumps(record(root)))
    (root / "activation.json").chmod(0o600)
    variables = {
        "provision_stack_root": site.stack_root,
        "provision_target": target,
        "provision_targets": {"here": target or "a"},
        "provision_unconfirmed": ["here"],
        "provision_lease": leases.variables("provision rollback", {}),
    }
    done = playbook.run(playbook.Request("rollback.yml", site.inventory, variables))
    assert done.results.failures == ()
    assert (root / "current").readlink() == Path("generations") / (target or "a")
    assert not (root / "activation.json").exists()
    assert "and a later command undid its activation" in (root / "logs" / "activation.log").read_text()
