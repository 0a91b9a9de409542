"""The files of packed generations in a bundle: how they are called there, and where a mirror has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from neuraltalk_provision.mirror.cache_entry import file_of

DIRECTORY, ENTRY = "cache", "entry.json"
SIGNATURES = f"{ENTRY}.sig.d"
PATTERN = r"generation-([0-9a-f]{16})\.(?:(tar)|(entry\.json)|sig\.([A-Za-z0-9][A-Za-z0-9._+-]{0,150}\.sig))"
"""A name in a bundle; mirrors have no artifacts that are called so."""
_NAME = re.compile(PATTERN)


def tar(generation: str) -> str:
    """The name of its tar."""
    return file_of(generation)


def entry(generation: str) -> str:
    """The name of its entry."""
    return f"generation-{generation}.{ENTRY}"


def signature(generation: str, name: str) -> str:
    """The name of a signature of its entry."""
    return f"generation-{generation}.sig.{name}"


def is_one(name: str) -> bool:
    """Whether a name is that of a file of a packed generation."""
    return _NAME.fullmatch(name) is not None


def generation_of(name: str) -> str:
    """The id of the generation to which a file belongs; empty for other files."""
    match = _NAME.fullmatch(name)
    return match[1] if match else ""


def signature_of(name: str) -> str:
    """The name of a signature in its directory; empty for other files."""
    match = _NAME.fullmatch(name)
    return match[4] or "" if match else ""


def place(name: str) -> str:
    """The path of a file of a bundle in a mirror: that of an artifact is its name."""
    match = _NAME.fullmatch(name)
    if not match:
        return name
    folder = f"{DIRECTORY}/{match[1]}"
    if match[2]:
        return f"{folder}/{name}"
    return f"{folder}/{ENTRY}" if match[3] else f"{folder}/{SIGNATURES}/{match[4]}"


def incomplete(names: Iterable[str]) -> list[str]:
    """The ids of generations of which the tar or the entry is not among these names."""
    listed = set(names)
    ids = {generation_of(name) for name in listed}
    return sorted(one for one in ids if not {tar(one), entry(one)} <= listed)
