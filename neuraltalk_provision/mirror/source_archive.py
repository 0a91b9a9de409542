"""One tar of a commit and its submodules, with the same bytes on every machine.

Only the commits decide the bytes: members are sorted by path, all have the time of the top commit, owner 0 and mode
0755 or 0644; see `tar_writer.py`.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import git, tar_writer
from neuraltalk_provision.mirror.tar_writer import Writer, Written

MOST_MEMBERS = 100_000
LARGEST = 8 << 30
"""The maximum size of all files together, in bytes."""
LONGEST_PATH = 1_000
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Part:
    """A commit in a bare repository; `path` is empty for the top, and for a submodule its directory."""

    repository: Path
    commit: str
    path: str = ""


@dataclass(frozen=True)
class _Entry:
    path: bytes
    member: git.Member
    part: int


def write(file: Path, top: str, parts: Sequence[Part], left_out: Sequence[str] = ()) -> Written:
    """Write the archive of `parts` (the top commit first) to `file`, below the one directory `top`.

    Submodules at the paths `left_out` are not part of it. Raises MirrorError if a submodule is neither in `parts`, with
    the commit that its parent names, nor in `left_out`, and for a path or a link that leads out of the archive.
    """
    entries = _entries(parts, set(left_out))
    with tar_writer.writing(file) as tar, ExitStack() as stack:
        readers = [stack.enter_context(git.objects(part.repository)) for part in parts]
        time = _time(parts[0], readers[0])
        for entry in entries:
            _add(tar, top, entry, readers[entry.part], time, parts[entry.part])
        return tar.written()


def _entries(parts: Sequence[Part], left_out: set[str]) -> list[_Entry]:
    """All files and links, sorted by path."""
    commits = {part.path: part.commit for part in parts[1:]}
    entries, seen, size = list[_Entry](), set[str](), 0
    for place, part in enumerate(parts):
        for member in git.members(part.repository, part.commit):
            path = posixpath.join(part.path.encode(), member.path)
            _refuse_path(part, path)
            if member.mode == _SUBMODULE:
                seen.add(_submodule(part, member, path.decode("utf-8", "replace"), commits, left_out))
                continue
            entries.append(_Entry(path, member, place))
            size += member.size
            if len(entries) > MOST_MEMBERS or size > LARGEST:
                raise MirrorError(
                    f"{part.repository.name}: more than {MOST_MEMBERS:,} files or {LARGEST:,} bytes",
                    advice="Do not use this source.",
                )
    unknown = sorted(set(commits) - seen)
    if unknown:
        raise MirrorError(
            f"{parts[0].repository.name}: the commit {parts[0].commit} has no submodule at {', '.join(unknown)}",
            advice="The catalogue's source does not fit this commit. Tell the authors.",
        )
    return sorted(entries, key=lambda entry: entry.path)


def _submodule(part: Part, member: git.Member, path: str, commits: dict[str, str], left_out: set[str]) -> str:
    """The path of a submodule, if its commit is the one that the parent names."""
    if path not in left_out and commits.get(path) != member.object:
        given = f"has the commit {commits[path]}" if path in commits else "does not name it"
        raise MirrorError(
            f"{part.repository.name}: its submodule {path} has the commit {member.object}, but the catalogue {given}",
            advice="The catalogue's source does not fit this commit. Tell the authors.",
        )
    return path


def _refuse_path(part: Part, path: bytes) -> None:
    names = path.split(b"/")
    unsafe = any(name in (b"", b".", b"..") or name.lower() == b".git" for name in names)
    if unsafe or len(path) > LONGEST_PATH or re.search(rb"[\x00-\x1f\x7f]", path):
        raise MirrorError(
            f"{part.repository.name}: it contains a path that no archive should have: {path[:100]!r}",
            advice="Do not use this source.",
        )


def _time(part: Part, read: git.Read) -> int:
    """The time of a commit, in seconds since 1970."""
    kind, size, stream = read(part.commit)
    if kind != "commit" or size > 1 << 20:
        raise git.damaged(part.repository, f"{part.commit} is not a commit")
    match = re.search(rb"^committer .*> ([0-9]{1,10}) ", stream.read(size + 1), re.M)
    return int(match[1]) if match else 0


def _add(tar: Writer, top: str, entry: _Entry, read: git.Read, time: int, part: Part) -> None:
    kind, size, stream = read(entry.member.object)
    if kind != "blob" or size != entry.member.size:
        raise git.damaged(part.repository, f"the object {entry.member.object} is not the file that it should be")
    name = f"{top}/{entry.path.decode('utf-8', 'surrogateescape')}"
    if entry.member.mode == _LINK:
        tar.link(name, _link(stream.read(min(size, LONGEST_PATH + 1)), entry.path, part), time=time)
    else:
        content = cast("IO[bytes]", io.BufferedReader(_Content(stream, size, part)))
        tar.add(name, size, content, mode=0o755 if entry.member.mode == "100755" else 0o644, time=time)
    stream.read(1)


def _link(target: bytes, path: bytes, part: Part) -> str:
    """The target of a link. Raises MirrorError if it leads out of the archive."""
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith(b"/") or inside.split(b"/")[0] == b".." or not target or len(target) > LONGEST_PATH:
        raise MirrorError(
            f"{part.repository.name}: {path.decode('utf-8', 'replace')} is a link that leads out of the source",
            advice="Do not use this source.",
        )
    return target.decode("utf-8", "surrogateescape")


class _Content(io.RawIOBase):
    """The next `size` bytes of a stream. Raises MirrorError if it ends before."""

    def __init__(self, stream: IO[bytes], size: int, part: Part) -> None:
        self._stream, self._left, self._part = stream, size, part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self._stream.read(min(len(view), self._left))
        if self._left and not data:
            raise git.damaged(self._part.repository, "git ended before the file was complete")
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)
