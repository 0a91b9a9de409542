"""Files that a pull writes itself for another file of the mirror: when one has to be written. Pure."""

from __future__ import annotations

from typing import Literal

from neuraltalk_provision.mirror.lock import Entry

_ORIGIN = "made for"


def origin(base: Entry) -> str:
    """The origin, in the lock, of a file that is made for this one."""
    return f"{_ORIGIN} {base.file} with the sha256 {base.sha256}"


def state(
    entry: Entry | None, base: Entry | None, of: str, replace: bool
) -> tuple[Literal["present", "make", "kept"], str]:
    """(what happens to the file, the reason); `entry` is what the mirror has, `base` what it is made for: `of`."""
    if entry and base and entry.origin == origin(base):
        return "present", ""
    if entry and not entry.origin.startswith(_ORIGIN) and not replace:
        return "kept", f"the mirror has another file for it, {entry.file}, which is kept; --replace replaces it"
    return "make", f"it is written when the mirror has {of}"
