"""Which files a mirror still needs. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neuraltalk_provision.catalogue.model import Catalogue, Check

ANY = "PLATFORM"
"""In names, instead of a platform that is not known yet."""
HOW = (
    "`provision mirror pull --for PLATFORM` fetches most of them; docs/mirror.md says where the others come from, and "
    "`provision mirror add FILE...` imports them"
)
"""How the files that are needed get into a mirror."""


@dataclass(frozen=True)
class Needed:
    """An artifact that a mirror does not have: its name in the lock, and the file to bring."""

    name: str
    file: str
    optional: bool
    what: str
    role: str


def needed(catalogue: Catalogue, listed: Collection[str], platforms: Collection[str] = ()) -> tuple[Needed, ...]:
    """What is not in `listed` (names of the lock), in the catalogue's order, the required ones first."""
    rows = []
    for artifact in catalogue.artifacts:
        what = catalogue.checks.get(artifact.name, Check()).what
        for platform in (sorted(platforms) or [ANY]) if artifact.per_platform else [""]:
            name = f"{artifact.name}-{platform}" if platform else artifact.name
            if name not in listed:
                rows.append(Needed(name, artifact.file_name(platform), artifact.optional, what, artifact.role))
    return tuple(sorted(rows, key=lambda row: row.optional))
