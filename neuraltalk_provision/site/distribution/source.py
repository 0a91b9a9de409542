"""The file on the controller: its digests, and the store from which the first hosts get its pieces."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.rules import pieces
from neuraltalk_provision.rules.piece_server import ChangedError


@dataclass(frozen=True)
class Description:
    """What the hosts are told over SSH about the file, and therefore trust. `digests` has 32 bytes for each piece."""

    size: int
    sha256: str
    digests: bytes

    @property
    def list_sha256(self) -> str:
        """The SHA-256 of the list of the digests."""
        return hashlib.sha256(self.digests).hexdigest()


@contextlib.contextmanager
def opened(file: Path) -> Iterator[int]:
    """The file, open for reading. Raises UsageError if it cannot be read, or is not an ordinary file."""
    with naming(file, "read"):
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(
                f"{file} is not an ordinary file", advice="To push a directory, pack it with tar and push the archive."
            )
        if status.st_size > pieces.LARGEST_FILE:
            raise UsageError(f"{file} is larger than {pieces.LARGEST_FILE:,} bytes", advice="Split it.")
        yield handle
    finally:
        os.close(handle)


def describe(file: Path, handle: int) -> Description:
    """The digests of an open file, read once. Raises UsageError if it changes meanwhile or cannot be read."""
    with naming(file, "read"):
        size = os.fstat(handle).st_size
        whole, digests = hashlib.sha256(), []
        with ThreadPoolExecutor(1) as other:  # hashlib lets both threads work at once
            for index in range(pieces.count(size)):
                piece = _read(handle, size, index)
                pending = other.submit(whole.update, piece)
                digests.append(hashlib.sha256(piece).digest())
                pending.result()
                if len(piece) != pieces.length(size, index):
                    raise changed(file)
        if os.fstat(handle).st_size != size:
            raise changed(file)
    return Description(size, whole.hexdigest(), b"".join(digests))


def failed(file: Path, store: Store) -> UsageError:
    """The error for a file of which the store could not serve all pieces."""
    if store.error is None:
        return changed(file)
    return UsageError(
        f"{file} cannot be read: {store.error.strerror}", advice="Check the disk of this machine (dmesg), or its NFS."
    )


def changed(file: Path) -> UsageError:
    """The error for a file that changes while it is pushed."""
    return UsageError(
        f"{file} was changed while it was pushed; no host has a file that consists of two versions",
        advice="Wait until nothing writes to it any more, then run the same command again.",
    )


class Store:
    """The pieces of an open file, each compared with its digest before it is sent."""

    def __init__(self, handle: int, description: Description) -> None:
        self.handle, self.description = handle, description
        self.count = self.have = self.kept = pieces.count(description.size)
        self.error: OSError | None = None
        """Why the file could not be read any more."""

    def digests(self, _seconds: float) -> bytes:
        """The list of the digests."""
        return self.description.digests

    def piece(self, index: int, _seconds: float) -> bytes:
        """A piece. Raises ChangedError if the file is no longer the one that was described, or cannot be read."""
        start = index * pieces.DIGEST
        try:
            content = _read(self.handle, self.description.size, index)
        except OSError as error:
            self.error = error
            raise ChangedError from None
        if hashlib.sha256(content).digest() != self.description.digests[start : start + pieces.DIGEST]:
            raise ChangedError
        return content


def _read(handle: int, size: int, index: int) -> bytes:
    """A piece of an open file; shorter if the file has become shorter."""
    start, length = index * pieces.piece_size(size), pieces.length(size, index)
    blocks: list[bytes] = []
    while length > 0:
        block = os.pread(handle, length, start)
        if not block:
            break
        blocks.append(block)
        start, length = start + len(block), length - len(block)
    return b"".join(blocks)
