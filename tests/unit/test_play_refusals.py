"""What Ansible refuses before it connects to a host: the error names the cause, the file and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from neuraltalk_provision import command_log
from neuraltalk_provision.errors import ProvisionError, UsageError
from neuraltalk_provision.site import play_errors, playbook, variable_files
from neuraltalk_provision.site.playbook import Request

pytestmark = pytest.mark.slow


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory of one host, which is this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    file = tmp_path / "room" / "hosts.yml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump({"all": {"hosts": {"node1": here}}}), encoding="utf-8")
    return file


def refusal(inventory: Path, limit: str = "") -> ProvisionError:
    """The error of a playbook that cannot start."""
    request = Request("state.yml", inventory, {"provision_stack_root": "/nowhere"}, limit=[limit] if limit else [])
    with command_log.begin(["site"]), pytest.raises(ProvisionError) as caught:
        playbook.run(request)
    assert "Traceback" not in str(caught.value)
    assert "above exception" not in str(caught.value)
    assert caught.value.advice
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("group_vars/all.yml", b"a: b: c\n", "line 1, column 5"),
        ("group_vars/all/more.yaml", b"a: [1,\n", "line 2"),
        ("group_vars/all", b"- a\n- b\n", "names with values"),
        ("host_vars/node1.yml", b"\xff\xfe\n", "UTF-8"),
        ("host_vars/node1.json", b'{"a": }}', "line 1"),
        ("host_vars/node1.a.b", b"x: !foo 1\n", "!foo"),
        ("host_vars/node1", b"[" * 100_000, "line 1"),
        ("host_vars/node1.lan", b"a: b: c\n", "line 1, column 5"),
        ("group_vars/all.yml", b"a: {{ b }}\n", "unhashable"),
        ("group_vars/all.yml", b"a: 1\n---\nb: 2\n", "another document"),
        ("group_vars/all.yml", b"a: *x\n", "undefined alias"),
    ],
)
def test_file_of_variables_that_ansible_cannot_read_is_named(
    inventory: Path, name: str, content: bytes, where: str
) -> None:
    file = inventory.parent / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    (found,) = variable_files.unreadable((inventory, inventory.parent))
    assert found.startswith(f"{file}: ")
    assert where in found


def test_error_of_ansible_gets_the_name_of_the_file(inventory: Path) -> None:
    file = inventory.parent / "group_vars" / "all.yml"
    file.parent.mkdir()
    file.write_text("a: b: c\n", encoding="utf-8")
    error = refusal(inventory)
    assert isinstance(error, UsageError)
    assert f"{file}: line 1, column 5: " in str(error)


@pytest.mark.parametrize("limit", ["all[5]", "-x"])
def test_limit_that_ansible_does_not_understand_is_named(inventory: Path, limit: str) -> None:
    error = refusal(inventory, limit)
    assert isinstance(error, UsageError)
    assert limit in str(error)
    assert "vault" not in str(error)


@pytest.mark.parametrize("last", ["03", "9" * 5000])
def test_range_of_names_in_a_limit_is_explained(last: str) -> None:
    """Python does not read a number of thousands of digits: the error was called a bug of this program."""
    warning = "Could not match supplied host pattern, ignoring: node[01-03].lan"
    error = play_errors.error(warning, "hosts.yml", [f"node[01-{last}].lan"], "/here")
    assert "has no host or group called node[01-03].lan" in str(error)
    assert error and ("Write --limit node01.lan,node02.lan,node03.lan, or" in error.advice) == (last == "03")


def test_password_file_that_cannot_be_used_is_named_with_its_variable(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_BECOME_PASSWORD_FILE", "/no/such/file")
    error = refusal(inventory)
    assert isinstance(error, UsageError)
    assert "/no/such/file" in str(error)
    assert "ANSIBLE_BECOME_PASSWORD_FILE" in error.advice


def test_setting_of_the_environment_that_is_no_number_is_named(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_REMOTE_PORT", "abc")
    error = refusal(inventory)
    assert isinstance(error, UsageError)
    assert "ANSIBLE_REMOTE_PORT" in str(error) + error.advice


def test_files_that_ansible_reads_are_not_named(inventory: Path) -> None:
    for name, content in {
        "group_vars/all.yml": "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nb: !unsafe '{{ x }}'\n",
        "group_vars/vaulted.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "group_vars/empty.yml": "",
        "group_vars/comment.yml": "# nothing yet\n",
        "group_vars/merged.yml": "a: &a {x: 1}\nb: {<<: *a}\n",
        "group_vars/notes.txt": "a: b: c\n",
        "group_vars/all.yml.bak": "a: b: c\n",
        "group_vars/list.yml": "[]\n",
        "group_vars/emoji.json": '{"a": "\\ud83d\\ude00"}',
        "group_vars/.hidden.yml": "a: b: c\n",
        "group_vars/saved.yml~": "a: b: c\n",
    }.items():
        file = inventory.parent / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
    assert variable_files.unreadable(inventory) == []


def test_file_that_may_be_a_note_is_not_named_beside_one_that_ansible_reads(inventory: Path) -> None:
    for name, content in {"README": "Variables of the groups\n", "all.yml": "a: b: c\n"}.items():
        (inventory.parent / "group_vars").mkdir(exist_ok=True)
        (inventory.parent / "group_vars" / name).write_text(content, encoding="utf-8")
    (found,) = variable_files.unreadable(inventory)
    assert "all.yml: line 1, column 5" in found


def test_directory_behind_a_link_is_examined(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "main.yml").write_text("a: b: c\n", encoding="utf-8")
    (inventory.parent / "group_vars").mkdir()
    (inventory.parent / "group_vars" / "all").symlink_to(tmp_path / "common")
    assert len(variable_files.unreadable(inventory)) == 1


def test_a_thousand_files_are_read_and_a_loop_of_links_is_not_followed(inventory: Path) -> None:
    folder = inventory.parent / "host_vars"
    for number in range(1000):
        (folder / f"n{number}").mkdir(parents=True)
        (folder / f"n{number}" / "main.yml").write_text("a: 1\n", encoding="utf-8")
    (folder / "n0" / "loop").symlink_to(folder)
    (folder / "n999" / "main.yml").write_text("a: b: c\n", encoding="utf-8")
    found = variable_files.unreadable(inventory)
    assert [one.partition(": ")[0] for one in found] == [str(folder / "n999" / "main.yml")]


def test_names_of_a_list_that_the_inventory_does_not_have_are_named(inventory: Path, tmp_path: Path) -> None:
    """A list of 1,000 hosts of which two were removed: only the name of the list was in the message."""
    names = tmp_path / "names"
    names.write_text("node1\ngone1\ngone2\n", encoding="utf-8")
    error = refusal(inventory, f"@{names}")
    assert error.message == (
        f"the inventory {inventory} has no host or group called gone1, gone2, which --limit @{names} names"
    )
