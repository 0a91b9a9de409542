"""Makes an image of a packed generation: what it will contain, its layers, and its file."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision import catalogue, paths
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.image import base, configuration, oci, packages, repository, stack
from neuraltalk_provision.image.repository import Closure
from neuraltalk_provision.mirror import cache, lock, store, trust
from neuraltalk_provision.mirror.apt_index import Available
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.digests import Advance
from neuraltalk_provision.mirror.trust import Demand
from neuraltalk_provision.rules.texts import some


@dataclass(frozen=True)
class Request:
    """An image of the packed generation of a platform; `generation` is empty if there is only one."""

    platform: str
    generation: str = ""
    packages: tuple[str, ...] = ()
    """OS packages that are wanted besides those that the stack needs."""


@dataclass(frozen=True)
class Plan:
    """What the image will contain. `beside` are the files of the mirror that the packed generation leaves out."""

    entry: CacheEntry
    archive: lock.Entry
    beside: tuple[lock.Entry, ...]
    closure: Closure
    labels: dict[str, str]
    index: bytes

    @property
    def name(self) -> str:
        """The name and tag of the image."""
        return configuration.reference(self.entry)

    @property
    def size(self) -> int:
        """About how many bytes the image will have."""
        return self.entry.size + sum(one.size for one in self.beside) + self.closure.installed


@dataclass(frozen=True)
class Made:
    """The image in its file."""

    file: Path
    image: oci.Image
    layers: tuple[oci.Layer, ...]


def plan(demand: Demand, request: Request) -> Plan:
    """What the image will contain; apt decides about the packages. Nothing is written but temporary files.

    Raises UsageError and MirrorError for everything that is missing, before anything takes long.
    """
    goal = target.parse(request.platform)
    if goal.manager != "apt":
        raise UsageError(
            f"no images are made for {request.platform} yet: only for platforms with apt (Debian, Ubuntu)",
            advice="Use a generation that was built for one of those: an image runs on hosts of any distribution.",
        )
    base.refuse_missing_programs()
    known, digest = trust.open_with_digest(demand)
    entry = _entry(demand, request)
    stack.refuse_stack_root(entry.stack_root)
    archive = known.by_name().get(f"packages-{goal.key}")
    if archive is None:
        raise MirrorError(
            f"the mirror has no packages-{goal.key}.tar: an image is made of the mirror's OS packages alone",
            advice=packages.REPLACE.format(platform=goal.key),
        )
    beside = _beside(entry, known)
    if findings := store.check(demand.mirror, (archive, *beside)):
        raise MirrorError(
            "; ".join(str(finding) for finding in findings), advice="`provision mirror verify` names every problem."
        )
    described = catalogue.load()
    index, offered = repository.available(demand.mirror / archive.file)
    wanted = packages.wanted(entry, described, goal, known, request.packages, offered.names)
    closure = _closed(index, offered, wanted, goal.key)
    versions = configuration.versions_of(known, described, entry) if digest == entry.lock else {}
    labels = configuration.labels(entry, archive.sha256, paths.version(), versions)
    return Plan(entry, archive, beside, closure, labels, index)


def _closed(index: bytes, offered: Available, wanted: Sequence[str], key: str) -> Closure:
    with naming(tempfile.gettempdir(), "written"), tempfile.TemporaryDirectory(prefix="provision-image-") as folder:
        return repository.close(index, offered, wanted, key, Path(folder))


def _entry(demand: Demand, request: Request) -> CacheEntry:
    """The entry of the cache that was asked for. Its tar is hashed later, when it is read."""
    if request.generation:
        found = [cache.find(demand, request.generation, hashed=False)]
    else:
        every = cache.every(demand, hashed=False)
        found = [one for one in every if one.entry is None or one.entry.platform == request.platform]
    usable = [one.entry for one in found if one.entry]
    if len(usable) == 1 and usable[0].platform == request.platform:
        return usable[0]
    if usable and request.generation:
        raise UsageError(
            f"generation {request.generation} was built for {usable[0].platform}, not for {request.platform}",
            advice=f"Give --for {usable[0].platform}.",
        )
    if usable:
        rows = "\n".join(f"  {entry.id}  {entry.gpu or 'without a GPU'}, {entry.origin}" for entry in usable)
        raise UsageError(
            f"the cache has {len(usable)} packed generations for {request.platform}:\n{rows}",
            advice="Give the id of one with --generation.",
        )
    problems = "; ".join(f"{one.id} cannot be used: {one.problem}" for one in found if one.problem)
    which = f"the generation {request.generation}" if request.generation else f"a generation for {request.platform}"
    raise MirrorError(
        f"the cache of {demand.mirror} does not have {which}{f': {problems}' if problems else ''}",
        advice="`provision site` packs what it builds. `provision cache list` shows what there is.",
    )


def _beside(entry: CacheEntry, known: lock.Lock) -> tuple[lock.Entry, ...]:
    by_digest = {one.sha256: one for one in known.artifacts}
    missing = sorted(set(entry.left_out) - by_digest.keys())
    if missing:
        raise MirrorError(
            f"the packed generation {entry.id} needs files that the mirror does not have: their SHA-256 are "
            f"{some(missing, 5)}",
            advice="They are artifacts of the lock from which it was built. Import them with `provision mirror add`.",
        )
    return tuple(by_digest[digest] for digest in sorted(set(entry.left_out)))


def refuse_file(file: Path, mirror: Path) -> None:
    """UsageError if an image cannot be written to this file."""
    with naming(file, "used"):
        if file.exists() and not file.is_file():
            raise UsageError(f"{file} is not a regular file", advice="Give --to the name of a file.")
        if not file.parent.is_dir():
            raise UsageError(f"there is no directory {file.parent}", advice="Make it, or give --to another file.")
        if file.resolve().is_relative_to(mirror.resolve()):
            raise UsageError(f"{file} is in the mirror", advice="Give --to a file outside of it.")


def make(demand: Demand, chosen: Plan, file: Path, advance: Advance = lambda count: None) -> Made:
    """Write the image. The file is there as a whole, or as it was before. Raises ProvisionError."""
    refuse_file(file, demand.mirror)
    _refuse_full_disk(chosen, file.parent)
    entry = chosen.entry
    with _work(file) as folder:
        places = {one.sha256: demand.mirror / one.file for one in chosen.beside}
        packed = cache.folder(demand.mirror, entry.id) / entry.file
        with naming(folder, "written"):
            above = stack.write(folder / "stack.tar", packed, entry, places)
            advance(above.size)
            repository.unpack(
                demand.mirror / chosen.archive.file, chosen.index, chosen.closure, folder / "packages", advance
            )
            below = base.write(folder / "base.tar", chosen.closure.names, folder / "packages", entry.platform)
            shutil.rmtree(folder / "packages")
            layers = (below, above)
            document = configuration.write(entry, layers, chosen.labels)
            image = oci.write(folder / "image.tar", chosen.name, layers, document)
            with (folder / "image.tar").open("rb") as opened:
                os.fsync(opened.fileno())
        with naming(file, "written"):
            (folder / "image.tar").replace(file)
    return Made(file, image, layers)


def _refuse_full_disk(chosen: Plan, folder: Path) -> None:
    # Each layer is there twice before the image is complete, and the packages once more, packed and unpacked.
    needed = 2 * chosen.size + chosen.closure.size + chosen.closure.installed
    with naming(folder, "read"):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{folder} has {free / 1e9:.1f} GB free, but making the image needs about {needed / 1e9:.1f} GB",
            advice="Free space there, or give --to a file on another disk.",
        )


@contextmanager
def _work(file: Path) -> Iterator[Path]:
    """A directory beside the file, removed at the end. Those of commands that were killed are removed first."""
    with naming(file.parent, "written"):
        for left in file.parent.glob(f".{glob.escape(file.name)}.image-*"):
            if cache.is_left(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.image-{cache.writer()}-", dir=file.parent.absolute()))
        folder.chmod(0o755)  # mmdebstrap reads the packages as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
