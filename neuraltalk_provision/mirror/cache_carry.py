"""Which packed generations a bundle carries, and how they get into the cache on the other side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import (
    bounded,
    cache,
    cache_entry,
    cache_files,
    cache_needs,
    lock,
    parts,
    signature_files,
    trust,
)
from neuraltalk_provision.mirror.cache_entry import CacheEntry

MOST = 100
"""The most packed generations of a bundle."""


@dataclass(frozen=True)
class Chosen:
    """The files of the packed generations that are carried, and why others are not, in words."""

    files: tuple[parts.CachedFile, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installed:
    """The ids of the packed generations that were installed, and why others were refused, in words."""

    ids: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def choose(demand: trust.Demand, only: Sequence[str] = (), *, hashed: bool = False) -> Chosen:
    """The packed generations that can be used, with `only` these. Raises UsageError if one of these cannot be used."""
    found = [cache.find(demand, name, hashed=hashed) for name in dict.fromkeys(only)] or cache.every(
        demand, hashed=hashed
    )
    wrong = [f"{one.id}: {one.problem or 'the cache does not have it'}" for one in found if one.entry is None]
    if only and wrong:
        raise UsageError("\n".join(wrong), advice="`provision cache list` shows the packed generations.")
    files: list[parts.CachedFile] = []
    remarks = [f"the packed generation {words} and is not carried" for words in wrong]
    usable = [one.entry for one in found if one.entry]
    for entry in usable[:MOST]:
        files += _files(demand.mirror, entry)
    remarks += [f"the packed generation {entry.id} is not carried: a bundle has {MOST}" for entry in usable[MOST:]]
    return Chosen(tuple(files), tuple(remarks))


def _files(mirror: Path, entry: CacheEntry) -> list[parts.CachedFile]:
    folder = cache.folder(mirror, entry.id)
    signatures, problem, advice = signature_files.read(folder / cache_files.SIGNATURES)
    if problem:
        raise MirrorError(problem, advice=advice)
    files = [parts.CachedFile(file=cache_files.tar(entry.id), size=entry.size, sha256=entry.sha256)]
    small = {cache_files.entry(entry.id): cache.entry_bytes(mirror, entry.id)}
    for name, content in signatures:
        if isinstance(content, OSError) or not cache_files.is_one(cache_files.signature(entry.id, name)):
            raise MirrorError(
                f"{folder / cache_files.SIGNATURES / name[:200]} cannot be carried: "
                + (str(content) if isinstance(content, OSError) else "this is not a name for a signature"),
                advice="Move it to another place, or leave the packed generations out with --no-cache.",
            )
        small[cache_files.signature(entry.id, name)] = content
    for name, content in small.items():
        digest = hashlib.sha256(content).hexdigest()
        files.append(parts.CachedFile(file=name, size=len(content), sha256=digest))
    return files


def entries(files: Sequence[parts.CachedFile]) -> tuple[lock.Entry, ...]:
    """The files like entries of a lock."""
    return tuple(
        lock.Entry(name=one.file, file=one.file, sha256=one.sha256, size=one.size, origin="the cache", role="cache")
        for one in files
    )


def without(files: Sequence[parts.CachedFile], there: Collection[tuple[str, int, str]]) -> tuple[parts.CachedFile, ...]:
    """Without the generations of which the other side has every file, (name, size, sha256)."""
    lacking = {cache_files.generation_of(one.file) for one in files if (one.file, one.size, one.sha256) not in there}
    return tuple(one for one in files if cache_files.generation_of(one.file) in lacking)


def present(demand: trust.Demand, files: Sequence[parts.CachedFile]) -> set[str]:
    """Those of the files whose generation this mirror has already, in whatever packing, as long as it can be used."""
    ids = {cache_files.generation_of(one.file) for one in files}
    usable = {one for one in ids if cache.find(demand, one).entry}
    return {one.file for one in files if cache_files.generation_of(one.file) in usable}


def install(
    demand: trust.Demand, files: Sequence[parts.CachedFile], taken: Collection[str], where: Callable[[str], Path]
) -> Installed:
    """Give packed generations that were `taken` their place in the cache, if they are what they must be.

    `where` says where a file that was taken is. The tar is read as at every other place: nothing that its list does not
    name may be in it, and its entry must demand of hosts what its programs need.
    """
    ids, refused = [], []
    by_id: dict[str, dict[str, parts.CachedFile]] = {}
    for one in files:
        if one.file in taken:
            by_id.setdefault(cache_files.generation_of(one.file), {})[one.file] = one
    for name, own in sorted(by_id.items()):
        if cache.find(demand, name).entry:
            continue
        try:
            _install(demand, name, own, where)
            ids.append(name)
        except (ProvisionError, ValueError) as error:
            reason = error.message if isinstance(error, ProvisionError) else str(error)
            refused.append(f"the packed generation {name} is not taken: {reason}")
    return Installed(tuple(ids), tuple(refused))


def _install(
    demand: trust.Demand, name: str, own: Mapping[str, parts.CachedFile], where: Callable[[str], Path]
) -> None:
    if cache_files.incomplete(own):
        raise ValueError("its tar or its entry is not in the bundle")
    content = bounded.read(where(cache_files.entry(name)), cache.LARGEST_ENTRY).content
    signatures = {
        cache_files.signature_of(file): bounded.read(where(file), signature_files.LARGEST_SIGNATURE).content
        for file in own
        if cache_files.signature_of(file)
    }
    if len(signatures) > signature_files.MOST_SIGNATURES:
        raise ValueError(f"it has more than {signature_files.MOST_SIGNATURES} signatures")
    cache.check_signed(demand, content, name, (sorted(signatures.items()), "", ""))
    entry = cache_entry.parse(content, name)
    tar = own[cache_files.tar(name)]
    if (tar.size, tar.sha256) != (entry.size, entry.sha256):
        raise ValueError("its tar is not the one of its entry")
    cache_needs.refuse_others(entry, cache_needs.inspect(where(tar.file)))
    cache.publish(demand.mirror, entry, where(tar.file), content, signatures)
