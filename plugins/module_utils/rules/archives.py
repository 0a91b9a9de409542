# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The one reader of artifacts' archives: what the mirror inspects is exactly what a host unpacks.

Read by modules on hosts and by the controller. Runs under Python 2.7 and 3, standard library only. Nothing is written.

An archive is a tar without compression or with gzip. It is read once, from start to end, in little memory. Anything
that two programs could read in two ways is refused: a damaged header, data after the end, sparse files, a member twice.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import gzip
import struct
import sys
import tarfile
import zlib

from . import archive_headers
from .archive_formats import DAMAGED, FORMAT, LARGE, ArchiveError, damaged, shown, what_is
from .archive_tree import FILE, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Iterator  # noqa: F401

Limits = collections.namedtuple("Limits", "unpacked members ratio")
"""The most bytes and members of an archive, and how much larger than its file it may be from FREE_RATIO bytes on."""
HOST_LIMITS = Limits(1 << 38, 1 << 20, 2000)
"""For hosts, which unpack only what the mirror has inspected with the limits of each artifact."""
FREE_RATIO = 64 << 20
LATEST_TIME = 1 << 33
BLOCK = 1 << 16
_ERRORS = "surrogateescape" if sys.version_info[0] > 2 else "strict"

Member = collections.namedtuple("Member", "name original kind target mode mtime size content")
"""A member: its name below the top directory, its kind (FILE, DIRECTORY or LINK), the target of a link or of a hard
link (then it is a FILE and `target` is the name of an earlier one), and the content of a file as an open file."""


def entries(file, strip=1, limits=HOST_LIMITS):
    # type: (IO[bytes], int, Limits) -> Iterator[Member]
    """The members of an archive, an open file. Members that are not unpacked are left out.

    `strip` leading directories are removed from the names: 1 for an archive with one directory at its top. Its whole
    content is good only if the last one was handed out. Raises ArchiveError.
    """
    source = _Source(file, limits)
    tree = Tree(strip)
    count = 0
    try:
        tar = tarfile.open(
            fileobj=source, mode="r|", bufsize=BLOCK, tarinfo=archive_headers.Member, encoding="utf-8", errors=_ERRORS
        )  # type: ignore[call-overload]
        member = tar.next()
        while member is not None:
            tar.members = []  # otherwise it keeps every member in memory
            count += 1
            if count > limits.members:
                raise ArchiveError(LARGE, "contains more than %d members" % limits.members)
            archive_headers.check(member)
            if member.size > limits.unpacked:
                raise ArchiveError(
                    LARGE, "is too large when it is unpacked: %s has %d bytes" % (shown(member.name), member.size)
                )
            found = tree.add(member)
            if found is not None:
                name, kind, target = found
                content = _Content(tar.extractfile(member), member.size) if kind == FILE and not target else None
                mtime = int(member.mtime) if 0 <= member.mtime < LATEST_TIME else 0
                yield Member(name, member.name, kind, target, member.mode, mtime, member.size, content)
            member = tar.next()
        if not count:
            raise ArchiveError(DAMAGED, "contains no files")
        _check_end(tar.fileobj)
    except ArchiveError:
        raise
    except (tarfile.TarError, EOFError, ValueError, OverflowError, struct.error) as error:
        raise damaged(error)
    tree.check_links()


class _Content(object):
    """The content of a file. The end of the archive in the middle of it is an ArchiveError, in every Python."""

    def __init__(self, file, size):
        # type: (Any, int) -> None
        self.file, self.left = file, size

    def read(self, size):
        # type: (int) -> bytes
        """At most `size` of the next bytes; empty at the end of the file."""
        size = min(size, self.left)
        try:
            data = self.file.read(size) if size else b""  # type: bytes
        except tarfile.TarError as error:
            raise damaged(error)
        if len(data) < size:
            raise damaged("it ends in the middle of a file")
        self.left -= len(data)
        return data


def _check_end(stream):
    # type: (Any) -> None
    """ArchiveError if anything but zeros follows the end of the archive."""
    while True:
        rest = stream.read(BLOCK)
        if not rest:
            return
        if rest.strip(b"\0"):
            raise ArchiveError(DAMAGED, "has data after its end, which another program could unpack")


class _Source(object):
    """The archive without its compression, with a limit. Errors of the compression are ArchiveErrors."""

    def __init__(self, file, limits):
        # type: (IO[bytes], Limits) -> None
        self.file, self.limits, self.count = file, limits, 0
        head = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        what = what_is(head)
        if what:
            raise ArchiveError(FORMAT, what)
        self.stream = gzip.GzipFile(fileobj=file, mode="rb") if head.startswith(b"\x1f\x8b") else file  # type: Any

    def read(self, size):
        # type: (int) -> bytes
        """The next bytes."""
        try:
            data = self.stream.read(size)  # type: bytes
        except (EOFError, zlib.error, struct.error, ValueError, TypeError) as error:  # TypeError: Python 2.7's gzip
            raise damaged(error)
        except EnvironmentError as error:
            if error.errno:
                raise
            raise damaged(error)
        self.count += len(data)
        if self.count > self.limits.unpacked:
            raise ArchiveError(LARGE, "is larger than %d bytes when it is unpacked" % self.limits.unpacked)
        if self.count > FREE_RATIO and self.count > self.limits.ratio * self.file.tell():
            raise ArchiveError(LARGE, "is more than %d times larger when it is unpacked" % self.limits.ratio)
        return data
