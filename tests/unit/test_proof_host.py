"""A host of the inventory as the place of a proof: its variables, its network without a way out, and its end."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.proof import host, prove, recorded
from neuraltalk_provision.proof.judge import Findings
from neuraltalk_provision.proof.prove import Request
from neuraltalk_provision.results.network import NetworkResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import keeper, playbook
from tests.kill import killed
from tests.unit import fake_ssh, proving
from tests.unit.programs import program

pytestmark = pytest.mark.slow

INVENTORY = """
all:
  vars: {ansible_user: ops, generation_space: 5}
  children:
    cpu:
      vars: {ansible_become: true}
      hosts:
        node1: {ansible_host: 192.0.2.10, ansible_python_interpreter: /usr/bin/python3}
        node2: {}
"""
END = json.dumps({"end": True, "packages": 1, "dropped": 0, "more": 0})


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    file = tmp_path / "the site's hosts.yml"
    file.write_text(INVENTORY)
    return file


class Host:
    """A host that answers as the module isolated_network does; `sees` is whether its recorder works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, sees: bool = True) -> None:
        self.sees = sees
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.lines = [json.dumps({"begin": True})]
        monkeypatch.setattr(host, "_call", self.call)

    def call(self, inventory: Path, name: str, network: Mapping[str, Any]) -> NetworkResult:
        assert name == "node1"
        variables = json.loads(inventory.read_text())["all"]["hosts"]["node1"]
        self.calls.append((network["state"], variables))
        if network["state"] == "tried" and self.sees:
            self.lines += [json.dumps({**one, "at": 1.0}) for one in network["attempts"]]
        lines = [*self.lines, END] if network["state"] == "ended" else self.lines
        return NetworkResult(
            interpreter="/run/x/python",
            lines=tuple(lines),
            packages=("gcc=4:12", "make=4"),
            wheels=("numpy-1.2.dist-info",),
        )

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.calls]


def test_all_variables_of_the_host_are_known(inventory: Path) -> None:
    assert (
        host.variables_of(inventory, "node1").items()
        >= {
            "ansible_user": "ops",
            "ansible_become": True,
            "ansible_host": "192.0.2.10",
            "ansible_python_interpreter": "/usr/bin/python3",
            "generation_space": 5,
        }.items()
    )


@pytest.mark.parametrize("name", ["node3", "cpu", ""])
def test_host_that_the_inventory_does_not_have_is_refused(inventory: Path, name: str) -> None:
    with pytest.raises(UsageError, match="has no host called"):
        host.variables_of(inventory, name)


def test_modules_run_in_the_network_and_its_record_is_read(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Host(monkeypatch)
    with host.isolated(inventory, "node1", tmp_path) as place:
        fake.lines.append(json.dumps({"kind": "tcp", "to": "198.51.100.7", "port": 443, "at": 2.0}))
        ended = place.end("/opt/generation")
    assert fake.states == ["started", "tried", "tried", "ended", "ended"]
    interpreters = [variables["ansible_python_interpreter"] for _, variables in fake.calls]
    assert interpreters == [
        "/usr/bin/python3",
        "/run/x/python",
        "/run/x/python",
        "/usr/bin/python3",
        "/usr/bin/python3",
    ]
    # The Python of the stack is chosen as without a proof.
    requested = [variables.get("generation_interpreter") for _, variables in fake.calls]
    assert requested == [None, "/usr/bin/python3", "/usr/bin/python3", None, None]
    assert [str(one) for one in ended.seen.attempts] == ["tcp to 198.51.100.7 port 443"]
    assert (ended.seen.doubt, len(ended.seen.planted)) == ("", 6)
    assert (ended.packages, ended.wheels) == ({"gcc": "4:12", "make": "4"}, {"numpy": "1.2"})
    assert place.before == ended.packages


def test_state_asks_for_the_python_that_the_user_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter of the network, which node2 has, is none that a user asked for."""
    fake_ssh.put_on_path(tmp_path, monkeypatch)
    wrapper = program(tmp_path / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    hosts = fake_ssh.inventory(tmp_path / "hosts.yml", 2, ansible_python_interpreter=str(wrapper))
    content = yaml.safe_load(hosts.read_text(encoding="utf-8"))
    content["all"]["hosts"]["node2"] = {"generation_interpreter": ""}
    hosts.write_text(yaml.safe_dump(content), encoding="utf-8")
    variables = {"provision_stack_root": "/x", "provision_package_names": [], "provision_our_variables": "^provision_"}
    states = playbook.run(playbook.Request("state.yml", hosts, variables)).results.by_host("stack_state")
    asked = {host: state["invocation"]["module_args"]["interpreter"] for host, state in states.items()}
    assert asked == {"node1": str(wrapper), "node2": ""}


def test_inventory_with_its_secrets_can_be_read_by_nobody_else(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(monkeypatch)
    with host.isolated(inventory, "node1", tmp_path) as place:
        for file in (place.inventory, place.outside):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_recorder_that_does_not_see_what_is_planted_proves_nothing(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Host(monkeypatch, sees=False)
    with (
        pytest.raises(HostError, match=r"did not see what was planted: tcp to 192\.0\.2\.1 port 9"),
        host.isolated(inventory, "node1", tmp_path),
    ):
        pass
    assert fake.states[-1] == "ended"


def test_network_is_ended_after_an_error(inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Host(monkeypatch)
    with pytest.raises(KeyboardInterrupt), host.isolated(inventory, "node1", tmp_path):
        raise KeyboardInterrupt
    assert fake.states[-1] == "ended"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either --image or --host"),
        (["--image", "debian:12", "--host", "node1"], "give either --image or --host"),
        (["--host", "node1", "--keep"], "--engine and --keep are for containers"),
        (["--host", "node1", "--engine", "podman"], "--engine and --keep are for containers"),
        (["--host", "node3"], "has no host called node3"),
    ],
)
def test_place_that_is_not_clear_is_refused(
    inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    mirror = proving.make(tmp_path / "mirror")
    given = ["mirror", "prove", "-m", str(mirror), "-i", str(inventory), "--for", proving.PLATFORM, *words]
    assert main.boundary(given) == 2
    assert told in capsys.readouterr().err


def test_attempt_is_planted_with_another_address_each_time() -> None:
    record = recorded.Recorded()
    first, second = record.plant(ipv6=True), record.plant(ipv6=False)
    assert [one.to for one in first] == ["192.0.2.1", "2001:db8::1", "planted-1.invalid"]
    assert [one.to for one in second] == ["192.0.2.2", "planted-2.invalid"]
    assert record.missing() == [*first, *second]


def test_kill_leaves_no_inventory_with_secrets_and_no_view_of_the_mirror(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view without a package has a copy of the archive of all packages."""
    Host(monkeypatch)
    monkeypatch.setattr(host, "variables_of", lambda *_given: {"ansible_password": "secret"})
    place, began = tmp_path / "temporary", tmp_path / "began"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(keeper, "_process", None)  # the command that is killed has one of its own
    chosen = Settings(mirror=proving.make(tmp_path / "mirror"), inventory=inventory)
    request = Request(proving.PLATFORM, host="node1", without="nn")

    def act() -> None:
        with prove._subject(chosen, request) as subject, prove._place(subject, request, Findings()):
            began.write_text(str(len(list(place.iterdir()))))
            os.kill(os.getpid(), 9)

    assert killed(0, "", act)
    assert began.read_text() == "2"
    end = time.monotonic() + 20
    while left := list(place.iterdir()):
        assert time.monotonic() < end, left
        time.sleep(0.05)
