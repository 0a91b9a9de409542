"""Writes variables in the form in which Ansible reads them from a file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


class _Verbatim(str):
    """Text that Ansible must not evaluate as a template."""


class _Dumper(yaml.SafeDumper):
    """Writes verbatim text with the tag !unsafe."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Verbatim, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def as_yaml(variables: Mapping[str, Any]) -> str:
    """The variables as YAML. Source edits and Lua code contain braces, which must not be read as templates."""
    return str(yaml.dump(_verbatim(dict(variables)), Dumper=_Dumper, sort_keys=False))


def _verbatim(value: Any) -> Any:
    if isinstance(value, str):
        return _Verbatim(value) if "{" in value else value
    if isinstance(value, Mapping):
        return {name: _verbatim(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_verbatim(entry) for entry in value]
    return value
