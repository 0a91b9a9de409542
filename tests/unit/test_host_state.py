"""The states of hosts: who did not answer is named, known causes are explained, misspelt variables named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, events, host_state, playbook
from neuraltalk_provision.site.events import Failure, Told
from tests.unit.plans import HOSTS

EVENTS = Path(__file__).parent / "data" / "events"


@pytest.mark.parametrize(
    ("message", "unreachable", "cure"),
    [
        ("Missing sudo password", False, "set ansible_become_password, or give it NOPASSWD"),
        ("Task failed: Premature end of stream\nsudo: a password is required", False, "no sudo without a password"),
        ("ops is not in the sudoers file.  This incident will be reported.", False, "may not become root"),
        ("Sorry, user ops is not allowed to execute '/bin/sh' as root", False, "may not become root"),
        ("/bin/sh: 1: sudo: not found", False, "may not become root"),
        (
            "Failed to connect: ops@node1: Permission denied (publickey,password).",
            True,
            "check ansible_user and the key",
        ),
        ("Host key verification failed.", True, "its SSH host key is not known"),
        ("ssh: connect to host node1 port 22: Connection timed out", True, "it cannot be reached by SSH"),
        ("ssh: Could not resolve hostname nod1: Name or service not known", True, "it cannot be reached by SSH"),
        ("cc1: fatal error: x.s: No space left on device", False, "its disk is full"),
        ("The module interpreter '/usr/bin/python9' was not found.", False, "set ansible_python_interpreter"),
        ("/bin/sh: 1: /usr/bin/python3: not found", False, "set ansible_python_interpreter"),
        ("/bin/sh: python: command not found", False, "set ansible_python_interpreter"),
    ],
)
def test_known_cause_is_explained_with_what_to_do_and_what_was_said(message: str, unreachable: bool, cure: str) -> None:
    words = advice.explain(Failure("node1", "Ask", message, unreachable))
    assert words.startswith("node1: " if unreachable else "node1, Ask: ")
    assert cure in words
    assert words.endswith(f"\n  {message}")


@pytest.mark.parametrize(
    "message", ["luarocks make failed (rc 1)", "python: module h5py not found", "cannot find -lgfortran"]
)
def test_unknown_cause_is_told_as_it_is(message: str) -> None:
    assert advice.explain(Failure("node1", "torch : Build", message)) == f"node1, torch : Build: {message}"


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("gone", "cannot be reached by SSH"),
        ("nosudo", "no sudo without a password"),
        ("nopython", "no Python was found there"),
    ],
)
def test_cause_is_recognised_in_what_ansible_really_said(core: str, host: str, cure: str) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    (failure,) = (failure for failure in events.read(recorded["site"]).failures if failure.host == host)
    assert cure in advice.explain(failure)


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
def test_full_disk_is_recognised_in_a_module_that_crashed(core: str) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    (failure,) = events.read(recorded["crash"]).failures
    assert "its disk is full" in advice.explain(failure)


def answering(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setattr(playbook, "run", lambda request, *more: playbook.Outcome(0, told))


def answer(host: str, *variables: str) -> tuple[str, str, dict[str, Any]]:
    return (host, "stack_state", {"state": {**HOSTS["bare"]["state"], "variables": list(variables)}})


def test_answers_come_in_the_order_of_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Told(results=(answer("node2"), answer("node1"))))
    assert list(host_state.ask(Settings(), catalogue.load()).states) == ["node1", "node2"]


def test_every_host_that_did_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tuple(Failure(host, "Ask", "Connection refused", unreachable=True) for host in ("node1", "node2"))
    answering(monkeypatch, Told(results=(answer("node3"),), failures=gone))
    with pytest.raises(HostError, match=r"node1: it cannot(.|\n)*node2: it cannot") as caught:
        host_state.ask(Settings(), catalogue.load())
    assert "--limit" in caught.value.advice


def test_inventory_without_hosts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Told())
    with pytest.raises(UsageError, match="has no hosts"):
        host_state.ask(Settings(), catalogue.load())


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("generation_spce", "generation_space"),
        ("provision_forks", "forks"),
        ("provision_keep_generation", "keep_generations"),
        ("torch_prefix", None),
    ],
)
def test_variable_that_nothing_reads_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, near: str | None
) -> None:
    answering(monkeypatch, Told(results=(answer("node1", "generation_space", variable),)))
    with pytest.raises(UsageError) as caught:
        host_state.ask(Settings(inventory=Path("/srv/my 'site'/hosts.yml")), catalogue.load())
    assert caught.value.message.startswith("/srv/my 'site'/hosts.yml sets variables that nothing reads: " + variable)
    assert (f"did you mean {near}?" in caught.value.message) == (near is not None)


def test_variables_that_are_ours_to_give_are_not_the_inventorys(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("provision_stack_root", "provision_package_names", "provision_our_variables", "generation_space")
    answering(monkeypatch, Told(results=(answer("node1", *ours),)))
    assert list(host_state.ask(Settings(), catalogue.load()).states) == ["node1"]
