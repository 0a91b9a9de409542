"""Reads YAML files that people write, and refuses values that YAML could read in another way than they are meant.

PyYAML reads YAML 1.1: there `0123` is 83, `1:30` is 90, `no` is false, and the last of duplicate keys is used. Here a
plain value is text, a decimal number, true, false or null; everything else to which YAML 1.1 gives a meaning is an
error that says what to write instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from neuraltalk_provision.errors import UsageError

LARGEST = 16 << 20
"""The maximum size of a file, in bytes."""
DEEPEST = 30
"""The maximum nesting depth of lists and mappings."""

_TAG = "tag:yaml.org,2002:"
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,400})?\.[0-9]{0,400}(?:[eE][-+][0-9]{1,4})?")
_QUOTE = "write it in quotes if it is text"
# The types of YAML 1.1 that are refused, and what to write instead.
_INSTEAD = {
    "int": f"write a decimal number of at most 18 digits without leading zeros, or {_QUOTE}",
    "float": f"write a decimal number such as 0.5 or 1.0e-5, or {_QUOTE}",
    "bool": f"write true or false if it is a truth value, or {_QUOTE}",
    "timestamp": _QUOTE,
    "merge": "write out its contents",
    "value": _QUOTE,
}


def read(file: Path) -> Any:
    """The content of a file: mappings, lists, text, numbers, booleans, null. Raises UsageError with file and line."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise UsageError(f"{file} does not parse: it is larger than {LARGEST >> 20} MiB")
    try:
        return parse(data.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file} does not parse: it is not text in UTF-8: {error.reason} at byte {error.start}"
        ) from None


def parse(text: str, name: str) -> Any:
    """The content of a YAML text; `name` is the name of its source in errors."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            return None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except _Refusal as error:
        raise UsageError(f"{name}, line {error.line}: {error.message}") from None
    except yaml.MarkedYAMLError as error:
        raise UsageError(f"{name} does not parse: line {_line(error.problem_mark)}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: an escape of an invalid character
        raise UsageError(f"{name} does not parse: {error}") from None


def not_boolean(value: object) -> object:
    """The value, unless it is true, false or null: a validator for pydantic, which would accept true as 1."""
    if isinstance(value, bool | None):
        raise ValueError("it cannot be true, false or empty: write a number or a name, or leave it out")
    return value


class _Refusal(Exception):  # noqa: N818
    """A value in the file is refused."""

    def __init__(self, node: yaml.Node | yaml.Event, message: str) -> None:
        super().__init__(message)
        self.line, self.message = _line(node.start_mark), message


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the checks of this module."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """The next node of the text, checked."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _Refusal(event, f"*{event.anchor}: references are not supported; write out the contents")
        if self._depth >= DEEPEST:
            raise _Refusal(event, f"more than {DEEPEST} lists and mappings are nested")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        elif isinstance(node, yaml.MappingNode):
            _check_keys(node)
        if node is not None and (kind := node.tag.removeprefix(_TAG)) not in _KINDS[type(node)]:
            raise _Refusal(node, f"!!{kind}: types are not supported; leave it out")
        return node


_KINDS: dict[type[yaml.Node], tuple[str, ...]] = {
    yaml.ScalarNode: ("str", "int", "float", "bool", "null"),
    yaml.SequenceNode: ("seq",),
    yaml.MappingNode: ("map",),
}


def _check_scalar(node: yaml.ScalarNode) -> None:
    kind, value = node.tag.removeprefix(_TAG), node.value
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
        raise _Refusal(node, "this text contains an invalid character: a NUL, or half of a surrogate pair")
    match kind:
        case "int":
            fine = bool(_WHOLE.fullmatch(value))
        case "float":
            fine = bool(_NUMBER.fullmatch(value)) and math.isfinite(float(value))
        case "bool":
            fine = value.lower() in ("true", "false")
        case _:
            fine = kind not in _INSTEAD
    if not fine:
        raise _Refusal(node, f"{_short(value)}: YAML can read this in another way; {_INSTEAD[kind]}")


def _check_keys(node: yaml.MappingNode) -> None:
    first: dict[tuple[str, str], int] = {}
    for key in _keys(node):
        if not isinstance(key, yaml.ScalarNode):
            raise _Refusal(key, "a name must be before the colon")
        named = (key.tag, key.value)
        if named in first:
            raise _Refusal(key, f"{_short(key.value)} is a duplicate of line {first[named]}; remove one")
        first[named] = _line(key.start_mark)


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


def _keys(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    return (key for key, _value in node.value)


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:40] + "..."
