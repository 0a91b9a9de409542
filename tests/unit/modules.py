"""Ansible's modules, imported and called as they are on a host."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from ansible.module_utils import basic


class ModuleError(Exception):
    """The module ended with fail_json; `result` is what it said."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


@contextlib.contextmanager
def arguments(given: dict[str, Any]) -> Iterator[None]:
    """The arguments as Ansible hands them to a module: 2.19 wants a profile with them, 2.16 knows none."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:
        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before
    else:
        with patch_module_args(given):
            yield
