# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A file while its pieces arrive: `.NAME.<16 of its SHA-256>.part`, which only its owner can read.

Pieces are written in their order, and only after their digest was compared. After a kill, the pieces at its beginning
that are right are kept. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import threading

from ..host.disk import free_bytes
from ..host.errors import StackError
from ..host.files import sync
from ..host.partial import opened
from ..rules import codes, pieces

MODE = 0o644
"""The mode of the complete file."""
SPARE = 16 << 20
"""Bytes of the disk that stay free."""


class WrongPieceError(Exception):
    """A piece, or the list of the pieces, does not have its digest."""


def part_of(path, sha256):
    """The path of the file in which the pieces of `path` are collected."""
    return os.path.join(os.path.dirname(path), ".%s.%s.part" % (os.path.basename(path), sha256[:16]))


def check_space(directory, missing):
    """StackError if a directory's file system does not have `missing` bytes for a file."""
    free = free_bytes(directory)
    if missing and missing + SPARE > free:
        message = "the disk of %s has %d MB free, and the file needs %d MB more: free some space, or use another --into"
        raise StackError(message % (directory, free >> 20, missing + SPARE >> 20), code=codes.DISK_FULL)


def is_at(handle, path):
    """Whether the path is still that of an open file."""
    if not os.path.lexists(path):
        return False
    here, opened_file = os.lstat(path), os.fstat(handle)
    return (here.st_dev, here.st_ino) == (opened_file.st_dev, opened_file.st_ino)


def others_of(path, sha256):
    """The paths of this user's parts of `path` with other digests: what transfers of other versions have left."""
    directory, name = os.path.split(path)
    pattern = re.compile(r"\.%s\.[0-9a-f]{16}\.part\Z" % re.escape(name))
    found = [one for one in os.listdir(directory) if pattern.match(one)] if os.path.isdir(directory) else []
    paths = [os.path.join(directory, one) for one in sorted(found)]
    return [one for one in paths if one != part_of(path, sha256) and _is_own(one)]


def _is_own(path):
    try:
        status = os.lstat(path)
    except (IOError, OSError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def remove_others(path, sha256):
    """Remove what `others_of` finds, except what another command is using."""
    for one in others_of(path, sha256):
        try:
            handle = os.open(one, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (IOError, OSError):
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(handle, one):
                os.unlink(one)
        except (IOError, OSError):
            pass  # it is in use, or cannot be locked: it stays
        finally:
            os.close(handle)


class PartFile(object):
    """The pieces that have arrived. One thread writes them, and others read them and wait for new ones.

    `have` is the number of pieces that are there and right; `kept` of them were there at the beginning. While that is
    verified, both grow.
    """

    def __init__(self, path, size, sha256, list_sha256):
        self.path, self.size, self.sha256, self.list_sha256 = path, size, sha256, list_sha256
        self.part = part_of(path, sha256)
        self.count = pieces.count(size)
        self.list = None  # type: bytes | None
        self.have = self.kept = 0
        self.digest = hashlib.sha256()
        self.changed = threading.Condition()
        self.handle = opened(self.part)
        try:
            self._lock()
        except StackError:
            os.close(self.handle)
            raise

    def _lock(self):
        busy = "another command receives %s at this moment: wait until it has ended" % self.path
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError) as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise StackError(busy, code=codes.BUSY)
            message = "%s cannot be locked: %s. Use a file system that has locks (flock), with another --into"
            raise StackError(message % (self.part, error.strerror))
        if not is_at(self.handle, self.part):  # the other command has just ended
            raise StackError(busy, code=codes.BUSY)

    def use_list(self, content, meanwhile=lambda: None):
        """Use the list of the pieces' digests, and keep what is there and right. WrongPieceError if it is wrong.

        `meanwhile()` is called after each piece that is right.
        """
        if hashlib.sha256(content).hexdigest() != self.list_sha256 or len(content) != self.count * pieces.DIGEST:
            raise WrongPieceError("the list of the pieces")
        with self.changed:
            self.list = content
            self.changed.notify_all()
        while self.have < self.count:
            piece = self._kept(self.have)
            if not self._is_right(self.have, piece):
                break
            self.kept += 1
            self._arrived(piece)
            meanwhile()
        with self._writing():
            os.ftruncate(self.handle, self.have * pieces.piece_size(self.size) if self.have < self.count else self.size)

    def add(self, piece):
        """Write the next piece. WrongPieceError if it is not the right one; StackError if it cannot be written."""
        if not self._is_right(self.have, piece):
            raise WrongPieceError("piece %d" % self.have)
        with self._writing(), self.changed:
            os.lseek(self.handle, self.have * pieces.piece_size(self.size), os.SEEK_SET)
            view = memoryview(piece)
            while len(view):
                view = view[os.write(self.handle, view) :]
        self._arrived(piece)

    def finish(self, replace):
        """Give the complete file its name and mode. StackError if it is not the right one, or the name is taken."""
        if self.digest.hexdigest() != self.sha256:
            if is_at(self.handle, self.part):
                os.unlink(self.part)
            raise StackError(
                "%s: all pieces are right, but the whole file has sha256 %s and not %s. Nothing of it was kept"
                % (self.path, self.digest.hexdigest(), self.sha256)
            )
        with self._writing():
            os.fsync(self.handle)
        if not replace and os.path.lexists(self.path):
            raise taken(self.path)
        if not is_at(self.handle, self.part):
            message = (
                "%s was removed or replaced by another process: find out which one, then run the same command again"
            )
            raise StackError(message % self.part)
        with self._writing():
            os.fchmod(self.handle, MODE)
            os.rename(self.part, self.path)
            sync(os.path.dirname(self.path))

    def digests(self, seconds):
        """The list of the pieces' digests; None if it is not there after so many seconds."""
        with self.changed:
            if self.list is None:
                self.changed.wait(seconds)
            return self.list

    def piece(self, index, seconds):
        """The bytes of a piece; None if it is not there after so many seconds."""
        with self.changed:
            if index >= self.have:
                self.changed.wait(seconds)
            return self._read(index) if index < self.have else None

    def _read(self, index):
        length, found = pieces.length(self.size, index), []
        with self.changed:
            os.lseek(self.handle, index * pieces.piece_size(self.size), os.SEEK_SET)
            while length > 0:
                block = os.read(self.handle, length)
                if not block:
                    break
                found.append(block)
                length -= len(block)
        return b"".join(found)

    def _kept(self, index):
        """The bytes of a piece that an earlier transfer left; none if a broken disk does not return them."""
        try:
            return self._read(index)
        except (IOError, OSError):
            return b""

    def _is_right(self, index, piece):
        wanted = (self.list or b"")[index * pieces.DIGEST : (index + 1) * pieces.DIGEST]
        return len(piece) == pieces.length(self.size, index) and hashlib.sha256(piece).digest() == wanted

    def _arrived(self, piece):
        self.digest.update(piece)
        with self.changed:
            self.have += 1
            self.changed.notify_all()

    @contextlib.contextmanager
    def _writing(self):
        """Convert every OSError of the block to a StackError that names the file, and says what to do."""
        try:
            yield
        except (IOError, OSError) as error:
            code = codes.of_errno(error.errno)
            advice = "free some space, or use another --into" if code == codes.DISK_FULL else "check the disk"
            message = "%s cannot be written: %s. What arrived is kept: %s, then run the same command again"
            raise StackError(message % (self.part, error.strerror, advice), code=code or codes.DISK_BROKEN)


def taken(path):
    """The StackError for a name that another file has."""
    return StackError(
        "%s is there and has other contents: use --replace, or another --into" % path, code=codes.FILE_TAKEN
    )
