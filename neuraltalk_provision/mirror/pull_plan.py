"""What `provision mirror pull` will do: which artifacts are needed, which the mirror has, what is moved. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Collection as AnyOf
from dataclasses import dataclass, field
from dataclasses import replace as _changed
from typing import Literal

from neuraltalk_provision.catalogue import Artifact, Catalogue
from neuraltalk_provision.catalogue.model import ByHandSource, GitSource, MadeSource, PackageSource, Source, UrlSource
from neuraltalk_provision.catalogue.target import Target
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import addresses, made
from neuraltalk_provision.mirror.collection import Collection
from neuraltalk_provision.mirror.lock import Entry

State = Literal["present", "pull", "collect", "make", "kept", "by hand", "failed", "later"]
LATER = "not pulled yet: see docs/mirror-by-hand.md"


@dataclass(frozen=True)
class Request:
    """What a collector asks for, as one line for the lock; or why it cannot ask, and what to do.

    With `left_out` that is no failure: a person can bring the artifact.
    """

    line: str = ""
    message: str = ""
    advice: str = ""
    left_out: bool = False


Ask = Callable[[Artifact, Target], Request | None]
"""The request for an artifact on a platform; None if nothing can collect it."""


@dataclass(frozen=True)
class Transfer:
    """A commit of a repository, or a file, that has to be fetched.

    `address` is where from, `origin` the address in the catalogue; `size` in bytes is 0 if it is not known. `group` is
    the artifact that it is one of many files of, and `environment` are variables for curl.
    """

    address: str
    origin: str
    commit: str = ""
    file: UrlSource | None = None
    group: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

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
    """An artifact: whether it is in the mirror, and what happens to it. `size` in bytes is 0 if it is not known.

    What is collected has the platform that it is collected for (any, if one file serves all), the line of its request,
    and, as soon as it is known, its files. `advice` is the next step for a row that failed.
    """

    name: str
    artifact: Artifact
    state: State
    reason: str
    source: Source | None = None
    size: int = 0
    transfers: tuple[Transfer, ...] = ()
    target: Target | None = None
    request: str = ""
    collection: Collection | None = None
    advice: str = ""

    @property
    def file(self) -> str:
        """The name that the file gets in the mirror, if it is pulled."""
        if isinstance(self.source, GitSource):
            return f"{self.name}.tar"
        return self.artifact.file_name(self.target.key if self.target else "")

    @property
    def origin(self) -> str:
        """The origin for the lock."""
        return self.request if isinstance(self.source, PackageSource) else origin(self.source)


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
    only: AnyOf[str] = (),
    replace: bool = False,
    known: Mapping[str, str] | None = None,
    ask: Ask = lambda artifact, target: None,
) -> PullPlan:
    """What is needed for these platforms and profiles, and what of it has to be moved.

    `only` names artifacts, with or without their platform; they need not belong to a profile. With `replace`, files
    that differ from the catalogue, or were added by hand, are replaced. `known` maps beginnings of addresses to others.
    `ask` gives the requests of what is collected. Raises UsageError if a name in `only` is unknown.
    """
    wanted = _only(catalogue, targets, only) if only else _needed(catalogue, targets, profiles)
    rows = tuple(
        _row(name, artifact, target, catalogue, mirror, replace, known or {}, ask)
        for name, (artifact, target) in sorted(wanted.items())
    )
    return PullPlan(tuple(targets), tuple(profiles), rows)


def has(mirror: Mirror, row: Row) -> bool:
    """Whether the mirror has exactly what this row brings, as far as can be told without hashing."""
    entry = mirror.entries.get(row.name)
    return bool(entry and _same(entry, row.source, row.request) and mirror.sizes.get(entry.file) == entry.size)


def origin(source: Source | None) -> str:
    """The origin for the lock, which does not depend on where the bytes came from."""
    if isinstance(source, GitSource):
        return f"{source.address} {source.commit}"
    return source.address if isinstance(source, UrlSource) else ""


def collected(row: Row, collection: Collection, known: Mapping[str, str]) -> Row:
    """The row with the files that its collector found, which are to be moved."""
    transfers = tuple(
        Transfer(
            addresses.replaced(piece.address, known),
            piece.address,
            file=UrlSource(kind="url", address=piece.address, sha256=piece.sha256, size=piece.size),
            group=row.name,
            environment=collection.environment,
        )
        for piece in collection.pieces
    )
    return _changed(row, state="pull", size=collection.size, transfers=transfers, collection=collection)


def failed(row: Row, message: str, advice: str) -> Row:
    """The row of an artifact whose files could not be found."""
    return _changed(row, state="failed", reason=message, advice=advice)


_Wanted = dict[str, tuple[Artifact, Target]]


def _needed(catalogue: Catalogue, targets: Iterable[Target], profiles: AnyOf[str]) -> _Wanted:
    """{name in the lock: artifact, a platform} of all that hosts of these platforms and profiles can use."""
    components = [part for part in catalogue.components if not part.profiles or set(part.profiles) & set(profiles)]
    used = {name for part in catalogue.components for name in part.artifacts}
    found: _Wanted = {}
    for target in targets:
        names = {artifact.name for artifact in catalogue.artifacts} - used
        for part in components:
            scored = part.python3 if part.python3 and target.python == "3" else part.artifact
            names |= {scored, *part.companions, *part.extras}
        for artifact in catalogue.artifacts:
            source = catalogue.sources.get(artifact.name)
            only = set(source.profiles) if isinstance(source, PackageSource) else set[str]()
            if artifact.name in names and (not only or only & set(profiles)):
                found.setdefault(_name(artifact, target), (artifact, target))
    return found


def _only(catalogue: Catalogue, targets: Iterable[Target], only: AnyOf[str]) -> _Wanted:
    every: _Wanted = {}
    for target in targets:
        for artifact in catalogue.artifacts:
            every.setdefault(_name(artifact, target), (artifact, target))
    found = {name: wanted for name, wanted in every.items() if {name, wanted[0].name} & set(only)}
    unknown = sorted(set(only) - set(found) - {artifact.name for artifact, _target in found.values()})
    if unknown:
        raise UsageError(
            f"--only: there is no artifact {', '.join(unknown)} for these platforms",
            advice=f"The artifacts are {', '.join(sorted(every))}.",
        )
    return found


def _name(artifact: Artifact, target: Target) -> str:
    return f"{artifact.name}-{target.key}" if artifact.per_platform else artifact.name


def _row(
    name: str,
    artifact: Artifact,
    target: Target,
    catalogue: Catalogue,
    mirror: Mirror,
    replace: bool,
    known: Mapping[str, str],
    ask: Ask,
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
    if isinstance(source, MadeSource):
        return Row(name, artifact, *made.state(entry, mirror.entries.get(source.of), source.of, replace), source)
    asked = ask(artifact, target) if isinstance(source, PackageSource) else None
    if not asked and not isinstance(source, GitSource | UrlSource):
        return _not_pulled(name, artifact, source, entry)
    size = source.size if isinstance(source, GitSource | UrlSource) else entry.size if entry else 0
    row = Row(name, artifact, "pull", missing, source, size, target=target, request=asked.line if asked else "")
    if entry and _same(entry, source, row.request):
        return _changed(row, state="present", reason="")
    if entry and not replace:
        words = f"the mirror has another file for it, {entry.file}, which is kept; --replace replaces it"
        return _changed(row, state="kept", reason=words)
    row = _changed(row, reason=f"replaces {entry.file}" if entry else missing)
    if asked:
        if asked.left_out:
            return _changed(row, state="by hand", size=0, reason=f"{asked.message}. {asked.advice}")
        state: State = "collect" if asked.line else "failed"
        return _changed(row, state=state, size=0, reason=asked.message or row.reason, advice=asked.advice)
    assert isinstance(source, GitSource | UrlSource)
    return _changed(row, transfers=_transfers(source, known))


def _not_pulled(name: str, artifact: Artifact, source: Source | None, entry: Entry | None) -> Row:
    if entry:
        return Row(name, artifact, "present", "", source, entry.size)
    if isinstance(source, ByHandSource):
        return Row(name, artifact, "by hand", f"bring it from {source.where}: {source.why}", source)
    return Row(name, artifact, "later", LATER, source)


def _same(entry: Entry, source: Source | None, request: str) -> bool:
    """Whether the mirror has exactly this; without a known digest the origin in the lock decides."""
    if isinstance(source, PackageSource):
        return bool(request) and entry.origin == request
    if not isinstance(source, GitSource | UrlSource):
        return False
    return entry.sha256 == source.sha256 if source.sha256 else entry.origin == origin(source)


def _transfers(source: GitSource | UrlSource, known: Mapping[str, str]) -> tuple[Transfer, ...]:
    if isinstance(source, UrlSource):
        return (Transfer(addresses.replaced(source.address, known), source.address, file=source),)
    parts = [(source.address, source.commit), *((part.address, part.commit) for part in source.submodules)]
    return tuple(Transfer(addresses.replaced(address, known), address, commit) for address, commit in parts)
