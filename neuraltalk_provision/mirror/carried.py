"""The rows of the list that goes with a bundle: each artifact, its licence, and what is inside it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from neuraltalk_provision.catalogue import Catalogue, target
from neuraltalk_provision.catalogue.model import GitSource, Licence, Submodule
from neuraltalk_provision.mirror import lock
from neuraltalk_provision.mirror.contained import Inside, Statement
from neuraltalk_provision.mirror.identify import artifact_of
from neuraltalk_provision.mirror.licence_names import spdx

UNKNOWN = Statement(why="this artifact is not in the catalogue")
BUILT = Statement(why="built from the sources of this list, with their licences")
INSIDE = Statement(why="each package has its own")
_COMMIT = re.compile(r"(https?://\S+) ([0-9a-f]{40})")


@dataclass(frozen=True)
class Part:
    """A submodule of a source archive; `commit` is empty if it is not known which one the archive has."""

    path: str
    address: str
    commit: str
    statement: Statement


@dataclass(frozen=True)
class Row:
    """An artifact of the list; `source` if it is sources. `address` and `commit` are known if they were pulled."""

    entry: lock.Entry
    statement: Statement
    carried: bool
    source: bool = False
    address: str = ""
    commit: str = ""
    parts: tuple[Part, ...] = ()
    inside: Inside = field(default_factory=Inside)
    distribution: tuple[str, str] = ("", "")
    """(ID, major version) of the platform that OS packages are for."""


def is_read(entry: lock.Entry, catalogue: Catalogue) -> bool:
    """Whether the file of an entry is a tar whose packages or wheels are listed."""
    artifact = artifact_of(entry.name, catalogue)
    return artifact is not None and catalogue.licences.get(artifact.name, Licence()).inside


def row(entry: lock.Entry, catalogue: Catalogue, inside: Mapping[str, Inside], *, carried: bool) -> Row:
    """The row of an entry of the lock; `inside` are the tars that were read, by file name."""
    artifact = artifact_of(entry.name, catalogue)
    if artifact is None:
        return Row(entry, UNKNOWN, carried)
    licence = catalogue.licences.get(artifact.name)
    source = catalogue.sources.get(artifact.name)
    address, commit = _pulled(entry)
    made = isinstance(source, GitSource) and _is_made_of(entry, source)
    if made and isinstance(source, GitSource):
        address, commit = source.address, source.commit
    parts = tuple(_part(part, licence, made) for part in (source.submodules if isinstance(source, GitSource) else ()))
    key = target.split(entry.name.removeprefix(f"{artifact.name}-")) if artifact.per_platform else None
    return Row(
        entry,
        _statement(licence),
        carried,
        isinstance(source, GitSource),
        address,
        commit,
        parts,
        inside.get(entry.file, Inside()),
        (key[0], key[1]) if key else ("", ""),
    )


def names(statement: Statement) -> tuple[str, ...]:
    """The licences of a statement in SPDX's spelling, sorted, each once."""
    return tuple(sorted({spdx(name) for name in statement.licences}))


def _pulled(entry: lock.Entry) -> tuple[str, str]:
    """(address, commit) that the lock records for a source."""
    match = _COMMIT.fullmatch(entry.origin)
    return (match[1], match[2]) if match else ("", "")


def _is_made_of(entry: lock.Entry, source: GitSource) -> bool:
    return entry.sha256 == source.sha256 or _pulled(entry) == (source.address, source.commit)


def _part(part: Submodule, licence: Licence | None, made: bool) -> Part:
    statement = _statement(licence.parts.get(part.path) if licence else None)
    return Part(part.path, part.address, part.commit if made else "", statement)


def _statement(licence: Licence | None) -> Statement:
    if licence is None or licence.inside:
        return INSIDE if licence else UNKNOWN
    found = licence.licence or licence.named
    return Statement((found,) if found else (), licence.file, licence.why)
