"""What differs between two builds of one generation, in words, with the reason if it is a known one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuraltalk_provision.rules.pack import Listed

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"\.a$", "a static library: some archivers write the dates of its members"),
    (r"\.log$", "a log of the build"),
    (r"\.html$", "a page that luarocks writes, with a date"),
    (
        r"(^|/)luarocks/rocks/manifest$",
        "luarocks writes the version of a dependency, or leaves it out if it was just removed from its memory",
    ),
    (r"(^|/)hdf5/runtime\.lua$", "declarations of the system's headers, which differ between releases of libc6-dev"),
    (
        r"(^|/)lib(THC|THCUNN|cutorch|cunn)[^/]*\.so",
        "nvcc names its temporary files, with process ids, in what it writes",
    ),
    (r"(^|/)lib(TH|THNN)\.(so|a)", "Torch is compiled for the processor of its builder"),
    (r"^python/bin/|(^|/)scorer\.json$", "the path of the host's Python is written there"),
    (r"(^|/)(direct_url\.json|RECORD|INSTALLER)$", "a file in which pip writes where and how it installed"),
    (
        r"\.(so|so\.[0-9.]+)$|(^|/)bin/",
        "another version of the compiler, the linker or a header, if the OS packages differ",
    ),
)
"""(pattern of paths, the usual reason why such files differ)."""


@dataclass(frozen=True)
class Difference:
    """A path that differs, the component that installed it, and what differs."""

    path: str
    component: str
    what: str
    reason: str = ""

    @property
    def words(self) -> str:
        """The difference on one line."""
        of = f" ({self.component})" if self.component else ""
        return f"{self.path}{of}: {self.what}" + (f"; the usual reason: {self.reason}" if self.reason else "")

    def as_json(self) -> dict[str, str]:
        """The difference as `--json` prints it."""
        return {"path": self.path, "component": self.component, "what": self.what, "reason": self.reason}


def differences(
    found: Iterable[tuple[str, Listed | None, Listed | None]], owners: Mapping[str, str]
) -> tuple[Difference, ...]:
    """The differences of two packs, as rules/pack.py finds them, with the component of each path."""
    return tuple(Difference(path, owners.get(path, ""), *_difference(path, left, right)) for path, left, right in found)


def _difference(path: str, left: Listed | None, right: Listed | None) -> tuple[str, str]:
    """(what differs, the usual reason)."""
    if left is None or right is None:
        return ("only the second has it" if left is None else "only the first has it"), _reason(path)
    if left.type != right.type or left.target != right.target:
        return f"{_kind(left)} and {_kind(right)}", ""
    if left.mode != right.mode:
        return f"mode {left.mode} and {right.mode}", ""
    return f"other content, {left.size} and {right.size} bytes", _reason(path)


def _kind(entry: Listed) -> str:
    return f"a {entry.type}" + (f" to {entry.target}" if entry.target else "")


def _reason(path: str) -> str:
    return next((reason for pattern, reason in _CAUSES if re.search(pattern, path)), "")
