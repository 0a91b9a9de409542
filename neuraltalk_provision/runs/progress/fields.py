"""What a host or a file says, taken as the type that is needed, or as nothing. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_LARGEST = 1 << 53
"""Beyond it Lua's numbers, and JSON's in most languages, are not whole any more."""


def text(value: Any) -> str:
    """The value where it is text; else nothing."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A number, from JSON or from text; None for what is none, NaN and the endless among it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > 400:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A whole number, from JSON or from text, also as `1e+05`; None for what is none or beyond 2^53."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() and abs(found) <= _LARGEST else None


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing of what is no list."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []
