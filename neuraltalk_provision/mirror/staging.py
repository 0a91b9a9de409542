"""What `provision mirror unbundle` took from parts so far: files in a hidden directory of the mirror, and a journal.

Only what the journal lists counts. It is written after the data, so that a kill at any moment loses only what was
being copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import Field

from neuraltalk_provision import whole_file
from neuraltalk_provision.catalogue.model import Sha256
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.field_words import Strict
from neuraltalk_provision.mirror import cache_files, guard, incoming, lock, part_writer, parts
from neuraltalk_provision.mirror.digests import BLOCK, Advance, Digests
from neuraltalk_provision.mirror.part_file import Part
from neuraltalk_provision.mirror.parts import Piece

FOLDER = ".unbundling"
_JOURNAL = "taken.json"


class _Stamp(Strict):
    size: int
    mtime_ns: int


class _Taken(Strict):
    """The journal: the bundle, the complete files, and the (file, offset) of pieces of other files."""

    bundle: Sha256
    files: dict[parts.FileName, _Stamp] = Field(default_factory=dict)
    pieces: Annotated[
        tuple[tuple[parts.FileName, int], ...], Field(max_length=parts.MOST_FILES + parts.MOST_PARTS)
    ] = ()


class Staging:
    """The staging directory of one bundle in a mirror. The caller holds the guard of the lock."""

    def __init__(self, mirror: Path, part: Part) -> None:
        self._mirror, self._folder = mirror, mirror / FOLDER
        self._complete, self._incomplete = self._folder / "complete", self._folder / "incomplete"
        guard.refuse_links(self._folder, self._complete, self._incomplete)
        self._open: BinaryIO | None = None
        self._unsynced = 0
        self.files: dict[str, _Stamp] = {}
        self.pieces: set[tuple[str, int]] = set()
        self._bundle = part.bundle
        taken = _journal(self._folder)
        if taken and taken.bundle != part.bundle and (taken.files or taken.pieces):
            raise MirrorError(
                f"{part.path} is a part of {parts.bundle_name(part.bundle)}, but the mirror {mirror} contains what was "
                f"taken from another bundle, {parts.bundle_name(taken.bundle)}",
                advice="Give the parts of that bundle. Or, to use only the new one, add --start-over: what was taken "
                "from the other one is removed, and the mirror itself stays as it is.",
            )
        for folder in (self._complete, self._incomplete):
            whole_file.make_directory(folder)
        if taken and taken.bundle == part.bundle:
            self.files = {file: stamp for file, stamp in taken.files.items() if self._place(file, stamp)}
            self.pieces = {(file, offset) for file, offset in taken.pieces if (self._incomplete / file).is_file()}
        self._save()

    def _place(self, file: str, stamp: _Stamp) -> Path | None:
        """Where a complete file is: in the staging directory, or in the mirror if a command was killed meanwhile."""
        places = (self._complete / file, self._mirror / cache_files.place(file))
        return next((place for place in places if _stamp(place) == stamp), None)

    def where(self, file: str) -> Path:
        """Where a complete file is."""
        return self._place(file, self.files[file]) or self._complete / file

    def _save(self) -> None:
        document = _Taken(bundle=self._bundle, files=self.files, pieces=tuple(sorted(self.pieces)))
        whole_file.write(self._folder / _JOURNAL, document.model_dump_json(indent=1).encode())

    def has(self, piece: Piece) -> bool:
        """Whether a piece was taken before."""
        return piece.file in self.files or (piece.file, piece.offset) in self.pieces

    @property
    def allocated(self) -> int:
        """The bytes on the disk that incomplete files have already."""
        return sum(file.stat().st_blocks * 512 for file in self._incomplete.iterdir())

    def begin(self, piece: Piece) -> None:
        """Open the file of a piece, at its offset."""
        file = self._incomplete / piece.file
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        self._open = os.fdopen(handle, "wb", buffering=0)
        with suppress(PermissionError):  # another operator has begun the file
            os.fchmod(handle, 0o644 | self._incomplete.stat().st_mode & stat.S_IWGRP)
        self._open.seek(piece.offset)

    def write(self, block: bytes) -> None:
        """Write a block of the piece."""
        assert self._open
        view = memoryview(block)
        while view:
            view = view[self._open.write(view) :]
        self._unsynced += len(block)
        if self._unsynced >= part_writer.SYNC_EVERY:
            self._sync()

    def end(self) -> None:
        """Close the file of the piece, with its bytes on the disk."""
        if self._open:
            self._sync()
        self.close()

    def _sync(self) -> None:
        assert self._open
        os.fdatasync(self._open.fileno())
        self._unsynced = 0

    def close(self) -> None:
        """Close the file of a piece, if one is open."""
        if self._open:
            self._open.close()
            self._open = None

    def confirm(self, pieces: list[Piece]) -> None:
        """These pieces of incomplete files are good."""
        self.pieces |= {(piece.file, piece.offset) for piece in pieces}
        self._save()

    def drop(self, file: str) -> None:
        """The pieces of a file that were taken are not good."""
        self.pieces = {(other, offset) for other, offset in self.pieces if other != file}
        self._save()
        (self._incomplete / file).unlink(missing_ok=True)

    def finish(self, entry: lock.Entry) -> None:
        """A file is complete and has its digest."""
        file = self._incomplete / entry.file
        os.truncate(file, entry.size)
        if file.stat().st_uid != os.geteuid():  # also for root, who may change its mode
            self._make_own(entry)
        with suppress(PermissionError):  # file systems without modes
            file.chmod(0o644)
        file.replace(self._complete / entry.file)
        stamp = _stamp(self._complete / entry.file)
        assert stamp
        self.files[entry.file] = stamp
        self.pieces = {(other, offset) for other, offset in self.pieces if other != entry.file}
        self._save()

    def _make_own(self, entry: lock.Entry) -> None:
        """Replace a complete file that another operator has begun by a copy, which only this user can change."""
        file, own = self._incomplete / entry.file, self._folder / "own"
        own.unlink(missing_ok=True)
        handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with file.open("rb") as source, os.fdopen(handle, "wb") as target:
            with suppress(PermissionError):  # file systems without modes
                os.fchmod(handle, 0o644)
            shutil.copyfileobj(source, target, BLOCK)
            target.flush()
            os.fdatasync(handle)
        if incoming.digest(own)[0] != entry.sha256:
            self.drop(entry.file)
            raise MirrorError(
                f"{file} was changed by another process after it was taken from the parts",
                advice="Look who else works in this mirror. Then give all parts again; the mirror was not changed.",
            )
        own.replace(file)

    def digest(self, entry: lock.Entry, digests: Digests, advance: Advance) -> str:
        """The digest of an incomplete file of which all pieces were taken, read again."""
        digest = hashlib.sha256()
        with (self._incomplete / entry.file).open("rb") as file:
            if os.fstat(file.fileno()).st_size < entry.size:
                return ""
            digests.copy(file.read, entry.size, [digest], lambda block: None, advance)
        return digest.hexdigest()

    def install(self, files: list[str], small: Mapping[str, bytes]) -> None:
        """Give every complete file its name in the mirror, in this order; then the small ones, the last one last."""
        for file in files:
            if (self._complete / file).exists():
                (self._complete / file).replace(self._mirror / file)
        for path, content in small.items():
            whole_file.make_directory((self._mirror / path).parent)
            whole_file.write(self._folder / "small", content)
            (self._folder / "small").chmod(0o644)
            (self._folder / "small").replace(self._mirror / path)
        _sync_folder(self._mirror)
        remove(self._mirror)


def taken(mirror: Path, bundle: str) -> _Taken | None:
    """The journal of a bundle in a mirror, if there is one."""
    journal = _journal(mirror / FOLDER)
    return journal if journal and journal.bundle == bundle else None


def has(journal: _Taken | None, piece: Piece) -> bool:
    """Whether a piece was taken, by a journal."""
    return journal is not None and (piece.file in journal.files or (piece.file, piece.offset) in journal.pieces)


def remove(mirror: Path) -> None:
    """Remove the staging directory; the journal first, because nothing counts without it."""
    guard.refuse_links(mirror / FOLDER)
    (mirror / FOLDER / _JOURNAL).unlink(missing_ok=True)
    if (mirror / FOLDER).is_dir():
        shutil.rmtree(mirror / FOLDER)


def _journal(folder: Path) -> _Taken | None:
    try:
        with (folder / _JOURNAL).open("rb") as opened:
            return _Taken.model_validate_json(opened.read(parts.LARGEST_DOCUMENT))
    except (FileNotFoundError, ValueError):
        return None


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    return _Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
