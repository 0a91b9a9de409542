"""Writes a tar whose bytes depend on its members alone: GNU's format, owner 0, no compression, no time of its own.

Python 2.7 and every tar can read this format. Compression is not used, because its bytes differ between versions of
zlib.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast


@dataclass(frozen=True)
class Written:
    """The archive that was written."""

    sha256: str
    size: int


class Writer:
    """An archive that is hashed while it is written."""

    def __init__(self, tar: tarfile.TarFile, hashed: _Hashed) -> None:
        self._tar, self._hashed = tar, hashed

    def add(self, name: str, size: int, content: IO[bytes], *, mode: int = 0o644, time: int = 0) -> None:
        """Add a file with the next `size` bytes of `content`; `time` is in seconds since 1970."""
        info = self._info(name, mode, time)
        info.size = size
        self._tar.addfile(info, content)

    def directory(self, name: str, *, owner: int = 0, time: int) -> None:
        """Add a directory; `owner` is the number of its user and of its group."""
        info = self._info(name, 0o755, time)
        info.type, info.uid, info.gid = tarfile.DIRTYPE, owner, owner
        self._tar.addfile(info)

    def link(self, name: str, target: str, *, time: int) -> None:
        """Add a symbolic link."""
        info = self._info(name, 0o777, time)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def written(self) -> Written:
        """Complete the archive."""
        self._tar.close()
        return Written(self._hashed.digest.hexdigest(), self._hashed.size)

    @staticmethod
    def _info(name: str, mode: int, time: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode, info.mtime, info.uname, info.gname = mode, time, "", ""
        return info


@contextmanager
def writing(file: Path) -> Iterator[Writer]:
    """A new archive. It is complete only after `written` was called."""
    with file.open("wb") as target:
        hashed = _Hashed(target)
        with tarfile.open(
            fileobj=cast("IO[bytes]", hashed),
            mode="w",
            format=tarfile.GNU_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            yield Writer(tar, hashed)


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size
