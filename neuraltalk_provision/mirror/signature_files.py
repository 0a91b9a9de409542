"""Reads the files of signatures in a directory, which anybody can have made: their number and sizes have limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from neuraltalk_provision.mirror import bounded

SUFFIX = ".sig"
MOST_SIGNATURES = 50
LARGEST_SIGNATURE = 64 << 10

SignatureFiles = tuple[list[tuple[str, bytes | OSError]], str, str]
"""([(file name, its content or why it cannot be read)], a problem with the directory, advice)."""


def read(place: Path) -> SignatureFiles:
    """The signatures in a directory, sorted by file name. Never raises."""
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in islice(_signatures(entries), MOST_SIGNATURES + 1)]
    except FileNotFoundError:
        return [], "", ""
    except OSError as error:
        return [], f"{place} cannot be read: {error.strerror or error}", "Make it a directory that you can read."
    if len(names) > MOST_SIGNATURES:
        return (
            [],
            f"{place} contains more than {MOST_SIGNATURES} signatures",
            "Move the signatures of earlier keys to another place, then run the same command again.",
        )
    return [(name, _read(place / name)) for name in sorted(names)], "", ""


def _signatures(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in entries if entry.name.endswith(SUFFIX) and not entry.name.startswith("."))


def _read(file: Path) -> bytes | OSError:
    try:
        return bounded.read(file, LARGEST_SIGNATURE).content
    except OSError as error:
        return error
