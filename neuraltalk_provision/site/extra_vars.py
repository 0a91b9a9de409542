"""Variables as Ansible reads them from a file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


class _Verbatim(str):
    """Text that Ansible must not take for a template."""


class _Dumper(yaml.SafeDumper):
    """Writes verbatim text with Ansible's !unsafe tag."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Verbatim, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def as_yaml(variables: Mapping[str, Any]) -> str:
    """The variables as Ansible reads them: source edits and Lua hold braces, which are no templates."""
    return str(yaml.dump(_verbatim(dict(variables)), Dumper=_Dumper, sort_keys=False))


def _verbatim(value: Any) -> Any:
    if isinstance(value, str):
        return _Verbatim(value) if "{" in value else value
    if isinstance(value, Mapping):
        return {name: _verbatim(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_verbatim(entry) for entry in value]
    return value
