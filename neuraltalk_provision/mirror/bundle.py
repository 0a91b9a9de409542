"""Writes a bundle: a mirror in parts that are carried to another mirror."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from neuraltalk_provision import whole_file
from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.errors import MirrorError, UsageError, naming
from neuraltalk_provision.mirror import cache_files, carried, lock, look_inside, part_file, part_writer, parts
from neuraltalk_provision.mirror.bundle_plan import Prepared
from neuraltalk_provision.mirror.digests import Advance, Digests, exactly
from neuraltalk_provision.mirror.parts import Layout, Piece
from neuraltalk_provision.mirror.state import read_small

Progress = Callable[[str, int], AbstractContextManager[Advance]]
_VERIFY = "`provision mirror verify` names every problem. Repair the mirror, then run the same command again."


@dataclass(frozen=True)
class Written:
    """The files of a bundle: {part: sha256}, the parts that were there already and good, and the documents."""

    parts: Mapping[str, str]
    kept: tuple[str, ...]
    documents: tuple[str, ...]


def write(prepared: Prepared, folder: Path, progress: Progress, catalogue: Catalogue) -> Written:
    """Write the parts and the documents of a bundle. A part that is there already and good is kept."""
    with naming(folder, "read"):
        if prepared.mirror.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise UsageError(f"{folder} is in the mirror", advice="Give a directory outside of the mirror with --to.")
    with ExitStack() as stack:
        with naming(prepared.mirror, "locked", MirrorError):
            stack.enter_context(lock.changing(prepared.mirror))
        if read_small(prepared.mirror / lock.FILE_NAME, parts.LARGEST_LOCK) != prepared.content:
            raise MirrorError(f"{prepared.mirror} was changed meanwhile", advice="Run the same command again.")
        stack.enter_context(_explained(folder))
        folder.mkdir(parents=True, exist_ok=True)
        present = _present(prepared, folder)
        _refuse_full(prepared, folder, present)
        total = sum(entry.size for entry in prepared.carried)
        with progress(f"writing {prepared.description.parts} parts to {folder}", total) as advance:
            done, kept = _Bundling(prepared, folder, advance).run(present)
        return Written(done, kept, _write_documents(prepared, folder, done, catalogue, progress))


def _write_documents(
    prepared: Prepared, folder: Path, done: Mapping[str, str], catalogue: Catalogue, progress: Progress
) -> tuple[str, ...]:
    from neuraltalk_provision.mirror import listing  # imported here, because only bundles need CycloneDX

    tars = [entry for entry in prepared.carried if carried.is_read(entry, catalogue)]
    with progress("reading the licences of packages", sum(entry.size for entry in tars)) as advance:
        inside = {entry.file: look_inside.read(prepared.mirror / entry.file, advance) for entry in tars}
    documents = listing.documents(
        prepared.name, prepared.known, prepared.description, done, catalogue, inside, prepared.cached
    )
    for document, text in documents.items():
        whole_file.write(folder / document, text.encode())
    return tuple(documents)


class _Bundling:
    """The writing of one bundle to one directory."""

    def __init__(self, prepared: Prepared, folder: Path, advance: Advance) -> None:
        self._prepared, self._folder, self._advance = prepared, folder, advance
        self._digests = Digests()
        self._entries = {entry.file: entry for entry in (*prepared.known.artifacts, *prepared.cached)}
        self._done: dict[str, str] = {}

    def run(self, present: set[str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """({part: sha256}, the parts that were kept)."""
        kept = []
        for name, layout in self._prepared.layouts.items():
            if name in present and self._keep(name, layout):
                kept.append(name)
            else:
                self._write(name, layout)
        return self._done, tuple(kept)

    def _keep(self, name: str, layout: Layout) -> bool:
        """Whether the part that is there is good; its bytes are hashed as if they were written."""
        saved, moved, digest = self._digests.saved(), [0], hashlib.sha256()

        def advance(count: int) -> None:
            moved[0] += count
            self._advance(count)

        try:
            part = part_file.opened(self._folder / name)
            if part.layout == layout:
                pieces = part_file.read(part, lambda piece: lambda block: None, self._digests, advance, digest)
                wrong = self._wrong(list(pieces))  # to its end, where it is known whether the part is damaged
                if not wrong:
                    self._done[name] = digest.hexdigest()
                    return True
                if wrong in self._prepared.description.split:
                    self._refuse(wrong, name)
        except part_file.DamagedError:
            pass
        self._digests.restore(saved)
        self._advance(-moved[0])
        return False

    def _write(self, name: str, layout: Layout) -> None:
        beside = self._folder / f".{name}.writing"
        try:
            with ExitStack() as stack:
                file = stack.enter_context(beside.open("wb"))
                target = part_writer.Target(file)
                source = partial(self._source, stack)
                wrong = self._wrong(part_writer.write(layout, target, source, self._digests, self._advance))
                if wrong:
                    self._refuse(wrong)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._folder / name)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        self._done[name] = target.digest.hexdigest()

    def _source(self, stack: ExitStack, piece: Piece) -> Callable[[int], bytes]:
        path = self._prepared.mirror / cache_files.place(piece.file)
        with naming(path, "read", MirrorError):
            file: BinaryIO = stack.enter_context(path.open("rb", buffering=0))
            file.seek(piece.offset)
        return partial(_exact, path, file)

    def _wrong(self, pieces: Iterable[tuple[Piece, str]]) -> str:
        """The first file in these pieces that is complete with them, and does not have the digest in the lock."""
        for piece, digest in pieces:
            entry = self._entries[piece.file]
            complete = piece.offset + piece.size == entry.size
            whole = digest if piece.offset == 0 else self._digests.whole(piece.file, entry.size)
            if complete and whole != entry.sha256:
                return piece.file
        return ""

    def _refuse(self, file: str, *more: str) -> None:
        """A file of the mirror is not as its lock says. Parts that have pieces of it cannot be kept."""
        holding = [
            name
            for name, layout in self._prepared.layouts.items()
            if name in {*self._done, *more} and any(m.piece.file == file for m in layout.pieces)
        ]
        for name in holding:
            (self._folder / name).unlink(missing_ok=True)
        removed = f"; the parts with pieces of it were removed: {', '.join(holding)}" if holding else ""
        where = "there, or in a part that was written before," if holding else "there"
        place = self._prepared.mirror / cache_files.place(file)
        raise MirrorError(
            f"{place}: what is {where} does not have the digest that the lock says{removed}",
            advice=f"{_VERIFY} The other parts are kept.",
        )


def _present(prepared: Prepared, folder: Path) -> set[str]:
    """The parts that have their final name already. What a killed command left is removed.

    Raises UsageError if there are parts of another bundle: on the other side they would be refused.
    """
    ours, found = prepared.layouts, set[str]()
    for path in sorted(folder.iterdir()):
        if re.fullmatch(rf"\.{parts.PREFIX}-[0-9a-f]{{12}}\S*\.(?:writing|new)", path.name):
            path.unlink()
        elif path.name in ours:
            found.add(path.name)
        elif parts.PART_NAME.fullmatch(path.name):
            raise UsageError(
                f"{path} is a part of another bundle than {prepared.name}",
                advice="Give another directory with --to, or move the parts of the other bundle away: on the other "
                "side, parts of two bundles are not taken together.",
            )
    return {name for name in found if (folder / name).is_file() and (folder / name).stat().st_size == ours[name].size}


def _refuse_full(prepared: Prepared, folder: Path, present: set[str]) -> None:
    needed = sum(layout.size for name, layout in prepared.layouts.items() if name not in present)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MirrorError(
            f"{folder} has {free:,} bytes free, but the parts need {needed:,}",
            advice="Free some space, or write the parts to a larger disk with --to and copy each to its medium from "
            "there. --against leaves out what the other side has.",
        )


def _exact(path: Path, file: BinaryIO, size: int) -> bytes:
    with naming(path, "read", MirrorError):
        content = exactly(file.read, size)
    if len(content) < size:
        raise MirrorError(f"{path} became shorter while it was read", advice=_VERIFY)
    return content


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = (
            "Connect the medium again or free some space, then run the same command again: complete parts are kept."
        )
        if error.errno == errno.EFBIG:
            advice = "Its file system cannot hold files of this size (FAT32: below 4.29G). Give --size 4G."
        raise MirrorError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}", advice=advice
        ) from error
