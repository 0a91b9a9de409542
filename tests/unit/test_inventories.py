"""Inventories, and the paths in them, mean what they mean to plain Ansible, wherever the user stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import inventories, settings
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.site import ansible_inventory, host_state, playbook
from neuraltalk_provision.site.events import PlayResults
from neuraltalk_provision.site.playbook import Outcome, Request
from tests.unit import fake_ssh
from tests.unit.fake_ssh import FakeSsh
from tests.unit.programs import program

pytestmark = pytest.mark.slow

Ask = Callable[..., Outcome]
LOCAL = {"ansible_connection": "local"}
VAULT = """\
$ANSIBLE_VAULT;1.1;AES256
31363230366137306465366564306534623335303461353732306332373033306662333339633430
6633323538346461656166663164386361323565623566350a663834383133393538393333643432
64373734353633393862666430306639333862323466393639383865343831653263643666393930
6239616261656263350a633932363063663366313731643632396330653236373133306363393831
6232
"""
"""`site_name: x`, encrypted by ansible-vault with the password `secret`."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the user stands; the inventory is in another one."""
    place = tmp_path / "the user's directory"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST", "ANSIBLE_BECOME_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return fake_ssh.put_on_path(tmp_path, monkeypatch)


@pytest.fixture
def ask(here: Path, tmp_path: Path) -> Ask:
    """Reaches the hosts of inventories."""
    file = fake_ssh.reach(tmp_path)

    def ask(*files: Path | inventories.Inventory, limit: tuple[str, ...] = ()) -> Outcome:
        given = files[0] if len(files) == 1 else tuple(file for file in files if isinstance(file, Path))
        return playbook.run(Request(file, given, limit=limit))

    return ask


def local(file: Path, *names: str, **variables: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"all": {"hosts": {name: {} for name in names}, "vars": {**LOCAL, **variables}}}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def hosts(outcome: Outcome) -> list[str]:
    assert not outcome.results.failures
    return sorted(outcome.results.by_host(fake_ssh.REACHED))


def test_inventory_gets_the_variables_of_the_environment_that_the_settings_name_and_no_others(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that finds nothing in the environment has no hosts, and the error says why."""
    script = program(
        tmp_path / "hosts",
        '#!/bin/sh\n[ "$1" = --list ] || { echo {}; exit; }\n'
        'echo "{\\"all\\": {\\"hosts\\": [${RACK:+\\"$RACK-$OTHER\\"}]}, \\"_meta\\": {\\"hostvars\\": {}}}"\n',
    )
    (tmp_path / "vars.yml").write_text(f"all: {{vars: {json.dumps(LOCAL)}}}\n")
    monkeypatch.setenv("RACK", "r7")
    monkeypatch.setenv("OTHER", "secret")
    files = [script, tmp_path / "vars.yml"]
    (tmp_path / "provision.yml").write_text(
        f"inventory: [{files[0].name}, {files[1].name}]\ninventory_environment: [RACK]\n"
    )
    loaded = settings.load(tmp_path / "provision.yml").inventory
    assert inventories.listed(loaded) == tuple(files)
    assert hosts(ask(loaded)) == ["r7-"]
    found = ansible_inventory.read(loaded, ["--list"], 1 << 20)
    assert found
    assert found["ungrouped"]["hosts"] == ["r7-"]
    monkeypatch.setattr(playbook, "run", lambda _request: Outcome(0, PlayResults(())))
    with pytest.raises(UsageError) as caught:
        host_state.read_each(settings.Settings(inventory=tuple(files)), catalogues.load())
    assert "inventory_environment in provision.yml" in caught.value.advice


def test_variables_that_change_ansible_itself_cannot_be_named(tmp_path: Path) -> None:
    for name in ("ANSIBLE_CONFIG", "PYTHONPATH", "LD_PRELOAD", "a b"):
        (tmp_path / "provision.yml").write_text(f"inventory_environment: ['{name}']\n")
        with pytest.raises(UsageError, match="inventory_environment"):
            settings.load(tmp_path / "provision.yml")


def test_ssh_gets_paths_that_count_from_where_the_user_stands_or_from_the_inventory(
    ssh: FakeSsh, ask: Ask, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """node1 has relative paths, node2 the directory of its inventory, and node3 the key of the environment."""
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", "keys/id")
    file = fake_ssh.inventory(tmp_path / "site" / "hosts.yml", 3)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["all"]["hosts"]["node1"] = {
        "ansible_ssh_private_key_file": "keys/id",
        "ansible_ssh_common_args": "-o UserKnownHostsFile=known_hosts -o ProxyCommand='./jump %h'",
        "ansible_ssh_extra_args": "-F ssh_config",
    }
    content["all"]["hosts"]["node2"] = {"ansible_ssh_private_key_file": "{{ inventory_dir }}/keys/id"}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert hosts(ask(file)) == ["node1", "node2", "node3"]
    assert {call.partition(": ")[0] for call in ssh.calls} == {str(here)}
    relative = ('IdentityFile="keys/id"', "UserKnownHostsFile=known_hosts", "ProxyCommand=./jump %h", "-F ssh_config")
    expected = {
        "node1": relative,
        "node2": (f'IdentityFile="{tmp_path}/site/keys/id"',),
        "node3": (f'IdentityFile="{here}/keys/id"',),
    }
    for host, options in expected.items():
        calls = [call for call in ssh.calls if f" {host} " in call]
        assert calls and all(option in call for call in calls for option in options)


@pytest.mark.parametrize("variable", ["ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST"])
def test_password_of_the_vault_is_read_where_the_user_stands(
    ask: Ask, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    encrypted(local(tmp_path / "site" / "hosts.yml", "node1"))
    (here / ".vault_pass").write_text("secret\n")
    monkeypatch.setenv(variable, ".vault_pass" if variable.endswith("FILE") else "site@.vault_pass")
    assert hosts(ask(tmp_path / "site" / "hosts.yml")) == ["node1"]


def test_password_of_sudo_is_read_where_the_user_stands(
    ssh: FakeSsh, ask: Ask, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "become").write_text("s3cr3t-of-sudo\n")
    monkeypatch.setenv("ANSIBLE_BECOME_PASSWORD_FILE", "become")
    assert hosts(ask(fake_ssh.inventory(tmp_path / "site" / "hosts.yml"))) == ["node1"]


@pytest.mark.parametrize(
    ("file", "content"), [(None, ""), (".vault_pass", "wrong\n"), ("missing", None)], ids=["none", "wrong", "missing"]
)
def test_vault_that_cannot_be_decrypted_is_told_in_words(
    ask: Ask, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, content: str | None
) -> None:
    inventory = encrypted(local(tmp_path / "site" / "hosts.yml", "node1"))
    if file:
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", file)
        if content:
            (here / file).write_text(content)
    with pytest.raises(UsageError, match="ansible-vault") as caught:
        ask(inventory)
    assert "Traceback" not in caught.value.message
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in caught.value.advice
    assert str(here) in caught.value.advice


def test_all_inventories_that_are_given_are_used(ask: Ask, tmp_path: Path) -> None:
    first = local(tmp_path / "a's" / "hosts.yml", "node1")
    second = local(tmp_path / "b" / "more.yml", "node2", "node3")
    assert hosts(ask(first, second)) == ["node1", "node2", "node3"]


def test_one_missing_inventory_of_several_is_refused(ask: Ask, tmp_path: Path) -> None:
    there = local(tmp_path / "a" / "hosts.yml", "node1")
    with pytest.raises(UsageError, match=r"none\.yml: there is no such inventory"):
        ask(there, tmp_path / "none.yml")


def test_one_unreadable_inventory_of_several_is_refused(ask: Ask, tmp_path: Path) -> None:
    there = local(tmp_path / "a" / "hosts.yml", "node1")
    (tmp_path / "broken.yml").write_text("{ [\n")
    with pytest.raises(UsageError, match=r"hosts.yml and .*broken.yml"):
        ask(there, tmp_path / "broken.yml")


def test_ranges_in_an_inventory_and_patterns_in_a_limit_are_ansibles(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump({"all": {"children": {"rack": {"hosts": {"node[01:04]": LOCAL}}}}}))
    assert hosts(ask(file, limit=("rack[0:1]", "~node0[34]", "!node04"))) == ["node01", "node02", "node03"]


def test_range_of_names_as_a_limit_is_explained(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump({"all": {"hosts": {"node[01:04]": LOCAL}}}))
    for limit in ("node[01:02]", "node[01-02]"):  # as people write it, and as messages fold names
        with pytest.raises(UsageError, match=rf"no host or group called {re.escape(limit)}") as caught:
            ask(file, limit=(limit,))
        assert "position" in caught.value.advice
        assert "--limit node01,node02" in caught.value.advice


def test_file_with_a_limit_is_read_where_the_user_stands(ask: Ask, here: Path, tmp_path: Path) -> None:
    file = local(tmp_path / "site" / "hosts.yml", "node1", "node2", "node3")
    (here / "some-hosts").write_text("node1\nnode3\n")
    assert hosts(ask(file, limit=("@some-hosts",))) == ["node1", "node3"]


def test_file_with_a_limit_that_does_not_exist_is_told_with_where_it_was_looked_for(
    ask: Ask, here: Path, tmp_path: Path
) -> None:
    file = local(tmp_path / "site" / "hosts.yml", "node1")
    with pytest.raises(UsageError, match=r"--limit @missing: .*cannot be read") as caught:
        ask(file, limit=("@missing",))
    assert str(here) in caught.value.message


def test_names_in_a_file_with_a_limit_that_match_nothing_are_told(ask: Ask, here: Path, tmp_path: Path) -> None:
    """It was the file that was called an unknown host."""
    file = local(tmp_path / "site" / "hosts.yml", "node1")
    (here / "some").write_text("\ufeffnode1\n# good ones\nnode1\nnod2\nnode9\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        ask(file, limit=("@some",))
    assert "called \\ufeffnode1, # good ones, nod2, node9, which --limit @some names" in caught.value.message
    assert "Lines of a file that begin with # count as names too" in caught.value.advice


def test_hosts_can_be_listed_in_place_of_a_file(here: Path, tmp_path: Path, ssh: FakeSsh, ask: Ask) -> None:
    chosen = settings.load(None, inventory=(Path("node1,node2"),))
    assert inventories.listed(chosen.inventory) == (Path("node1,node2"),)
    assert hosts(ask(*inventories.listed(chosen.inventory))) == ["node1", "node2"]
    assert {call.split(" node")[1][0] for call in ssh.calls} == {"1", "2"}


def test_file_with_a_comma_in_its_name_is_a_file(here: Path) -> None:
    local(here / "a,b.yml", "node1")
    assert settings.load(None, inventory=(Path("a,b.yml"),)).inventory == here / "a,b.yml"


def test_inventories_in_the_settings_count_from_their_file(here: Path, tmp_path: Path) -> None:
    file = tmp_path / "site" / "provision.yml"
    file.parent.mkdir()
    file.write_text("inventory: [hosts.yml, ../more]\n")
    chosen = settings.load(file)
    assert chosen.inventory == (tmp_path / "site" / "hosts.yml", tmp_path / "site" / "../more")
    assert inventories.named(chosen.inventory) == f"{tmp_path}/site/hosts.yml and {tmp_path}/site/../more"
    assert settings.load(file, inventory=(Path("a"), Path("b"))).inventory == (here / "a", here / "b")
    assert settings.load(file, inventory=()).inventory == chosen.inventory


def encrypted(file: Path) -> Path:
    """The inventory, with an encrypted variable of all its hosts."""
    folder = file.parent / "group_vars"
    folder.mkdir()
    (folder / "all.yml").write_text(VAULT)
    return file
