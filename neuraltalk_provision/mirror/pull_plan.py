"""What `provision mirror pull` will do: which artifacts are needed, which the mirror has, what is moved. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.model import ByHandSource, GitSource, Source, UrlSource
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import addresses
from neuraltalk_provision.mirror.lock import Entry

State = Literal["present", "pull", "kept", "by hand", "later"]
LATER = "not pulled yet: see docs/mirror.md"


@dataclass(frozen=True)
class Transfer:
    """A commit of a repository, or a file, that has to be fetched.

    `address` is where from, `origin` the address in the catalogue; `size` in bytes is 0 if it is not known.
    """

    address: str
    origin: str
    commit: str = ""
    file: UrlSource | None = None

    @property
    def size(self) -> int:
        """In bytes; 0 if it is not known."""
        return self.file.size if self.file else 0

    @property
    def key(self) -> str:
        """What decides its content: the commit, or the digest of the file."""
        return self.commit or (self.file.sha256 if self.file else "")

    @property
    def name(self) -> str:
        """For a line of progress."""
        words = "/".join(self.origin.rstrip("/").split("/")[-2:])
        return f"{words} {self.key[:12]}"


@dataclass(frozen=True)
class Row:
    """An artifact: whether it is in the mirror, and what happens to it. `size` in bytes is 0 if it is not known."""

    name: str
    artifact: Artifact
    state: State
    reason: str
    source: Source | None = None
    size: int = 0
    transfers: tuple[Transfer, ...] = ()

    @property
    def file(self) -> str:
        """The name that the file gets in the mirror, if it is pulled."""
        return f"{self.name}.tar" if isinstance(self.source, GitSource) else self.artifact.matches[0]


@dataclass(frozen=True)
class PullPlan:
    """All rows, by name."""

    targets: tuple[Target, ...]
    profiles: tuple[str, ...]
    rows: tuple[Row, ...]

    def of(self, *states: State) -> tuple[Row, ...]:
        """The rows in one of these states."""
        return tuple(row for row in self.rows if row.state in states)

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """What is fetched."""
        return transfers_of(self.of("pull"))


def transfers_of(rows: Iterable[Row]) -> tuple[Transfer, ...]:
    """What is fetched for these rows; a commit that several of them contain is fetched once."""
    return tuple({transfer.key: transfer for row in rows for transfer in row.transfers}.values())


@dataclass(frozen=True)
class Mirror:
    """What the mirror has: the entries of its lock, and the sizes of the files that exist."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def plan(
    catalogue: Catalogue,
    targets: Sequence[Target],
    profiles: Sequence[str],
    mirror: Mirror,
    *,
    only: Collection[str] = (),
    replace: bool = False,
    known: Mapping[str, str] | None = None,
) -> PullPlan:
    """What is needed for these platforms and profiles, and what of it has to be moved.

    `only` names artifacts, with or without their platform; they need not belong to a profile. With `replace`, files
    that differ from the catalogue are replaced. `known` maps beginnings of addresses to others. Raises UsageError if a
    name in `only` is unknown.
    """
    wanted = _only(catalogue, targets, only) if only else _needed(catalogue, targets, profiles)
    rows = tuple(
        _row(name, artifact, catalogue, mirror, replace, known or {}) for name, artifact in sorted(wanted.items())
    )
    return PullPlan(tuple(targets), tuple(profiles), rows)


def has(mirror: Mirror, name: str, source: Source | None) -> bool:
    """Whether the mirror has exactly this source, as far as can be told without hashing."""
    entry = mirror.entries.get(name)
    same = entry is not None and isinstance(source, GitSource | UrlSource) and _same(entry, source)
    return entry is not None and same and mirror.sizes.get(entry.file) == entry.size


def origin(source: GitSource | UrlSource) -> str:
    """The origin for the lock, which does not depend on where the bytes came from."""
    return f"{source.address} {source.commit}" if isinstance(source, GitSource) else source.address


def _needed(catalogue: Catalogue, targets: Iterable[Target], profiles: Collection[str]) -> dict[str, Artifact]:
    """{name in the lock: artifact} of all that hosts of these platforms and profiles can use."""
    components = [part for part in catalogue.components if not part.profiles or set(part.profiles) & set(profiles)]
    used = {
        name for part in catalogue.components for name in (part.artifact, part.python3, *part.companions, *part.extras)
    }
    found = {}
    for target in targets:
        names = {artifact.name for artifact in catalogue.artifacts} - used
        for part in components:
            scored = part.python3 if part.python3 and target.python == "3" else part.artifact
            names |= {scored, *part.companions, *part.extras}
        for artifact in catalogue.artifacts:
            if artifact.name in names:
                found[_name(artifact, target)] = artifact
    return found


def _only(catalogue: Catalogue, targets: Iterable[Target], only: Collection[str]) -> dict[str, Artifact]:
    every = {_name(artifact, target): artifact for target in targets for artifact in catalogue.artifacts}
    found = {name: artifact for name, artifact in every.items() if {name, artifact.name} & set(only)}
    unknown = sorted(set(only) - set(found) - {artifact.name for artifact in found.values()})
    if unknown:
        raise UsageError(
            f"--only: there is no artifact {', '.join(unknown)} for these platforms",
            advice=f"The artifacts are {', '.join(sorted(every))}.",
        )
    return found


def _name(artifact: Artifact, target: Target) -> str:
    return f"{artifact.name}-{target.key}" if artifact.per_platform else artifact.name


def _row(
    name: str, artifact: Artifact, catalogue: Catalogue, mirror: Mirror, replace: bool, known: Mapping[str, str]
) -> Row:
    source = catalogue.sources.get(artifact.name)
    entry = mirror.entries.get(name)
    if entry and mirror.sizes.get(entry.file) != entry.size:
        missing = (
            "its file is not in the mirror" if entry.file not in mirror.sizes else "its file in the mirror is damaged"
        )
        entry = None
    else:
        missing = ""
    if not isinstance(source, GitSource | UrlSource):
        return _not_pulled(name, artifact, source, entry)
    size = source.size
    if entry and _same(entry, source):
        return Row(name, artifact, "present", "", source, size)
    if entry and not replace:
        reason = f"the mirror has another file for it, {entry.file}, which is kept; --replace replaces it"
        return Row(name, artifact, "kept", reason, source, size)
    reason = f"replaces {entry.file}" if entry else missing
    return Row(name, artifact, "pull", reason, source, size, _transfers(source, known))


def _not_pulled(name: str, artifact: Artifact, source: Source | None, entry: Entry | None) -> Row:
    if entry:
        return Row(name, artifact, "present", "", source, entry.size)
    if isinstance(source, ByHandSource):
        return Row(name, artifact, "by hand", f"bring it from {source.where}: {source.why}", source)
    return Row(name, artifact, "later", LATER, source)


def _same(entry: Entry, source: GitSource | UrlSource) -> bool:
    """Whether the mirror has exactly this; without a known digest the commit in the lock decides."""
    return entry.sha256 == source.sha256 if source.sha256 else entry.origin == origin(source)


def _transfers(source: GitSource | UrlSource, known: Mapping[str, str]) -> tuple[Transfer, ...]:
    if isinstance(source, UrlSource):
        return (Transfer(addresses.replaced(source.address, known), source.address, file=source),)
    parts = [(source.address, source.commit), *((part.address, part.commit) for part in source.submodules)]
    return tuple(Transfer(addresses.replaced(address, known), address, commit) for address, commit in parts)
