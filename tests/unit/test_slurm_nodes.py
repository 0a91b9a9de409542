"""Nodes of Slurm: found by the names of their host, drained and resumed with a reason of ours, and no others."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.rules import slurm as rules
from tests.unit.modules import ModuleError
from tests.unit.slurm import Cluster, node

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
OURS = "neuraltalk-provision: r1 the stack is being changed"
JOB = ["41", "RUNNING", "alice", "2026-11-26T09:00:00", "a|b"]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path / "it's slurm", sys.executable, monkeypatch)


@pytest.fixture
def ask(run_module: Run) -> Callable[..., dict[str, Any]]:
    """The nodes of the host n1, asked on another host."""
    return lambda *names, **more: run_module("slurm_node_info", names=names or ["n1"], elsewhere=True, **more)


@pytest.fixture
def change(run_module: Run) -> Callable[..., dict[str, Any]]:
    """Drain or resume the node of the host n1, on another host."""

    def change(state: str, rollout: str = "r1", **more: Any) -> dict[str, Any]:
        return run_module("slurm_node", names=["n1"], elsewhere=True, rollout=rollout, state=state, **more)

    return change


@pytest.mark.parametrize(
    ("state", "idle", "drained", "down"),
    [
        ("IDLE", True, False, False),
        ("IDLE*", True, False, False),
        ("IDLE+DRAIN", True, True, False),
        ("IDLE+PLANNED", True, False, False),
        ("DOWN*+DRAIN+NOT_RESPONDING", True, True, True),
        ("DOWN", True, False, True),
        ("MIXED+DRAIN", False, True, False),
        ("ALLOCATED", False, False, False),
        ("IDLE+COMPLETING+DRAIN", False, True, False),
        ("DRAINED", True, True, False),
        ("DRAINING", False, True, False),
        ("SOMETHING_NEW", False, False, False),
    ],
)
def test_state_of_a_node_is_read_by_its_words(
    ask: Run, cluster: Cluster, state: str, idle: bool, drained: bool, down: bool
) -> None:
    cluster.write([node("n1", state)])
    (found,) = ask()["nodes"]
    assert (found["idle"], found["drained"], found["down"]) == (idle, drained, down)


def test_jobs_that_use_the_node_are_listed_and_ended_ones_are_not(ask: Run, cluster: Cluster) -> None:
    over = [[str(number), state, "bob", "N/A", "x"] for number, state in enumerate(rules.OVER)]
    using = [JOB, ["42", "SUSPENDED", "bob", "N/A", "x"], ["43", "COMPLETING", "bob", "N/A", "x"]]
    cluster.write([node("n1", "MIXED")], [*over, *using, ["44", "NEW_STATE", "bob", "N/A", "x"]])
    (found,) = ask()["nodes"]
    assert [job["id"] for job in found["jobs"]] == ["41", "42", "43", "44"]
    job = {"id": "41", "state": "RUNNING", "user": "alice", "since": "2026-11-26T09:00:00", "name": "a|b"}
    assert found["jobs"][0] == job
    assert not found["idle"]


def test_jobs_by_the_thousand_are_counted(ask: Run, cluster: Cluster) -> None:
    cluster.write([node("n1", "MIXED")], [[str(n), *JOB[1:]] for n in range(1005)])
    (found,) = ask()["nodes"]
    assert (len(found["jobs"]), found["more"]) == (1000, 5)


def test_node_is_found_by_the_name_of_its_host(ask: Run, cluster: Cluster) -> None:
    cluster.write([node("gpu7", host="n1"), node("n1", host="another"), node("gpu8", host="n1")])
    assert [found["name"] for found in ask("n1.example.org", "n1")["nodes"]] == ["gpu7", "gpu8"]
    assert [found["name"] for found in ask(node="n1")["nodes"]] == ["n1"]
    assert ask("n9") == {**ask("n9"), "used": False, "nodes": [], "problem": ""}


def test_controller_that_does_not_answer_is_a_problem(ask: Run, cluster: Cluster) -> None:
    cluster.write([node("n1")])
    (cluster.place / "down").touch()
    found = ask()
    assert (found["used"], found["nodes"]) == (True, [])
    assert found["problem"].startswith("scontrol show node: slurm_load_node error: Unable to contact slurm controller")


def test_host_without_slurm_is_no_node(run_module: Run, load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    found = run_module("slurm_node_info")
    assert (found["used"], found["nodes"], found["problem"]) == (False, [], "")


def test_node_whose_programs_or_name_are_missing_is_a_problem(
    run_module: Run, cluster: Cluster, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = load("slurm.nodes")
    monkeypatch.setattr(nodes, "daemon", lambda: "slurmd (pid 7 of mallory)")
    words = "slurmd (pid 7 of mallory) runs on this host"
    assert f"{words}, but Slurm knows no node" in run_module("slurm_node_info")["problem"]
    (cluster.place / "scontrol").unlink()
    problem = run_module("slurm_node_info")["problem"]
    assert problem.startswith("scontrol was not found on this host") and problem.endswith(f"; {words}")


def test_program_that_a_user_called_slurmd_is_told_with_its_user(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """The host then counts as used, and nobody would find out why."""
    nodes, named = load("slurm.nodes"), tmp_path / "slurmd"
    named.symlink_to("/bin/cat")
    with subprocess.Popen([str(named)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"  # it is that program now
        user = pwd.getpwuid(os.geteuid()).pw_name
        assert nodes.daemon() == f"slurmd (pid {process.pid} of {user})"
        process.kill()


def test_login_node_needs_no_answer_from_slurm(run_module: Run, cluster: Cluster) -> None:
    (cluster.place / "down").touch()
    found = run_module("slurm_node_info")
    assert (found["used"], found["problem"]) == (False, "")


def test_own_node_is_found_without_a_name(run_module: Run, cluster: Cluster) -> None:
    cluster.write([node("me", host=os.uname()[1].split(".")[0])])
    assert [found["name"] for found in run_module("slurm_node_info")["nodes"]] == ["me"]


def test_drain_has_a_reason_of_ours_and_is_lifted_once(change: Run, cluster: Cluster) -> None:
    cluster.write([node("n1"), node("n2")])
    assert change("drained", check=True)["changed"]
    assert cluster.nodes["n1"]["state"] == "IDLE"
    drained = change("drained")
    assert (drained["changed"], drained["nodes"][0]["rollout"], drained["foreign"]) == (True, "r1", [])
    assert cluster.nodes["n1"] == node("n1", "IDLE+DRAIN", OURS)
    assert cluster.nodes["n2"] == node("n2")
    assert not change("drained")["changed"]
    assert change("resumed", check=True)["changed"]
    assert cluster.nodes["n1"]["state"] == "IDLE+DRAIN"
    assert change("resumed")["changed"]
    assert cluster.nodes["n1"] == node("n1")
    assert not change("resumed")["changed"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("IDLE+DRAIN", "bad disk"),
        ("DOWN", "power supply"),
        ("MIXED+DRAIN", ""),
        ("IDLE+DRAIN", "see neuraltalk-provision: r1"),
        ("IDLE+DRAIN", "neuraltalk-provision"),
        ("IDLE+DRAIN", "neuraltalk-provision: ../x y"),
        ("DOWN", OURS),
    ],
)
def test_node_that_somebody_else_took_out_of_service_stays_as_it_is(
    change: Run, cluster: Cluster, state: str, reason: str
) -> None:
    cluster.write([node("n1", state, reason)])
    for wanted in ("drained", "resumed"):
        result = change(wanted)
        assert (result["changed"], result["foreign"]) == (False, ["n1"])
    assert cluster.nodes["n1"] == node("n1", state, reason)
    assert not [call for call in cluster.calls if " update " in call]


def test_drain_of_a_lost_controller_is_taken_over_or_lifted(change: Run, cluster: Cluster) -> None:
    cluster.write([node("n1", "IDLE+DRAIN", OURS)])
    assert change("drained", rollout="r2")["nodes"][0]["rollout"] == "r2"
    assert change("resumed")["changed"]
    assert cluster.nodes["n1"] == node("n1")


def test_node_that_is_also_down_stays_down(change: Run, cluster: Cluster) -> None:
    cluster.write([node("n1", "DOWN+DRAIN", OURS)])
    assert change("resumed")["changed"]
    assert cluster.nodes["n1"]["state"] == "DOWN"
    assert rules.rollout_of(cluster.nodes["n1"]["reason"]) == ""


def test_refusal_of_slurm_is_told_with_what_to_do(change: Run, cluster: Cluster) -> None:
    cluster.write([node("n1")])
    (cluster.place / "refuses").touch()
    with pytest.raises(
        ModuleError, match=r"Slurm does not drain node n1: .*Invalid user id.* set ansible_become"
    ) as told:
        change("drained")
    assert told.value.result["code"] == "slurm.refused"
    (cluster.place / "down").touch()
    for state in ("drained", "resumed"):
        with pytest.raises(ModuleError, match="it is not known whether Slurm uses this host") as told:
            change(state)
        assert told.value.result["code"] == "busy"


@pytest.mark.parametrize("elsewhere", [True, False])
@pytest.mark.parametrize(("state", "before"), [("drained", "IDLE"), ("resumed", "IDLE+DRAIN")])
def test_controller_that_stops_answering_after_a_change_is_told_with_what_it_accepted(
    run_module: Run, cluster: Cluster, state: str, before: str, elsewhere: bool
) -> None:
    """It said that nothing was changed, or, on a host without slurmd, that all was well."""
    cluster.write([node("n1", before, OURS if before != "IDLE" else "")])
    (cluster.place / "goes down").touch()
    with pytest.raises(ModuleError, match=r"Slurm accepted the .* n1, ") as told:
        run_module("slurm_node", names=["n1"], rollout="r1", state=state, elsewhere=elsewhere)
    assert cluster.nodes["n1"]["state"] != before
    assert ("did not answer any more" in str(told.value)) is elsewhere


def test_controller_that_stops_answering_before_a_change_is_no_refusal(change: Run, cluster: Cluster) -> None:
    """It was told as missing rights."""
    cluster.write([node("n1")])
    (cluster.place / "restarts").touch()
    with pytest.raises(ModuleError, match=r"Slurm did not drain node n1, .*Unable to contact slurm controller") as told:
        change("drained")
    assert "Only root" not in str(told.value)
    assert told.value.result["code"] == "busy"


def test_name_of_a_rollout_and_the_host_are_checked(change: Run, run_module: Run, cluster: Cluster) -> None:
    with pytest.raises(ModuleError, match="is not the id of a rollout"):
        change("drained", rollout="r1 Reason=x")
    with pytest.raises(ModuleError, match="for a host elsewhere, its names"):
        run_module("slurm_node", elsewhere=True, state="resumed")
    cluster.write([node("n1")])
    change("drained", text='say "x=1"\nState=RESUME')
    assert cluster.nodes["n1"]["reason"] == "neuraltalk-provision: r1 say ?x?1??State?RESUME"


def test_reason_is_ours_only_in_our_own_form() -> None:
    assert rules.rollout_of(rules.reason_of("r-1.2_3", "x")) == "r-1.2_3"
    assert rules.rollout_of(rules.reason_of("r1", "")) == "r1"
    assert [rules.rollout_of(text) for text in ("", "neuraltalk-provision: ", "neuraltalk-provision: r1;x")] == [""] * 3
    assert len(rules.reason_of("r1", "x" * 500)) == rules.LONGEST_REASON
