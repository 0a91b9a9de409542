"""Which artifact goes into which part of a bundle. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import parts
from neuraltalk_provision.mirror.parts import Description, Piece

_LEAST_ROOM = 100_000


def pack(
    sizes: Mapping[str, int],
    part_size: int,
    content: bytes,
    signatures: Mapping[str, bytes],
    left_out: tuple[str, ...] = (),
    cached: tuple[parts.CachedFile, ...] = (),
) -> Description:
    """The description of a bundle of these files ({file: size}), whose parts have at most `part_size` bytes.

    `cached` are those of them that belong to packed generations.
    Only a file that is larger than a part is split. `content` is the lock, which is in every part, as are its
    signatures. Raises UsageError if the parts are too small for that, or too many.
    """
    empty = Description(
        lock=parts.Digested(size=len(content), sha256=hashlib.sha256(content).hexdigest()),
        signatures=tuple(
            parts.SignatureFile(file=file, size=len(text), sha256=hashlib.sha256(text).hexdigest())
            for file, text in sorted(signatures.items())
        ),
        left_out=tuple(sorted(left_out)),
        cache=tuple(sorted(cached, key=lambda one: one.file)),
    )
    room = part_size - parts.layouts(empty, content, signatures)[0].size
    while room >= _LEAST_ROOM:
        if sum(sizes.values()) > room * parts.MOST_PARTS:
            break
        description = empty.model_copy(update={"pieces": _pieces(sizes, room)})
        if description.parts > parts.MOST_PARTS:
            break
        largest = max(_sizes(description, content, signatures))
        if largest <= part_size:
            return description
        room -= parts.padded(largest - part_size)
    raise UsageError(
        f"parts of {part_size:,} bytes are too small for this mirror: a bundle has at most {parts.MOST_PARTS} parts, "
        f"and each of them has the lock and the list of the bundle",
        advice="Give a larger --size.",
    )


def _sizes(description: Description, content: bytes, signatures: Mapping[str, bytes]) -> list[int]:
    return [layout.size for layout in parts.layouts(description, content, signatures)]


def _cost(file: str, size: int) -> int:
    """The bytes that a piece takes in a part at most: its header, its content, and its line in SHA256SUMS."""
    path = f"pieces/{file}.from-byte-{0:015}"
    folder = parts.part_name("0" * 64, parts.MOST_PARTS, parts.MOST_PARTS)
    return len(parts.header(folder, path, size)) + parts.padded(size) + len(parts.sums_line("0" * 64, path))


def _pieces(sizes: Mapping[str, int], room: int) -> tuple[Piece, ...]:
    """Large files fill parts of their own; everything else goes, the largest first, into the first part with room."""
    placed, rest = list[Piece](), list[tuple[int, str, int]]()
    number = 0
    for file, size in sorted(sizes.items()):
        offset = 0
        most = (room - _cost(file, 0)) // parts.BLOCK * parts.BLOCK
        while size - offset > most:
            number += 1
            placed.append(Piece(part=number, file=file, offset=offset, size=most))
            offset += most
        rest.append((size - offset, file, offset))
    free = list[int]()
    for size, file, offset in sorted(rest, key=lambda piece: (-piece[0], piece[1])):
        cost = _cost(file, size)
        place = next((index for index, left in enumerate(free) if left >= cost), len(free))
        if place == len(free):
            free.append(room)
        free[place] -= cost
        placed.append(Piece(part=number + place + 1, file=file, offset=offset, size=size))
    return tuple(sorted(placed, key=lambda piece: (piece.part, piece.file)))
