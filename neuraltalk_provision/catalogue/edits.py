"""Source edits on text, by the same code that runs on hosts (plugins/module_utils/neuraltalk_edits.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neuraltalk_provision import shared
from neuraltalk_provision.catalogue.model import Edit


def problems(sources: Mapping[str, str], edits: Iterable[Edit]) -> list[str]:
    """What hinders the edits in these sources ({file: text}), in words; empty where all fit."""
    host = shared.load("neuraltalk_edits")
    found = []
    for name, of_file in host.by_file([edit.model_dump() for edit in edits]):
        try:
            host.apply_edits(sources.get(name, ""), of_file)
        except host.EditError as error:
            found.append(str(error))
    return found
