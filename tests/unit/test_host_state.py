"""The states of hosts: who did not answer is named, known causes are explained, misspelt variables named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes, host_state, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.plans import HOSTS

EVENTS = Path(__file__).parent / "data" / "events"


def answering(monkeypatch: pytest.MonkeyPatch, results: PlayResults) -> None:
    monkeypatch.setattr(playbook, "run", lambda request, *more: playbook.Outcome(0, results))


def answer(host: str, *variables: str) -> tuple[str, str, dict[str, Any]]:
    return (host, "stack_state", {"state": {**HOSTS["bare"]["state"], "variables": list(variables)}})


def test_answers_come_in_the_order_of_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, PlayResults(results=(answer("node2"), answer("node1"))))
    assert list(host_state.read(Settings(), catalogue.load()).states) == ["node1", "node2"]


def test_every_host_that_did_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tuple(
        Failure(host, "Ask", "Connection refused", True, code=codes.UNREACHABLE) for host in ("node1", "node2")
    )
    answering(monkeypatch, PlayResults(results=(answer("node3"),), failures=gone))
    with pytest.raises(HostError, match=r"node1: the host cannot(.|\n)*node2: the host cannot") as caught:
        host_state.read(Settings(), catalogue.load())
    assert "--limit" in caught.value.advice


def test_inventory_without_hosts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, PlayResults())
    with pytest.raises(UsageError, match="has no hosts"):
        host_state.read(Settings(), catalogue.load())


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("generation_spce", "generation_space"),
        ("provision_forks", "forks"),
        ("provision_keep_generation", "keep_generations"),
        ("torch_prefix", None),
        ("neuraltalk_rak", "neuraltalk_rack"),
        ("neuraltalk_adress", "neuraltalk_address"),
        ("neuraltak_rack", "neuraltalk_rack"),
        ("slurm_nodename", "slurm_node_name"),
    ],
)
def test_variable_that_nothing_reads_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, near: str | None
) -> None:
    answering(monkeypatch, PlayResults(results=(answer("node1", "generation_space", variable),)))
    with pytest.raises(UsageError) as caught:
        host_state.read(Settings(inventory=Path("/srv/my 'site'/hosts.yml")), catalogue.load())
    assert caught.value.message.startswith(
        "the inventory /srv/my 'site'/hosts.yml sets variables that nothing reads: " + variable
    )
    assert (f"did you mean {near}?" in caught.value.message) == (near is not None)


def test_variables_of_others_with_a_similar_beginning_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ("neuraltalk_users", "neuraltalk_backup", "slurm_nodes", "slurm_config", "neural_net")
    ours = ("neuraltalk_rack", "neuraltalk_address", "slurm_node_name")
    answering(monkeypatch, PlayResults(results=(answer("node1", *ours, *theirs),)))
    assert list(host_state.read(Settings(), catalogue.load()).states) == ["node1"]


def test_variables_that_are_ours_to_give_are_not_the_inventorys(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("provision_stack_root", "provision_package_names", "provision_our_variables", "generation_space")
    answering(monkeypatch, PlayResults(results=(answer("node1", *ours),)))
    assert list(host_state.read(Settings(), catalogue.load()).states) == ["node1"]
