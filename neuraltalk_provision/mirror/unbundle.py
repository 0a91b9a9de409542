"""Takes a bundle into a mirror: parts in any order and from several media. The mirror changes when all is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import (
    cache_carry,
    cache_files,
    find_parts,
    lock,
    part_file,
    parts,
    staging,
    store,
    trust,
)
from neuraltalk_provision.mirror.bundle_plan import signature_files
from neuraltalk_provision.mirror.digests import Advance, Digests
from neuraltalk_provision.mirror.find_parts import Found
from neuraltalk_provision.mirror.part_file import Part
from neuraltalk_provision.mirror.parts import Piece
from neuraltalk_provision.mirror.staging import Staging

Progress = Callable[[str, int], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class Outcome:
    """What was done. If `missing` is empty, the mirror now is what the bundle's lock says.

    `taken` and `missing` are names of parts; `installed` are files that are new or replaced; `left` are files of the
    old lock, and old signatures, that the new lock does not name and that were left. `generations` are the ids of the
    packed generations that are new in the cache, and `refused` says why others were not taken.
    """

    bundle: str
    parts: int
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    installed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    generations: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def unbundle(
    mirror: Path, places: Sequence[Path], progress: Progress, demand: trust.Demand, *, start_over: bool = False
) -> Outcome:
    """Take what the parts in `places` contain; put the lock in place when every file that it names is there.

    MirrorError, and nothing is taken, if the lock of the parts is not signed as demanded.
    """
    found = find_parts.find(places)
    trust.check(demand, found.any.lock, found.any.signatures)
    new = part_file.lock_of(found.any)
    with _explained(mirror), lock.changing(mirror, rebuild=True) as old:
        if start_over:
            staging.remove(mirror)
        return _Unbundling(mirror, found, old, new, progress, demand).run()


@contextmanager
def _explained(mirror: Path) -> Iterator[None]:
    """Convert an OSError of the mirror's disk to an error with the next step."""
    try:
        yield
    except OSError as error:
        raise MirrorError(
            f"{error.filename or mirror} cannot be written: {error.strerror or error}",
            advice=f"Free some space in {mirror}, or make it a directory that you can write; then run the same command "
            "again. What was taken so far is kept, and the old lock is still in place.",
        ) from error


def plan(mirror: Path, places: Sequence[Path], demand: trust.Demand) -> Outcome:
    """What `unbundle` would take from these parts, by their first members and the lock; nothing is changed."""
    found = find_parts.find(places)
    if found.problems:
        raise find_parts.together(found.problems)
    trust.check(demand, found.any.lock, found.any.signatures)
    new = part_file.lock_of(found.any)
    with naming(mirror, "read", MirrorError):
        old = lock.read(mirror) if (mirror / lock.FILE_NAME).exists() else lock.Lock()
        taken = staging.taken(mirror, found.any.bundle)
    listed = {(entry.file, entry.sha256) for entry in old.artifacts}
    fresh = {entry.file for entry in new.artifacts if (entry.file, entry.sha256) not in listed}
    description = found.any.description
    cached = {one.file for one in description.cache} - cache_carry.present(demand, description.cache)
    fresh |= cached
    wanted = {p.part for p in description.pieces if p.file in fresh and not staging.has(taken, p)}
    names = {number: parts.part_name(found.any.bundle, number, description.parts) for number in sorted(wanted)}
    return Outcome(
        parts.bundle_name(found.any.bundle),
        description.parts,
        tuple(name for number, name in names.items() if number in found.parts),
        tuple(name for number, name in names.items() if number not in found.parts),
        tuple(sorted(fresh - set(description.left_out) - cached)),
        tuple(sorted({entry.file for entry in old.artifacts} - {entry.file for entry in new.artifacts})),
        tuple(sorted({cache_files.generation_of(file) for file in cached})),
    )


class _Unbundling:
    """One call of `unbundle`, by the holder of the guard."""

    def __init__(
        self, mirror: Path, found: Found, old: lock.Lock, new: lock.Lock, progress: Progress, demand: trust.Demand
    ) -> None:
        self._mirror, self._found, self._progress, self._demand = mirror, found, progress, demand
        self._old, self._new = old, new
        self._description = found.any.description
        self._cached = {entry.file: entry for entry in cache_carry.entries(self._description.cache)}
        self._entries = {**{entry.file: entry for entry in self._new.artifacts}, **self._cached}
        self._staging = Staging(mirror, found.any)
        self._digests = Digests()
        self._problems: list[MirrorError] = list(found.problems)
        self._taken: dict[int, None] = {}
        self._before = {file for file, _offset in self._staging.pieces}

    def run(self) -> Outcome:
        present = self._present()
        while True:
            self._refuse_full(present)
            if self._take(present):
                continue
            missing = sorted({piece.part for piece in self._wanted(present)})
            if missing and self._problems:
                raise find_parts.together(self._problems)
            if missing:
                return self._outcome(missing)
            altered = self._altered(present)
            if not altered:
                return self._install()
            present -= altered  # they are taken from the parts instead

    def _present(self) -> set[str]:
        """The files that the mirror has already, by its lock; they are hashed at the end.

        Raises UsageError for a file that has the name of one of the bundle and is nobody's: it would be overwritten.
        """
        listed = {(entry.file, entry.sha256, entry.size) for entry in self._old.artifacts}
        present = {entry.file for entry in self._new.artifacts if (entry.file, entry.sha256, entry.size) in listed}
        known = present | {entry.file for entry in self._old.artifacts} | set(self._staging.files)
        others = [e for e in self._new.artifacts if e.file not in known and (self._mirror / e.file).exists()]
        with self._progress("hashing files that the lock does not list", sum(e.size for e in others)) as advance:
            wrong = [finding.file for finding in store.check(self._mirror, others, advance)]
        if wrong:
            raise UsageError(
                f"{self._mirror}: not in its lock, but called like files of the bundle: {', '.join(wrong)}",
                advice="Move them to another place, then run the same command again. Nothing was overwritten.",
            )
        present |= {entry.file for entry in others} | set(self._description.left_out)
        return present | cache_carry.present(self._demand, self._description.cache)

    def _wanted(self, present: set[str]) -> list[Piece]:
        return [p for p in self._description.pieces if p.file not in present and not self._staging.has(p)]

    def _refuse_full(self, present: set[str]) -> None:
        files = {piece.file for piece in self._wanted(present)}
        needed = sum(self._entries[file].size for file in files) - self._staging.allocated
        free = shutil.disk_usage(self._mirror).free
        if free < needed:
            raise MirrorError(
                f"{self._mirror} has {free:,} bytes free, but the bundle needs {needed:,} more",
                advice="Free some space, then run the same command again. What was taken so far is kept.",
            )

    def _take(self, present: set[str]) -> bool:
        """Take what is wanted and there; whether it must be tried again."""
        wanted = self._wanted(present)
        here = [piece for piece in wanted if piece.part in self._found.parts]
        with self._progress(f"taking {len({p.part for p in here})} parts", sum(p.size for p in here)) as advance:
            for number, copies in self._found.parts.items():
                if any(piece.part == number for piece in here):
                    self._take_one(number, copies, set(here), advance)
            return self._join(present, advance)

    def _take_one(self, number: int, copies: Sequence[Part], wanted: set[Piece], advance: Advance) -> None:
        """Take a part from the first of its copies that is good."""
        problems: list[MirrorError] = []
        for part in copies:
            saved = self._digests.saved()
            try:
                self._read(part, wanted, advance)
            except MirrorError as error:
                self._digests.restore(saved)
                problems.append(error)
            else:
                self._taken[number] = None
                return
            finally:
                self._staging.close()
        self._problems += problems

    def _read(self, part: Part, wanted: set[Piece], advance: Advance) -> None:
        pieces = list[Piece]()
        for piece, digest in part_file.read(part, partial(self._target, wanted), self._digests, advance):
            self._staging.end()
            if piece.file in self._description.split:
                pieces.append(piece)
                continue
            if digest != self._entries[piece.file].sha256:
                raise part_file.DamagedError(part.path, f"{piece.file} does not have the digest that the lock says")
            self._staging.finish(self._entries[piece.file])
        self._staging.confirm(pieces)

    def _target(self, wanted: set[Piece], piece: Piece) -> Callable[[bytes], None] | None:
        if piece not in wanted or self._staging.has(piece):
            return None
        self._staging.begin(piece)
        return self._staging.write

    def _join(self, present: set[str], advance: Advance) -> bool:
        """Finish the split files of which all pieces are there now; whether some must be taken from all parts again.

        That is so if pieces which an earlier command took are wrong, and all parts of the file are here.
        """
        again = False
        lacking = {piece.file for piece in self._wanted(present)}
        for file in sorted(self._description.split - lacking - present - set(self._staging.files)):
            entry = self._entries[file]
            digest = self._digests.whole(file, entry.size) or self._staging.digest(entry, self._digests, advance)
            if digest == entry.sha256:
                self._staging.finish(entry)
                continue
            self._staging.drop(file)
            numbers = [piece.part for piece in self._description.pieces if piece.file == file]
            if file in self._before and set(numbers) <= set(self._found.parts):
                self._before.discard(file)
                again = True
                continue
            holding = ", ".join(self._name(number) for number in numbers)
            self._problems.append(
                MirrorError(
                    f"{file} does not have the digest that the lock says: one of its parts was edited: {holding}",
                    advice=part_file.COPY_AGAIN,
                )
            )
        return again

    def _altered(self, present: set[str]) -> set[str]:
        """The files that were there before and are not as the new lock says. Raises MirrorError if no part has them."""
        entries = [entry for entry in self._new.artifacts if entry.file not in self._staging.files]
        with self._progress("hashing what was there before", sum(entry.size for entry in entries)) as advance:
            altered = {finding.file for finding in store.check(self._mirror, entries, advance)}
        lacking = sorted(altered & set(self._description.left_out))
        if lacking:
            raise MirrorError(
                f"{self._mirror}: missing or altered, and not in the bundle because of --against: {', '.join(lacking)}",
                advice="Write the state of this mirror again with `provision mirror state --out FILE`, and make the "
                "bundle with it, or without --against. The mirror was not changed.",
            )
        return altered

    def _install(self) -> Outcome:
        folders = [entry.file for entry in self._new.artifacts if (self._mirror / entry.file).is_dir()]
        if folders:
            raise MirrorError(
                f"{self._mirror}: a directory has the name of an artifact: {', '.join(folders)}",
                advice="Move it to another place, then run the same command again.",
            )
        listed = {entry.file for entry in self._old.artifacts}
        installed = sorted(set(self._staging.files) - set(self._cached), key=lambda file: (file in listed, file))
        cached = cache_carry.install(
            self._demand, self._description.cache, self._staging.files.keys(), self._staging.where
        )
        part = self._found.any
        before = {str(path.relative_to(self._mirror)) for path in signature_files(self._mirror)}
        self._staging.install(installed, {**part.signatures, lock.FILE_NAME: part.lock})
        left = sorted(listed - set(self._entries)) + sorted(before - set(part.signatures))
        done = self._outcome([], tuple(sorted(installed)), tuple(left))
        return replace(done, generations=cached.ids, refused=cached.refused)

    def _outcome(self, missing: list[int], installed: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> Outcome:
        return Outcome(
            parts.bundle_name(self._found.any.bundle),
            self._description.parts,
            tuple(self._name(number) for number in self._taken),
            tuple(self._name(number) for number in missing),
            installed,
            left,
        )

    def _name(self, number: int) -> str:
        return parts.part_name(self._found.any.bundle, number, self._description.parts)
