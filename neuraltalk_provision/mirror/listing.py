"""The documents beside the parts of a bundle: what people read before they let it in. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.mirror import bill_of_materials, carried, lock
from neuraltalk_provision.mirror.contained import Inside, Package, Statement, plain
from neuraltalk_provision.mirror.parts import Description


def documents(
    name: str,
    known: lock.Lock,
    description: Description,
    digests: Mapping[str, str],
    catalogue: Catalogue,
    inside: Mapping[str, Inside],
    cached: Sequence[lock.Entry] = (),
) -> dict[str, str]:
    """{file name: text} of all documents of a bundle.

    `digests` are {file name of a part: sha256}, `inside` what the tars of packages and wheels contain, by file name,
    and `cached` the files of packed generations.
    """
    rows = [
        carried.row(entry, catalogue, inside, carried=entry.file not in description.left_out)
        for entry in known.artifacts
    ]
    rows += [carried.Row(entry, carried.BUILT, carried=True) for entry in cached]
    found = {
        f"{name}-contents.txt": _contents(name, rows, description, digests),
        f"{name}.cdx.json": bill_of_materials.make(name, description.lock.sha256, rows),
    }
    sums = {**digests, **{file: hashlib.sha256(text.encode()).hexdigest() for file, text in found.items()}}
    return {**found, f"{name}.sha256": "".join(f"{sha256}  {file}\n" for file, sha256 in sums.items())}


def _contents(name: str, rows: list[carried.Row], description: Description, digests: Mapping[str, str]) -> str:
    taken = [row for row in rows if row.carried]
    left_out = [row for row in rows if not row.carried]
    places: dict[str, list[str]] = {}
    for piece in description.pieces:
        places.setdefault(piece.file, []).append(str(piece.part))
    lines = [
        f"Bundle {name}",
        f"sha256 of its mirror.lock: {description.lock.sha256}",
        "",
        f"Files in this bundle: {len(taken)}, {sum(row.entry.size for row in taken):,} bytes",
        "",
    ]
    for row in taken:
        lines += [*_rows(row), f"  in part  {', '.join(places[row.entry.file])} of {description.parts}"]
        lines += [*_inner(row), ""]
    if left_out:
        lines += [f"Files that the other side already has, and that this bundle does not contain: {len(left_out)}", ""]
    for row in left_out:
        lines += [*_rows(row), ""]
    lines += [f"Parts: {len(digests)}. To check them: sha256sum -c {name}.sha256", ""]
    lines += [f"{sha256}  {part}" for part, sha256 in digests.items()]
    return "\n".join(plain(line) for line in lines) + "\n"


def _rows(row: carried.Row) -> list[str]:
    entry = row.entry
    return [
        entry.name,
        f"  version  {entry.version or row.commit or 'not recorded'}",
        f"  file     {entry.file}",
        f"  size     {entry.size} bytes",
        f"  sha256   {entry.sha256}",
        f"  role     {entry.role}",
        f"  origin   {entry.origin or 'not recorded'}",
        f"  licence  {_licence(row.statement)}",
    ]


def _inner(row: carried.Row) -> Iterator[str]:
    """What is inside an artifact: submodules, or packages and wheels."""
    if row.inside.problem:
        yield f"  contains {row.inside.problem}"
    if row.parts:
        yield f"  contains {len(row.parts)} submodules:"
    for part in row.parts:
        yield f"    {part.path}  {part.commit or 'commit not recorded'}  {_licence(part.statement)}"
    if row.inside.packages:
        yield f"  contains {len(row.inside.packages)} files:"
    for package in row.inside.packages:
        yield f"    {_package(package)}"


def _package(package: Package) -> str:
    named = " ".join(word for word in (package.name, package.version, package.architecture) if word)
    words = (named, package.file, f"{package.size} bytes", f"sha256 {package.sha256}", _licence(package.statement))
    return "  ".join(word for word in words if word)


def _licence(statement: Statement) -> str:
    if statement == carried.INSIDE:
        return statement.why
    found = ", ".join(carried.names(statement)) or "not recorded"
    remark = "; ".join(text for text in (statement.file and f"from {statement.file}", statement.why) if text)
    return f"{found} ({remark})" if remark else found
