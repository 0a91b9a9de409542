"""Numbers as programs and people write them, in JSON or as text. Pure."""

from __future__ import annotations

import math
from typing import Any

LARGEST = 1 << 53
"""Beyond it Lua's numbers, and JSON's in most languages, are not whole any more."""


def number(value: Any) -> float | None:
    """A number, from JSON or from text; None for anything else, also for NaN and infinity."""
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
    """A whole number, from JSON or from text, also as `1e+05`; None for anything else, and beyond 2^53."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() and abs(found) <= LARGEST else None
