"""The question what uses hosts, and the drain and resume of nodes, by the real playbooks on this machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet import busy, rollback, use
from neuraltalk_provision.fleet.busy import Position, Rule, Step
from neuraltalk_provision.fleet.hosts import Former, Playbooks
from neuraltalk_provision.fleet.idle import Activation
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import leases, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.fleet_model import NoJournal, no_drains
from tests.unit.slurm import Cluster, node
from tests.unit.test_host_use import lock

HOST = os.uname()[1].split(".")[0]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(tmp_path / "slurm", sys.executable, monkeypatch)
    cluster.write([node("gpu7", host=HOST)])
    return cluster


def site(tmp_path: Path, slurm: str = "auto", **more: Any) -> Settings:
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": {**here, **more}, "login": here}}}))
    (tmp_path / "stack").mkdir(exist_ok=True)
    return Settings(inventory=tmp_path / "hosts.yml", stack_root=str(tmp_path / "stack"), run_user="root", slurm=slurm)


@pytest.mark.slow
def test_node_is_drained_activated_and_resumed(cluster: Cluster, tmp_path: Path) -> None:
    """The whole loop for one host."""
    settings = site(tmp_path)
    position, steps, seen = Position(), [], use.ask(settings, ["here"])["here"]
    for _step in range(9):
        now = time.monotonic()
        action = busy.next_action(Rule(), seen, position, now, "r1")
        steps.append(action.step)
        match action.step:
            case Step.DONE:
                break
            case Step.DRAIN:
                assert use.drain(settings, {"here": seen}, "r1", "activation from ctl").failures == ()
                assert cluster.nodes["gpu7"]["reason"] == "neuraltalk-provision: r1 activation from ctl"
            case Step.ASK:
                seen = use.ask(settings, ["here"])["here"]
            case Step.ACTIVATE:
                assert cluster.nodes["gpu7"]["state"] == "IDLE+DRAIN"
                position = position.after_activation("verified")
            case Step.RESUME:
                assert use.resume(settings, {"here": seen}).failures == ()
                seen = use.ask(settings, ["here"])["here"]
        position = position.after(action, time.monotonic())
    assert steps == [Step.DRAIN, Step.ASK, Step.ACTIVATE, Step.RESUME, Step.DONE]
    assert cluster.nodes["gpu7"]["state"] == "IDLE"


@pytest.mark.slow
def test_node_is_drained_and_resumed_on_the_login_node(cluster: Cluster, tmp_path: Path) -> None:
    settings = site(tmp_path, "login")
    seen = use.ask(settings, ["here"])
    assert use.drain(settings, seen, "r1", "x").failures == ()
    assert cluster.nodes["gpu7"]["state"] == "IDLE+DRAIN"
    assert use.resume(settings, seen).failures == ()
    assert cluster.nodes["gpu7"]["state"] == "IDLE"


@pytest.mark.slow
def test_slurm_that_does_not_answer_is_never_idle(cluster: Cluster, tmp_path: Path) -> None:
    settings = site(tmp_path, "login")
    (cluster.place / "down").touch()
    seen = use.ask(settings, ["here"])["here"]
    (found,) = seen.uses()
    assert found.as_text().startswith("it is not known whether a job of Slurm is on the host")
    changed = use.drain(settings, {"here": seen}, "r1", "x")
    assert [failure.code for failure in changed.failures] == ["busy"]


@pytest.mark.slow
def test_run_makes_a_host_busy_and_without_slurm_nobody_asks_it(cluster: Cluster, tmp_path: Path) -> None:
    settings = site(tmp_path, "none")
    handle = lock(tmp_path / "stack", "mine")
    seen = use.ask(settings, ["here", "login"])
    assert [one.what for one in seen["here"].uses()] == [f"mine, process, pid {os.getpid()}"]
    assert seen["here"].slurm is None
    assert cluster.calls == []
    os.close(handle)


def given(stack: Path) -> dict[str, Any]:
    """The variables of the playbooks that return a host."""
    return {
        "provision_lease": {"holder": "me", "what": "provision site", "over": {}},
        "provision_stack_root": str(stack),
        "provision_run_user": "root",
        "provision_return_after": 900,
    }


@pytest.mark.slow
def test_return_under_a_run_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """The real playbook, for a host that had no generation before."""
    settings = site(tmp_path, "none")
    stack = tmp_path / "stack"
    (stack / "generations" / "aaaa").mkdir(parents=True)
    (stack / "current").symlink_to("generations/aaaa")
    activation = Activation("r1", settings, Output(), NoJournal(), no_drains(settings))
    hosts = Playbooks((), given(stack), {"here": Former()}, settings, Output(), activation)
    handle = lock(stack, "mine")
    (loss,) = hosts._give_back(["here"]).failed.values()
    assert (loss.code, "mine" in loss.reason) == ("host.in_use", True)
    assert (stack / "current").is_symlink()
    os.close(handle)
    assert hosts._give_back(["here"]).failed == {}
    assert not (stack / "current").is_symlink()
    assert not list(stack.rglob("starts.json"))


@pytest.mark.slow
def test_return_of_a_host_that_never_got_the_new_generation_leaves_its_cudnn(tmp_path: Path) -> None:
    """The host was lost while it was activated. An earlier swap of its cuDNN belongs to the generation that it has."""
    settings = site(tmp_path, "none")
    stack = tmp_path / "stack"
    for name in ("aaaa", "bbbb"):
        (stack / "generations" / name).mkdir(parents=True)
        (stack / "generations" / name / "generation.json").write_text(f'{{"id": "{name}", "components": {{}}}}')
    (stack / "current").symlink_to("generations/aaaa")
    former = {"here": Former("aaaa", str(tmp_path / "no-cuda"))}
    activation = Activation("r1", settings, Output(), NoJournal(), no_drains(settings))
    hosts = Playbooks((), given(stack), former, settings, Output(), activation)
    assert hosts._give_back(["here"]).failed == {}
    (stack / "current").unlink()
    (stack / "current").symlink_to("generations/bbbb")
    (loss,) = hosts._give_back(["here"]).failed.values()
    assert "no-cuda" in loss.reason
    assert (stack / "current").readlink().name == "bbbb"


def answer(monkeypatch: pytest.MonkeyPatch, results: PlayResults) -> None:
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(0, results))


def test_answer_that_is_not_as_expected_is_never_idle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    idle = {"names": ["h"], "slurm": True, "runs": [], "programs": [], "processes": [], "hidden": 0, "more": 0}
    good: dict[str, Any] = {"use": {**idle, "problems": []}}
    nodes = {"used": True, "problem": "", "nodes": []}
    settings = site(tmp_path)
    for result, slurm, words in (
        ({"use": {**idle, "problems": [], "runs": ["x"] * 2000}}, nodes, "its result is not as expected: use.runs"),
        ({"use": {**idle, "problems": [], "hidden": -1}}, nodes, "its result is not as expected: use.hidden"),
        (good, {**nodes, "nodes": [{"name": "n"}]}, "slurm_node_info: its result is not as expected"),
        (good, None, "the host returned no nodes of Slurm"),
        (None, nodes, "the host returned no result"),
    ):
        given = (("h", "host_use_info", result), ("h", "slurm_node_info", slurm))
        answer(monkeypatch, PlayResults(tuple((host, name, found) for host, name, found in given if found)))
        (found,) = use.ask(settings, ["h"])["h"].uses()
        assert words in found.as_text(), found
    failure = Failure("h", "use", "no space", code="disk.full")
    answer(monkeypatch, PlayResults(failures=(failure,)))
    assert "the disk is full" in use.ask(settings, ["h"])["h"].uses()[0].as_text()


def test_settings_and_the_command_line_give_the_rule() -> None:
    settings = Settings(busy="wait", busy_wait="2m", busy_poll=30)  # type: ignore[arg-type]
    assert use.rule(settings) == Rule("wait", 120.0, 30.0)
    assert use.rule(Settings()) == Rule("skip", 86400.0, 60.0)


def test_without_a_host_no_playbook_runs() -> None:
    assert use.ask(Settings(), []) == {}
    assert use.drain(Settings(), {}, "r1", "x") == use.NodesChanged({})


@pytest.mark.slow
def test_rollback_waits_for_the_run_under_which_it_would_rename_the_link(tmp_path: Path) -> None:
    """The real playbooks: the question, the refusal in the moment of the change, and the change."""
    stack = tmp_path / "stack"
    settings = site(tmp_path, "none").model_copy(update={"journal": tmp_path / "journal" / "j.sqlite"})
    for name in ("a", "b"):
        (stack / "generations" / name).mkdir(parents=True)
        (stack / "generations" / name / "generation.json").write_text(f'{{"id": "{name}", "components": {{}}}}')
    (stack / "current").symlink_to("generations/b")
    (stack / "history.json").write_text('{"previous": "a"}')
    handle = lock(stack, "mine")
    asked = rollback.Request(limit=["here"])
    with pytest.raises(HostError, match="here is in use: run mine"):
        rollback.rollback(settings, asked, Output(as_json=True), plan=False)
    lease = leases.variables("provision rollback", {})
    variables = {"provision_stack_root": str(stack), "provision_run_user": "root", "provision_lease": lease}
    more = {"provision_target": "a", "provision_refuse_starts": True}
    done = playbook.run(playbook.Request("rollback.yml", settings.inventory, {**variables, **more}, ["here"]))
    assert [failure.code for failure in done.results.failures] == ["host.in_use"]
    assert (stack / "current").readlink().name == "b"
    assert not list(stack.rglob("starts.json")) and not (stack / "lease.json").exists()
    os.close(handle)
    (move,) = rollback.rollback(settings, asked, Output(as_json=True), plan=False)
    assert (move.before, (stack / "current").readlink().name) == ("b", "a")
    assert not list(stack.rglob("starts.json")) and not (stack / "lease.json").exists()
