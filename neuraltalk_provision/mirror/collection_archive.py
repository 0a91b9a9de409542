"""Collections: whether the description of one can be trusted, and the tar of its files.

The bytes of the tar depend only on the names and contents of the files: they are sorted by name, have mode 0644, the
time 0 and owner 0; see `tar_writer.py`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import addresses, archive, tar_writer
from neuraltalk_provision.mirror.collection import Collection, Piece
from neuraltalk_provision.mirror.tar_writer import Written

LARGEST = archive.MOST_UNPACKED[True]
"""The maximum size of all files together, in bytes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}){0,5}")
_ADVICE = "Do not use this repository, or ask those who maintain it."


def check(name: str, collection: Collection) -> None:
    """MirrorError unless an artifact can consist of these files: plain names, digests, and addresses for curl."""
    names = [*(piece.name for piece in collection.pieces), *collection.made]
    if not collection.pieces or len(names) > archive.MOST_MEMBERS or collection.size > LARGEST:
        raise MirrorError(
            f"{name}: it would be {len(names):,} files of {collection.size:,} bytes; at least one file, at most "
            f"{archive.MOST_MEMBERS:,} files and {LARGEST:,} bytes are expected",
            advice=_ADVICE,
        )
    seen = set[str]()
    for text in names:
        if not _NAME.fullmatch(text):
            raise MirrorError(f"{name}: a file is called {text[:200]!r}, which is not a plain name", advice=_ADVICE)
        if text.casefold() in seen:
            raise MirrorError(f"{name}: two files are called {text}", advice=_ADVICE)
        seen.add(text.casefold())
    for piece in collection.pieces:
        _check_piece(name, piece)


def _check_piece(name: str, piece: Piece) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", piece.sha256) or piece.size < 0:
        raise MirrorError(f"{name}: {piece.name} has no SHA-256, so it cannot be checked", advice=_ADVICE)
    address = piece.address
    if len(address) > 2_000 or re.search(r"[\s\x00-\x1f\x7f]", address) or "://" not in address:
        raise MirrorError(f"{name}: {piece.name} has an address that cannot be used: {address[:200]!r}", advice=_ADVICE)
    addresses.refuse_unsafe_file(address)
    if "@" in address.split("/")[2]:
        raise MirrorError(
            f"{name}: the address of {piece.name} contains a user name or password, which other users could see in the "
            "list of processes",
            advice="Write the address of the repository without it, and put the login into ~/.netrc.",
        )


def write(file: Path, collection: Collection, paths: Mapping[str, Path]) -> Written:
    """Write the tar; `paths` are {SHA-256: file} of the pieces."""
    places: dict[str, Path | bytes] = {piece.name: paths[piece.sha256] for piece in collection.pieces}
    with tar_writer.writing(file) as tar:
        for name, place in sorted({**places, **collection.made}.items()):
            if isinstance(place, bytes):
                tar.add(name, len(place), io.BytesIO(place))
            else:
                with place.open("rb") as content:
                    tar.add(name, place.stat().st_size, content)
        return tar.written()
