"""Source edits on text, by the same code that runs on hosts (plugins/module_utils/neuraltalk_edits.py)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from functools import cache
from types import ModuleType

from neuraltalk_provision import paths
from neuraltalk_provision.catalogue.model import Edit


@cache
def _shared() -> ModuleType:
    file = paths.module_utils() / "neuraltalk_edits.py"
    spec = importlib.util.spec_from_file_location("neuraltalk_edits", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(sources: Mapping[str, str], edits: Iterable[Edit]) -> list[str]:
    """What hinders the edits in these sources ({file: text}), in words; empty where all fit."""
    shared = _shared()
    found = []
    for name, of_file in shared.by_file([edit.model_dump() for edit in edits]):
        try:
            shared.apply_edits(sources.get(name, ""), of_file)
        except shared.EditError as error:
            found.append(str(error))
    return found
