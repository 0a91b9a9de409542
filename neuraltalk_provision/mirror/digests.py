"""Hashes files while they are copied, with several digests at the same time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from neuraltalk_provision.mirror.parts import Piece

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 20
Advance = Callable[[int], None]
Write = Callable[[bytes], object]


class Digests:
    """Hashes blocks with several digests at the same time, while they are written."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=3)
        self._running: dict[str, tuple[int, _Hash]] = {}

    def copy(
        self, read: Callable[[int], bytes], size: int, digests: list[_Hash], write: Write, advance: Advance
    ) -> None:
        """Hash `size` bytes from `read`, which never returns less than it is asked for, and write them."""
        for start in range(0, size, BLOCK):
            block = read(min(BLOCK, size - start))
            jobs = [self._pool.submit(digest.update, block) for digest in digests]
            try:
                write(block)
            finally:
                for job in jobs:
                    job.result()
            advance(len(block))

    def continued(self, piece: Piece) -> list[_Hash]:
        """The digest of the whole file, if all its bytes before this piece were hashed before; otherwise none."""
        if piece.offset == 0:
            self._running[piece.file] = (0, hashlib.sha256())
        position, digest = self._running.get(piece.file, (-1, None))
        if digest is None or position != piece.offset:
            self._running.pop(piece.file, None)
            return []
        self._running[piece.file] = (piece.offset + piece.size, digest)
        return [digest]

    def whole(self, file: str, size: int) -> str:
        """The digest of a whole file; empty if its pieces did not come in order."""
        position, digest = self._running.get(file, (-1, None))
        return digest.hexdigest() if digest and position == size else ""

    def saved(self) -> dict[str, tuple[int, _Hash]]:
        """The digests of whole files so far, for `restore`."""
        return {file: (position, digest.copy()) for file, (position, digest) in self._running.items()}

    def restore(self, saved: dict[str, tuple[int, _Hash]]) -> None:
        """Go back to an earlier state: what was hashed since then was not as it should be."""
        self._running = saved


def exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """`size` bytes from a function that can return fewer; fewer only at the end of the file."""
    content = b""
    while len(content) < size and (more := read(size - len(content))):
        content = content + more if content else more
    return content
