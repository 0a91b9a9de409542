"""The documents beside the parts of a bundle: what people read before they let it in. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from neuraltalk_provision.mirror import lock
from neuraltalk_provision.mirror.parts import Description


def documents(name: str, known: lock.Lock, description: Description, digests: Mapping[str, str]) -> dict[str, str]:
    """{file name: text} of all documents of a bundle; `digests` are {file name of a part: sha256}.

    A document in another format (CycloneDX) is one more item of `found`.
    """
    found = {f"{name}-contents.txt": _contents(name, known, description, digests)}
    sums = {**digests, **{file: hashlib.sha256(text.encode()).hexdigest() for file, text in found.items()}}
    return {**found, f"{name}.sha256": "".join(f"{sha256}  {file}\n" for file, sha256 in sums.items())}


def _contents(name: str, known: lock.Lock, description: Description, digests: Mapping[str, str]) -> str:
    carried = [entry for entry in known.artifacts if entry.file not in description.left_out]
    left_out = [entry for entry in known.artifacts if entry.file in description.left_out]
    places: dict[str, list[str]] = {}
    for piece in description.pieces:
        places.setdefault(piece.file, []).append(str(piece.part))
    lines = [
        f"Bundle {name}",
        f"sha256 of its mirror.lock: {description.lock.sha256}",
        "",
        f"Files in this bundle: {len(carried)}, {sum(entry.size for entry in carried):,} bytes",
        "",
    ]
    for entry in carried:
        lines += [*_rows(entry), f"  in part  {', '.join(places[entry.file])} of {description.parts}", ""]
    if left_out:
        lines += [f"Files that the other side already has, and that this bundle does not contain: {len(left_out)}", ""]
    for entry in left_out:
        lines += [*_rows(entry), ""]
    lines += [f"Parts: {len(digests)}. To check them: sha256sum -c {name}.sha256", ""]
    lines += [f"{sha256}  {part}" for part, sha256 in digests.items()]
    return "\n".join(_plain(line) for line in lines) + "\n"


def _rows(entry: lock.Entry) -> list[str]:
    return [
        entry.name,
        f"  version  {entry.version or 'not recorded'}",
        f"  file     {entry.file}",
        f"  size     {entry.size} bytes",
        f"  sha256   {entry.sha256}",
        f"  role     {entry.role}",
        f"  origin   {entry.origin or 'not recorded'}",
        "  licence  not recorded",
    ]


def _plain(line: str) -> str:
    """The line without characters that could change what is shown: versions and origins are text that people gave."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)
