"""Ansible's modules, imported and called as they are on a host."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils import basic

from plugins.module_utils.host import installed, manifest

COMMON = {"changed", "diff", "invocation", "warnings", "deprecations", "predicted"}
"""What every module may return without a line in its RETURN."""


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


def as_installed(generation: Path) -> None:
    """List everything in a generation as installed by its components, as it would be after a build."""
    listed = {}
    for name, path in manifest.walk(str(generation)):
        manifest.make_readable(path)
        listed[name] = {**manifest.describe(path), "component": ""}
    installed.write(str(generation), listed)


@functools.cache
def described(name: str) -> dict[str, Any]:
    """RETURN of a module."""
    values: dict[str, Any] = yaml.safe_load(importlib.import_module(f"plugins.modules.{name}").RETURN)
    return values


def check_described(name: str, result: Mapping[str, Any]) -> None:
    """AssertionError where a module returns what its RETURN does not describe: as a value, or as a key of one."""
    unknown = sorted(set(result) - set(described(name)) - COMMON)
    for value, description in described(name).items():
        if description["type"] == "dict" and isinstance(result.get(value), dict) and "contains" in description:
            unknown += [f"{value}.{key}" for key in sorted(set(result[value]) - set(description["contains"]))]
    assert unknown == [], f"RETURN of {name} describes no {', '.join(unknown)}"
