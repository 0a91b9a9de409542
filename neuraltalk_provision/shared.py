"""Modules that hosts and the controller both use, imported from where hosts get them (plugins/module_utils)."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

from neuraltalk_provision import paths


@cache
def load(name: str) -> ModuleType:
    """The module of that name. It may import nothing but the standard library."""
    spec = importlib.util.spec_from_file_location(name, paths.module_utils() / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
