"""Modules and roles are called by their full names, in the collection and in the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision import paths
from tests.unit.test_module_docs import KEYWORDS

FOLDERS = ("playbooks", "roles/*/tasks", "tests/molecule/**")
TASKS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
FILES = sorted({file for folder in FOLDERS for file in paths.share().glob(f"{folder}/*.yml")})


def tasks_of(content: Any) -> Iterator[dict[str, Any]]:
    """Every task of a playbook or of a file of tasks, those in blocks too."""
    for entry in content if isinstance(content, list) else []:
        inner = [key for key in TASKS if key in entry]
        if not inner and not {"hosts", "import_playbook", "ansible.builtin.import_playbook"} & set(entry):
            yield entry
        for key in inner:
            yield from tasks_of(entry[key])


def short_names(content: Any) -> list[str]:
    """The modules and roles that are not called by their full names."""
    found = []
    for task in tasks_of(content):
        actions = [key for key in task if key not in KEYWORDS and not key.startswith("with_")]
        found += [action for action in actions if action.count(".") < 2]
        roles = [task[action]["name"] for action in actions if action.endswith(("include_role", "import_role"))]
        found += [role for role in roles if not role.startswith("neuraltalk.provision.") and "{{" not in role]
    for play in content if isinstance(content, list) else []:
        found += [str(role) for role in play.get("roles", []) if "neuraltalk.provision." not in str(role)]
    return found


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(paths.share())) for file in FILES])
def test_full_names_are_used(file: Path) -> None:
    assert short_names(yaml.safe_load(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- copy: {}", ["copy"]),
        ("- block: [{name: x, when: y, stack_state: {}}]", ["stack_state"]),
        ("- hosts: all\n  tasks: [{ansible.builtin.include_role: {name: torch}}]", ["torch"]),
        ("- hosts: all\n  roles: [torch]", ["torch"]),
        ("- ansible.builtin.copy: {}\n  loop: []\n  register: x", []),
    ],
)
def test_short_names_are_found(text: str, found: list[str]) -> None:
    assert short_names(yaml.safe_load(text)) == found


def test_playbooks_take_and_release_the_lease_by_its_role() -> None:
    texts = {file.name: file.read_text(encoding="utf-8") for file in paths.playbooks().glob("*.yml")}
    assert [name for name, text in texts.items() if "neuraltalk.provision.host_lease" in text] == []
    users = [name for name, text in texts.items() if "name: neuraltalk.provision.lease" in text]
    assert sorted(users) == [
        "activate.yml",
        "cudnn.yml",
        "discard.yml",
        "give_back.yml",
        "pack.yml",
        "release.yml",
        "rollback.yml",
        "site.yml",
        "unpack.yml",
    ]
