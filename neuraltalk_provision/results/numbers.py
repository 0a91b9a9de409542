"""Reads numbers from JSON values or text. Pure."""

from __future__ import annotations

import math
from typing import Any

LARGEST = 1 << 53
"""The largest integer that Lua, and JSON in most languages, represent exactly (2^53)."""


def number(value: Any) -> float | None:
    """The number in a JSON value or text; None for anything else, including NaN and infinity."""
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
    """The integer in a JSON value or text, also as `1e+05`; None for anything else, and beyond 2^53."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() and abs(found) <= LARGEST else None
