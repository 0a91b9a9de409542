"""Durations as the settings have them. Pure."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read(given: object, what: str, longest: int) -> int:
    """A duration such as `30s`, `10m`, `2h` or `1d` in seconds; a plain number is in seconds. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(given).strip()) if not isinstance(given, bool) else None
    if found is None:
        raise ValueError(f"{what} must be a duration such as 30s, 10m, 2h or 1d: {given!r}")
    seconds = int(found[1]) * _UNITS[found[2] or "s"]
    if seconds > longest:
        raise ValueError(f"{what} must not be longer than {longest // 86400} days: {given!r}")
    return seconds
