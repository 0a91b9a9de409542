"""Writes the parts of a bundle. Every byte is read once, and hashed while it is copied."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from neuraltalk_provision.mirror import parts
from neuraltalk_provision.mirror.digests import Advance, Digests
from neuraltalk_provision.mirror.parts import Layout, Piece

SYNC_EVERY = 1 << 28
"""After so many bytes they are written to the disk: otherwise a slow medium would take them all at the end."""


class Target:
    """A new file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._unsynced = file, 0
        self.digest = hashlib.sha256()

    def small(self, content: bytes) -> None:
        """Hash and write a few bytes."""
        self.digest.update(content)
        self._file.write(content)

    def block(self, content: bytes) -> None:
        """Write a block, which the caller hashes."""
        self._file.write(content)
        self._unsynced += len(content)
        if self._unsynced >= SYNC_EVERY:
            os.fdatasync(self._file.fileno())
            self._unsynced = 0

    def member(self, folder: str, path: str, content: bytes) -> None:
        """Write a small member of the archive: header, content, padding."""
        padding = bytes(parts.padded(len(content)) - len(content))
        self.small(parts.header(folder, path, len(content)) + content + padding)


def write(
    layout: Layout,
    target: Target,
    source: Callable[[Piece], Callable[[int], bytes]],
    digests: Digests,
    advance: Advance,
) -> Iterator[tuple[Piece, str]]:
    """Write a part; yield each piece with its sha256. `source` returns the function that reads a piece."""
    sums = [parts.sums_line(hashlib.sha256(content).hexdigest(), path) for path, content in layout.first.items()]
    for path, content in layout.first.items():
        target.member(layout.folder, path, content)
    for member in layout.pieces:
        target.small(parts.header(layout.folder, member.name, member.size))
        digest = hashlib.sha256()
        hashes = [digest, target.digest, *(digests.continued(member.piece) if member.split else [])]
        digests.copy(source(member.piece), member.size, hashes, target.block, advance)
        target.small(bytes(parts.padded(member.size) - member.size))
        sums.append(parts.sums_line(digest.hexdigest(), member.name))
        yield member.piece, digest.hexdigest()
    target.member(layout.folder, "SHA256SUMS", b"".join(sums))
    target.small(parts.END)
