"""The lines that git writes while it fetches, as a fraction and words. Pure."""

from __future__ import annotations

import re

# The steps of a fetch that take time, and their shares of it: (where it begins, how much it is).
_STEPS = {"Receiving objects": (0.05, 0.8), "Unpacking objects": (0.05, 0.8), "Resolving deltas": (0.85, 0.15)}


def parse(line: str) -> tuple[float, str]:
    """(the fraction that is done, the rate or the message) for a line of git."""
    match = re.match(r"([A-Z][a-z]+ [a-z]+):\s+(\d{1,3})%[^,]*(?:, (.{1,60}))?$", line.removesuffix(", done."))
    if not match:
        return 0.0, line[:60]
    begin, share = _STEPS.get(match[1], (0.0, 0.05))
    return begin + share * min(int(match[2]), 100) / 100, match[3] or match[1].lower()


def gibibytes(line: str) -> float:
    """How much a fetch has received, in GiB; 0 below one."""
    match = re.search(r"^Receiving objects: .*, ([0-9.]{1,10}) GiB", line)
    return float(match[1]) if match and match[1].count(".") < 2 and match[1] != "." else 0.0
