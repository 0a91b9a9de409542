"""Rates as the settings and options have them. Pure."""

from __future__ import annotations

import re

SLOWEST = 1_000_000
"""The lowest limit of a rate, in bytes per second: below it, a piece of a file would take longer than a host waits."""
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMG]?)")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def read(given: object) -> int:
    """Bytes per second of a text such as `50M`; 0, for no limit, of `0` and of an empty text. Raises ValueError."""
    text = "" if isinstance(given, bool) else str(given)
    found = _RATE.fullmatch(text)
    value = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if given not in ("", 0, "0") and value < SLOWEST:
        raise ValueError(f"{given} is not a number of bytes per second of at least 1M, with or without K, M or G")
    return value
