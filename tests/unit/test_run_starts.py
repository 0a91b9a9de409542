"""No run starts between the check of a host and its activation, and a refusal never lasts longer than its reason."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import cudnn, leases, playbook
from neuraltalk_provision.site.events import PlayResults
from tests.unit.modules import ModuleError
from tests.unit.test_gpu import tree
from tests.unit.test_host_use import lock, make, start_of
from tests.unit.test_site_cudnn import hosts
from tests.unit.test_stack_run import data, ended, start_all
from tests.unit.test_stack_run import root as stack
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

__all__ = ["data", "stack"]
Run = Callable[..., dict[str, Any]]
HOLDER = "ctl pid 12 since 345 boot b space s machine m"
EVAL = {"id": "x", "program": "eval.lua", "requested": {}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack root on which a controller holds the lease."""
    place = tmp_path / "the 'stack' root"
    place.mkdir()
    hold_lease(place)
    return place


@pytest.fixture
def starts(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("runs.starts")


def hold_lease(root: Path, holder: str = HOLDER) -> None:
    lease = {"holder": holder, "host": "node1", "what": "provision site", "since": 1764112380}
    (root / "lease.json").write_text(json.dumps(lease))


@pytest.fixture
def refuse(run_module: Run) -> Callable[..., dict[str, Any]]:
    def refuse(root: Path, state: str = "refused", holder: str = HOLDER, **more: Any) -> dict[str, Any]:
        return run_module("run_starts", stack_root=root, holder=holder, state=state, **more)

    return refuse


def test_starts_are_allowed_again_on_a_host_whose_disk_is_full(
    refuse: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a lock file contains is only for messages."""
    refuse(root)

    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(load("runs.locks").os, "ftruncate", full)
        assert refuse(root, "allowed")["changed"]
    assert not (root / "starts.json").exists()


def test_starts_are_refused_until_they_are_allowed_again(refuse: Run, root: Path, starts: ModuleType) -> None:
    assert refuse(root, check=True)["changed"]
    assert starts.refusal(str(root)) is None
    assert refuse(root)["changed"]
    assert not refuse(root)["changed"]
    words = 'so no run is started now: pid 12 on ctl .* since 2025-11-25 23:13:00 UTC, for "provision site"'
    with pytest.raises(starts.StackError, match=words) as told, starts.lock_for_start(str(root), patience=0.1):
        pass
    assert told.value.details["code"] == "busy"
    assert refuse(root, "allowed", check=True)["changed"]
    assert refuse(root, "allowed")["changed"]
    assert not refuse(root, "allowed")["changed"]
    with starts.lock_for_start(str(root), patience=0.1):
        pass


def test_refusal_needs_the_lease_and_ends_with_it(refuse: Run, run_module: Run, root: Path, starts: ModuleType) -> None:
    with pytest.raises(ModuleError, match="only while the lease is held"):
        refuse(root, holder="another")
    refuse(root)
    with pytest.raises(ModuleError, match="another controller refuses the start of runs"):
        refuse(root, "allowed", holder="another")
    hold_lease(root, "another")
    assert starts.refusal(str(root)) is None
    hold_lease(root)
    assert starts.refusal(str(root))["left"] > 3500
    run_module("host_lease", stack_root=root, holder=HOLDER, host="node1", state="released")
    assert starts.refusal(str(root)) is None
    assert not (root / "starts.json").exists()


@pytest.mark.parametrize("how", ["over", "booted", "longer", "damaged", "clock", "elsewhere", "elsewhere over"])
def test_refusal_counts_by_the_clock_that_nobody_sets(refuse: Run, root: Path, starts: ModuleType, how: str) -> None:
    refuse(root, seconds=60)
    file = root / "starts.json"
    content = json.loads(file.read_text())
    ends = content["ends"]
    match how:
        case "over":
            ends["uptime"] -= 61
        case "booted":
            ends["boot"] = "another"
        case "longer":
            ends["uptime"] += 61
        case "damaged":
            content["ends"] = None
        case "clock":
            ends["time"] -= 86400 * 365
        case "elsewhere":
            ends.update(boot="another", node="another")
        case "elsewhere over":
            ends.update(boot="another", node="another", time=ends["time"] - 61)
    file.write_text(json.dumps(content))
    assert (starts.refusal(str(root)) is not None) == (how in ("clock", "elsewhere"))


def test_run_that_is_just_being_started_is_seen_and_nothing_is_changed(
    refuse: Run, root: Path, starts: ModuleType
) -> None:
    """The start has looked for a refusal before it was written: the refusal waits until the run can be seen."""
    failures: list[ModuleError] = []

    def change() -> None:
        with pytest.raises(starts.StackError) as told:
            starts_module.refuse(
                {"stack_root": str(root), "holder": HOLDER, "user": "", "seconds": 60, "in_use": False}, False
            )
        failures.append(told.value)

    from plugins.modules import run_starts as starts_module

    thread = threading.Thread(target=change)
    with starts.lock_for_start(str(root)):
        thread.start()
        until((root / "starts.json").exists)
        time.sleep(0.2)
        assert thread.is_alive(), "it waits for the start"
        make(root, "slipped", process_json={"pid": os.getpid(), "start": start_of(os.getpid())})
    thread.join(30)
    assert "run slipped (pid" in str(failures[0])
    assert failures[0].details["code"] == "host.in_use"
    assert starts.refusal(str(root)) is None


def test_host_in_use_is_told_with_everything_that_uses_it(refuse: Run, root: Path) -> None:
    handle = lock(root, "mine")
    with pytest.raises(ModuleError, match=r"the host is in use, so nothing was changed: run mine \(pid \d+, of root\)"):
        refuse(root)
    assert not (root / "starts.json").exists()
    with pytest.raises(ModuleError, match="the host is in use"):
        refuse(root, check=True)
    os.close(handle)
    assert refuse(root)["refused"]


def test_run_starts_by_itself_when_the_change_is_over(
    run_module: Run,
    refuse: Run,
    stack: Path,
    data: Path,
) -> None:
    hold_lease(stack)
    refuse(stack)
    told: list[dict[str, Any]] = []
    asked = [{**EVAL, "requested": {"model": str(data / "m.t7")}}]
    thread = threading.Thread(target=lambda: told.append(start_all(stack, asked)))
    thread.start()
    time.sleep(2)
    assert thread.is_alive()
    assert not (stack / "runs" / "x").exists()
    refuse(stack, "allowed")
    thread.join(60)
    assert told[0]["id"] == "x"
    assert ended(run_module, stack, "x")["exit_code"] == 0


def test_activation_of_a_host_that_became_busy_fails_there_before_anything_is_changed(tmp_path: Path) -> None:
    """With the real playbook, as the controller calls it after it has asked what uses the host."""
    site_root = tmp_path / "stack"
    for name in ("a", "b"):
        (site_root / "generations" / name).mkdir(parents=True)
        (site_root / "generations" / name / "generation.json").write_text("{}")
    (site_root / "current").symlink_to("generations/a")
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": here}}}))
    request = playbook.Request(
        "activate.yml",
        tmp_path / "hosts.yml",
        {
            "provision_recipes": {"b": {"id": "b", "stack_root": str(site_root), "parts": [], "gpu": None}},
            "provision_generations": {"here": "b"},
            "provision_keep": 3,
            "provision_run_user": "root",
            "provision_lease": leases.variables("provision site", {}),
            "provision_refuse_starts": True,
            "generation_path": str(site_root / "generations" / "b"),
        },
    )
    handle = lock(site_root, "slipped")
    (failure,) = playbook.run(request).results.failures
    os.close(handle)
    assert failure.code == "host.in_use"
    assert "the host is in use, so nothing was changed: run slipped" in failure.message
    assert (site_root / "current").readlink() == Path("generations/a")
    assert not (site_root / "starts.json").exists()


def test_no_run_starts_while_cudnn_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that began in that moment would have found a cuDNN that was half replaced."""
    root, made = tmp_path / "stack", tmp_path / "cuda-7.5"
    for part in ("include", "lib64"):
        (made / part).mkdir(parents=True)
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": here}}}))
    hosts(monkeypatch, here=[tree("7.5", str(made))])
    ran: list[PlayResults] = []
    run = playbook.run

    def recorded(request: playbook.Request) -> playbook.Outcome:
        done = run(request)
        ran.append(done.results)
        return done

    monkeypatch.setattr(playbook, "run", recorded)
    settings = Settings(inventory=tmp_path / "hosts.yml", stack_root=str(root))
    handle = lock(root, "training")
    cudnn.work("restore", settings, Output(as_json=True))
    os.close(handle)
    (results,) = ran
    last = results.by_host("run_starts")["here"]
    assert (last["changed"], last["refused"]) == (True, False), "they were refused before"
    assert not (root / "starts.json").exists()
