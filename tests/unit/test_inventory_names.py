"""Names of groups and hosts in provision.yml are compared with the inventory before any host is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import inventories
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import survey
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import ansible_inventory, events, host_state, inventory_names, playbook
from tests.unit.test_cli import provision

pytestmark = pytest.mark.slow

HOSTS = """\
all:
  children:
    canary: {hosts: {node1: {}}}
    rack1: {hosts: {node2: {}, node3: {}}}
    spare: {}
"""


READ = ansible_inventory.read
ANSWERS: dict[object, dict[str, Any] | None] = {}


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory in a file. Ansible reads the same content once for all tests, because that takes a second."""

    def read(given: Inventory, question: Sequence[str], most: int) -> dict[str, Any] | None:
        texts = [one.read_text(encoding="utf-8") if one.exists() else "" for one in inventories.listed(given)]
        key = (os.environ.get("HOME"), *texts, *question)
        if key not in ANSWERS:
            ANSWERS[key] = READ(given, question, most)
        return ANSWERS[key]

    monkeypatch.setattr(ansible_inventory, "read", read)
    file = tmp_path / "hosts.yml"
    file.write_text(HOSTS, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"waves": ["canery", "100%"]}, "waves: the inventory has no group called canery; did you mean canary?"),
        ({"waves": ["canary", {"group": "rack9"}, "100%"]}, "waves: the inventory has no group called rack9"),
        ({"waves": ["canary", "node2", "100%"]}, "waves: the inventory has no group called node2, but a host"),
        ({"builders": ["node1", "nod2"]}, "builders: the inventory has no host called nod2; did you mean node2"),
        ({"builders": ["rack1"]}, "builders: the inventory has no host called rack1, but a group"),
        ({"slurm": "head"}, "slurm: the inventory has no host called head"),
        ({"waves": ["spare", "100%"]}, "waves: the first wave is the group spare, and it has no host"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest_one(inventory: Path, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory_names.check(Settings(inventory=inventory, **given))
    assert reason in caught.value.message
    assert str(inventory) in caught.value.message


def test_all_unknown_names_are_named_at_once(inventory: Path) -> None:
    with pytest.raises(UsageError) as caught:
        inventory_names.check(Settings(inventory=inventory, waves=["x1", "100%"], builders=["x2"], slurm="x3"))  # type: ignore[arg-type]
    assert all(name in caught.value.message for name in ("x1", "x2", "x3"))


@pytest.mark.parametrize(
    "given",
    [
        {"waves": ["canary", "rack1", "spare", "100%"], "builders": ["node2"], "slurm": "node1"},
        {"waves": ["all"]},
        {"waves": ["ungrouped", "all"], "slurm": "none"},
    ],
)
def test_known_names_are_accepted(inventory: Path, given: dict[str, Any]) -> None:
    if given["waves"][0] == "ungrouped":
        inventory.write_text(HOSTS + "    ungrouped: {hosts: {node4: {}}}\n", encoding="utf-8")
    inventory_names.check(Settings(inventory=inventory, **given))


def test_home_that_cannot_be_written_does_not_switch_the_check_off(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc")
    settings = Settings(inventory=inventory, builders=("nope",))
    with pytest.raises(UsageError, match="has no host called nope"):
        inventory_names.check(settings)


def test_several_inventories_are_read_together(inventory: Path, tmp_path: Path) -> None:
    other = tmp_path / "more"
    other.write_text("[late]\nnode9\n", encoding="utf-8")
    inventory_names.check(Settings(inventory=(inventory, other), waves=["canary", "late", "100%"], builders=["node9"]))  # type: ignore[arg-type]


def test_inventory_is_not_read_for_settings_without_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inventory_names.ansible_inventory, "read", lambda *_: pytest.fail("it was read"))
    inventory_names.check(Settings(inventory=tmp_path / "nothing"))


def test_inventory_that_cannot_be_read_is_left_to_the_playbook(tmp_path: Path) -> None:
    broken = tmp_path / "hosts.yml"
    broken.write_text("all: [\n", encoding="utf-8")
    inventory_names.check(Settings(inventory=broken, waves=["canary", "100%"]))  # type: ignore[arg-type]


def test_names_are_compared_before_hosts_are_asked(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_state, "read_each", lambda *_: pytest.fail("hosts were asked"))
    with pytest.raises(UsageError, match="no group called nosuch"):
        survey.survey(Settings(inventory=inventory, waves=["nosuch", "100%"]), (), Output())  # type: ignore[arg-type]


def test_host_of_a_rollout_that_the_inventory_lost_is_set_aside(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Ansible's --limit, one unknown name of a hundred is an error for all."""
    asked: list[tuple[str, ...]] = []

    def read(_settings: Settings, _catalogue: object, limit: tuple[str, ...]) -> host_state.HostStates:
        asked.append(tuple(limit))
        return host_state.HostStates({})

    monkeypatch.setattr(host_state, "read_each", read)
    (inventory.parent / "mirror").mkdir()
    settings = Settings(inventory=inventory, mirror=inventory.parent / "mirror")
    found = survey.survey(settings, ["node1", "node7", "node2"], Output(as_json=True), named=True)
    assert asked == [("node1", "node2")]
    assert [(one.host, one.code) for one in found.aside] == [("node7", "host.refused")]
    assert "the inventory does not have it any more" in found.aside[0].reason
    with pytest.raises(UsageError, match="none of the hosts of the rollout"):
        survey.survey(settings, ["node7"], Output(as_json=True), named=True)
    assert len(asked) == 1


PLANS = {
    "train": ["--", "-input_h5", "/d/x.h5", "-input_json", "/d/x.json"],
    "eval": ["--launcher", "slurm", "--", "-model", "/d/m.t7"],
    "data inspect": ["/d/pictures"],
}


@pytest.mark.parametrize("verb", PLANS)
def test_plan_of_a_run_refuses_a_host_that_the_inventory_does_not_have(
    inventory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """It promised a run that could not be started."""
    monkeypatch.chdir(inventory.parent)

    def planned(host: str) -> tuple[int, str]:
        code, _, err = provision(capsys, *verb.split(), "--plan", "--host", host, "-i", inventory, *PLANS[verb])
        return code, err

    code, err = planned("nod2")
    assert code == 2
    assert f"{inventory}: the inventory has no host called nod2; did you mean node2" in " ".join(err.split())
    assert planned("node2")[0] == 0


def test_pattern_for_the_host_of_a_run_is_left_to_ansible(inventory: Path) -> None:
    for host in ("node[1:1]", "node1:!node2", "canary"):
        inventory_names.refuse_unknown(Settings(inventory=inventory), host)
    inventory_names.refuse_unknown(Settings(inventory=inventory.parent / "none.yml"), "node9")


DOUBLES = {
    "all": {"hosts": ["web", "db", "gpu", "x"], "children": ["web", "db", "gpu"]},
    "web": {"hosts": ["web2", "web3"]},
    "db": {"hosts": ["db"]},
}


@pytest.mark.parametrize(
    ("limit", "means"),
    [
        (("web",), ""),
        (("web", "x"), ""),
        (("x", "!db"), ""),
        (("all:!x",), ""),
        (("x", "!web"), "web2, web3"),
        (("all:&web",), "web2, web3"),
        (("!gpu",), "no host"),
    ],
)
def test_name_of_a_host_that_means_a_group_in_a_limit_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, ...], means: str
) -> None:
    """A run on the host web was started and then called an error, and `--limit '!web'` left the host in."""
    file, ran = tmp_path / "hosts.yml", playbook.Outcome(0, events.read([{"event": "playbook_on_stats"}]))
    file.touch()
    asked: list[object] = []
    monkeypatch.setattr(ansible_inventory, "read", lambda *_: DOUBLES)
    monkeypatch.setattr(playbook, "_run_once", lambda *given: asked.append(given) or ran)
    if means:
        with pytest.raises(UsageError, match=f"Ansible takes the name for the group, which has {means}$"):
            playbook.run(playbook.Request("run.yml", file, limit=limit))
    else:
        playbook.run(playbook.Request("run.yml", file, limit=limit))
    assert len(asked) == (not means)
