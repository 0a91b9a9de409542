"""The documentation of modules: attributes, results and examples; and options that Ansible itself has no word for."""

from __future__ import annotations

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
