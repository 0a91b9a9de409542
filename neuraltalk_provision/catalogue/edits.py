"""Source edits on text, by the same code that runs on hosts (rules/edits.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neuraltalk_provision.catalogue.model import Edit
from neuraltalk_provision.rules import edits as rules


def problems(sources: Mapping[str, str], edits: Iterable[Edit]) -> list[str]:
    """Why edits cannot be applied to these sources ({file: text}); empty if all can be applied."""
    found = []
    for name, of_file in rules.by_file([edit.model_dump() for edit in edits]):
        try:
            rules.apply_edits(sources.get(name, ""), of_file)
        except rules.EditError as error:
            found.append(str(error))
    return found
