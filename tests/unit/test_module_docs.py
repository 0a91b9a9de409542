"""The documentation of modules: attributes, results, examples, and options that do not repeat keywords of Ansible."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task import Task

from neuraltalk_provision import paths

FILES = sorted((paths.plugins() / "modules").glob("*.py"))
NAMES = [file.stem for file in FILES]
KEYWORDS = {name for kind in (Task, Block, Play, IncludeRole) for name in kind.fattributes} | {"action", "local_action"}


def section(file: str, name: str) -> str:
    """DOCUMENTATION, EXAMPLES or RETURN of a module, as text."""
    text = (paths.plugins() / "modules" / f"{file}.py").read_text(encoding="utf-8")
    return text.split(f'{name} = r"""', 1)[1].split('"""', 1)[0]


@pytest.mark.parametrize("name", NAMES)
def test_no_option_of_a_module_is_a_keyword_of_ansible(name: str) -> None:
    """A task whose module has an option `register` reads as if it registered something."""
    assert {"register", "environment", "timeout", "when", "loop"} <= KEYWORDS
    assert set(yaml.safe_load(section(name, "DOCUMENTATION"))["options"]) & KEYWORDS == set()


def undescribed(values: dict[str, Any]) -> list[str]:
    """The names of dicts whose keys RETURN does not describe, and of lists whose elements it does not."""
    found = [name for name, value in values.items() if value["type"] == "list" and "elements" not in value]
    return found + [
        name
        for name, value in values.items()
        if "dict" in (value["type"], value.get("elements")) and not value.get("contains")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_documentation_says_what_check_mode_and_diff_do(name: str) -> None:
    documentation = yaml.safe_load(section(name, "DOCUMENTATION"))
    assert documentation["extends_documentation_fragment"] == ["action_common_attributes"]
    assert set(documentation["attributes"]) == {"check_mode", "diff_mode", "platform"}
    assert documentation["attributes"]["platform"] == {"platforms": "posix"}
    code = (paths.plugins() / "modules" / f"{name}.py").read_text(encoding="utf-8").split('RETURN = r"""')[1]
    returns_diff = re.search(r'"diff":|\bdiff ?=', code) is not None
    assert (documentation["attributes"]["diff_mode"]["support"] in ("full", "partial")) == returns_diff


@pytest.mark.parametrize("name", NAMES)
def test_results_are_described_to_their_keys(name: str) -> None:
    assert undescribed(yaml.safe_load(section(name, "RETURN"))) == []


def test_undescribed_results_are_found() -> None:
    assert undescribed({"a": {"type": "list"}, "b": {"type": "dict"}, "c": {"type": "list", "elements": "dict"}}) == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_examples_name_the_module_in_full(name: str) -> None:
    for example in yaml.safe_load(section(name, "EXAMPLES")):
        assert f"neuraltalk.provision.{name}" in example
