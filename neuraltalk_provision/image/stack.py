"""The layer with the generation: at the path for which it was built, with what a run needs around it.

The tar of the cache is read once: its SHA-256 and that of every file are compared while the layer is written.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.image import configuration
from neuraltalk_provision.image.oci import Layer
from neuraltalk_provision.mirror import bounded, cache_needs, tar_writer
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.rules import archives, layout, pack
from neuraltalk_provision.rules.archive_formats import ArchiveError
from neuraltalk_provision.rules.run import LINKED

WHITEOUT = ".wh."
"""Files whose names begin so remove files of lower layers."""
_MODELS = "neuraltalk2/model"
_OF_THE_SYSTEM = frozenset(
    {"bin", "boot", "dev", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "tmp", "work"}
)
_REMOVE = "Remove the entry with `provision cache remove {id}`, and run `provision site`, which makes it again."


class _Content(Protocol):
    def read(self, size: int, /) -> bytes: ...


def refuse_stack_root(root: str) -> None:
    """UsageError for a stack root that would hide files of the system in an image."""
    parts = root.split("/")[1:]
    if any(part in ("", ".", "..") for part in parts) or parts[0] in _OF_THE_SYSTEM or root == "/var/run":
        raise UsageError(
            f"the generation was built for the stack root {root}, where an image has files of its own",
            advice="Set another stack_root in provision.yml, such as /opt/neuraltalk, and build the generation again.",
        )


def write(file: Path, packed: Path, entry: CacheEntry, artifacts: Mapping[str, Path]) -> Layer:
    """Write the layer to a new file. `artifacts` are {SHA-256: file} of what the tar `packed` leaves out.

    Raises MirrorError if the tar or a file is not what the entry says, UsageError if no image can be made of it.
    """
    refuse_stack_root(entry.stack_root)
    root = layout.generation(entry.stack_root, entry.id).lstrip("/")
    try:
        with bounded.opened(packed) as opened, tar_writer.writing(file) as tar:
            source = _Hashed(opened)
            _write(tar, source, root, entry, artifacts)
            if (source.digest.hexdigest(), source.size) != (entry.sha256, entry.size):
                raise ValueError("its SHA-256 is not that of entry.json")
            written = tar.written()
    except (ArchiveError, ValueError) as error:
        raise MirrorError(
            f"{packed} is not the packed generation {entry.id}: {error}", advice=_REMOVE.format(id=entry.id)
        ) from None
    return Layer(file, written.sha256, written.size)


def _write(
    tar: tar_writer.Writer, source: _Hashed, root: str, entry: CacheEntry, artifacts: Mapping[str, Path]
) -> None:
    listed: list[pack.Listed] = []
    waiting: dict[str, pack.Listed] = {}
    for member in archives.entries(cast("IO[bytes]", source), 0, cache_needs.LIMITS):
        if not listed:
            listed = cache_needs.listing(member)
            refuse(listed, entry)
            waiting = {one.path: one for one in listed if one.type == pack.FILE}
            _directories(tar, root, listed)
            continue
        one = waiting.pop(member.name, None)
        if one is None or member.target or member.size != one.size:
            raise ValueError(f"{member.name[:200]} is not in its list")
        _add(tar, f"{root}/{one.path}", one, member.content)
    for path, one in sorted(waiting.items()):
        if one.sha256 not in artifacts:
            raise ValueError(f"it lacks {path}, and the mirror has no file with its SHA-256")
        with bounded.opened(artifacts[one.sha256]) as content:
            _add(tar, f"{root}/{path}", one, content)
    for one in listed:
        if one.type == pack.LINK:
            tar.link(f"{root}/{one.path}", one.target, time=pack.DATE)
    _surroundings(tar, listed, entry)


def refuse(listed: Sequence[pack.Listed], entry: CacheEntry) -> None:
    """UsageError if no image can be made of a generation: it needs files of a host, or hides files of a layer."""
    outside = pack.links_out(listed, layout.generation(entry.stack_root, entry.id), ())
    if outside:
        raise UsageError(
            f"generation {entry.id} uses files outside of it, such as the CUDA directory of its host: {outside[0]} is "
            "a link to one",
            advice="An image has no such files. Build the generation on a host without a CUDA directory, with the CUDA "
            "wheels of the mirror (docs/gpu.md), and make the image of that one.",
        )
    hiding = [one.path for one in listed if posixpath.basename(one.path).startswith(WHITEOUT)]
    if hiding:
        raise UsageError(
            f"generation {entry.id} contains {hiding[0]}, whose name means in an image that other files are removed",
            advice=_REMOVE.format(id=entry.id),
        )


def _directories(tar: tar_writer.Writer, root: str, listed: Sequence[pack.Listed]) -> None:
    parts = root.split("/")
    for count in range(len(parts)):
        tar.directory("/".join(parts[: count + 1]), time=pack.DATE)
    for one in listed:
        if one.type == pack.DIRECTORY:
            tar.directory(f"{root}/{one.path}", time=pack.DATE)


def _add(tar: tar_writer.Writer, name: str, one: pack.Listed, content: _Content) -> None:
    """Add one file. ValueError if its content is not that of the list."""
    checked = _Checked(content)
    tar.add(name, one.size, cast("IO[bytes]", checked), mode=int(one.mode, 8), time=pack.DATE)
    if checked.digest.hexdigest() != one.sha256 or content.read(1):
        raise ValueError(f"{one.path} is not as it was packed")


def _surroundings(tar: tar_writer.Writer, listed: Sequence[pack.Listed], entry: CacheEntry) -> None:
    """The link `current`, and the directory in which programs start, with links to what they need there."""
    current, home = layout.current(entry.stack_root), configuration.HOME.lstrip("/")
    tar.link(current.lstrip("/"), f"{layout.GENERATIONS}/{entry.id}", time=pack.DATE)
    for folder in (home, f"{home}/vis", f"{home}/vis/imgs", f"{home}/model", f"{home}/checkpoint"):
        tar.directory(folder, owner=configuration.ACCOUNT, time=pack.DATE)
    for one in listed:
        name = one.path.removeprefix("neuraltalk2/")
        if name in LINKED or posixpath.dirname(one.path) == _MODELS:
            tar.link(f"{home}/{name}", f"{current}/{one.path}", time=pack.DATE)


class _Hashed:
    """The tar of the cache, hashed while it is read from its start to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.size += len(data)
        return data

    def seek(self, place: int) -> int:
        if place:
            raise ValueError("it is read from its start to its end")
        self.digest, self.size = hashlib.sha256(), 0
        return self._file.seek(0)

    def tell(self) -> int:
        return self._file.tell()


class _Checked:
    """The content of a file, hashed while it is read."""

    def __init__(self, content: _Content) -> None:
        self._content, self.digest = content, hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._content.read(size)
        if len(data) < size:
            raise ValueError("one of its files ends too early")
        self.digest.update(data)
        return data
