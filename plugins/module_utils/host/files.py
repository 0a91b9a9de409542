# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of a host: written atomically, read up to a limit, with modes that do not depend on the umask of the login.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
import time

from .access_lists import nfs4_writers
from .texts import as_native, as_text

# All users of a host must be able to read what is built there, also if the umask of root's login is stricter (sudoers
# may set 0077). Every module that writes files or runs programs imports this file, and child processes inherit the
# umask. Files that must be private get an explicit mode.
UMASK = 0o022
os.umask(UMASK)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESRCH)
_PLACE = getattr(os, "O_PATH", 0o10000000)
"""The flag to open the place of a file, and not the file; Python 2.7 does not name it."""
MAX_READ = 256 << 20
"""The largest number of bytes that are read from a file."""
BLOCK = 1 << 16
MOST_LOG = 16 << 20
"""The same for the output of a program."""
DAY = 86400
"""Seconds. What is temporary and older is what a killed command left."""
PREFIX = ".new-"
"""How the names of temporary files begin, which replace another file when they are whole."""
_TEMPORARY = re.compile(r"\.new-[A-Za-z0-9_]{6,8}\Z")
"""Their names: mkstemp adds 6 characters under Python 2.7, and 8 under 3."""


def make_directory(path, mode=0o755):
    """Create the directory `path` and its parents if they are missing; new ones get `mode`, whatever the umask is."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_directory(parent, mode)
    try:
        os.mkdir(path, mode)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise
    else:
        os.chmod(path, mode)


@contextlib.contextmanager
def naming(path):
    """Let every OSError of the block name the file `path`: those of write() and fsync() name none."""
    try:
        yield
    except (IOError, OSError) as error:
        error.filename = path
        raise


def write_whole(path, text, mode=0o644):
    """Write `text` to a temporary file beside `path`, flush it to disk, then rename it to `path`."""
    make_directory(os.path.dirname(path))
    with naming(path):
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=PREFIX)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(as_text(text).encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.rename(temporary, path)
        except Exception:
            os.unlink(temporary)
            raise


def remove_remains(folder, age=0):
    """Remove temporary files that killed commands left in a directory, if they are at least `age` seconds old."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if _TEMPORARY.match(name) and os.path.isfile(path) and time.time() - os.lstat(path).st_mtime >= age:
            remove(path)


def sync_tree(path):
    """Flush a directory and everything in it to disk, as what is written next says that it is complete."""
    if _sync_file_system(path):
        return
    for folder, _folders, files in os.walk(path):
        for name in [os.path.join(folder, name) for name in files] + [folder]:
            if stat.S_IFMT(os.lstat(name).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                sync(name)


def _sync_file_system(path):
    """Flush the file system of a path at once: 0.1 s for 800 files in place of 2 s. False if libc cannot."""
    try:
        import ctypes  # not all Pythons have it, and few modules need it

        function = ctypes.CDLL(None).syncfs
    except (ImportError, OSError, AttributeError):
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        return function(handle) == 0
    finally:
        os.close(handle)


def sync(path):
    """Flush a file, or the entries of a directory, to disk."""
    with naming(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_if_possible(path):
    """Flush the entries of a directory to disk. Ignored if its file system cannot do that."""
    try:
        sync(path)
    except (IOError, OSError):
        pass


def remove(path):
    """Remove the file `path` if it exists."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def remove_any(path):
    """Remove a file, a link, or a directory with its content, if it exists. The target of a link stays."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        remove(path)


@contextlib.contextmanager
def open_regular(path):
    """The file `path`, opened to read bytes in a block. OSError, without waiting, if it is not a regular file.

    A pipe might never end, and opening a device may have an effect: /dev/watchdog resets the host a minute later. So
    it is looked at before it is opened, and what was looked at is opened, whatever the path leads to by then.
    Everything that another user can put in place is opened by this. Every OSError of the block names the file.
    """
    with naming(path):
        place = os.open(path, _PLACE)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise OSError(errno.EISDIR, "it is a directory, a pipe or a device, not an ordinary file")
            handle = os.open("/proc/self/fd/%d" % place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(place)
        with io.open(handle, "rb") as file:
            yield file


def leads_nowhere(error, path):
    """Whether opening `path` failed with this OSError, with O_NOFOLLOW, because there is no such file.

    So it is if links before it make a circle. If the file itself is a link, it is there.
    """
    return error.errno in (errno.ENOENT, errno.ENOTDIR) or error.errno == errno.ELOOP and not os.path.islink(path)


def read_most(file, limit):
    """At most `limit` bytes of an open file. `file.read(limit)` would reserve memory for all of them at first."""
    blocks = []
    while limit:
        block = file.read(min(limit, BLOCK))
        if not block:
            break
        blocks.append(block)
        limit -= len(block)
    return b"".join(blocks)


def read_text(path, limit=MAX_READ):
    """The first `limit` bytes of the file `path` as text; None if there is no such file.

    So it is if links lead there in a circle. Also None if `path` is below /proc and its process ends before the file is
    read (ESRCH). OSError, without waiting, if it is not a regular file: a pipe might never end.
    """
    try:
        with open_regular(path) as file:
            return read_most(file, limit).decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno in _ABSENT:
            return None
        raise


def file_size(path):
    """The size of a file in bytes; 0 if there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def end_of(path, size=MOST_LOG, start=0):
    """The last `size` bytes of a log after byte `start`, as text; empty if there is no such file.

    It may begin or end in the middle of a line. A program can make its log as large as it likes, also without using
    space on the disk.
    """
    try:
        with open_regular(path) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(start, file.tell() - size))
            return read_most(file, size).decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno in _ABSENT:
            return ""
        raise


def lines_since(path, offset):
    """The lines of a log, starting at byte `offset`; of a very large log only those at its end."""
    return end_of(path, start=offset).splitlines()


def parse_json(text):
    """The value of a JSON text; None if it is not valid JSON, nested too deeply, or too large for the memory."""
    try:
        return json.loads(text)
    except (ValueError, RuntimeError, MemoryError):  # RecursionError is a RuntimeError
        return None


def read_json(path, limit=MAX_READ):
    """The value in the JSON file `path`; None if the file is missing or damaged, or larger than `limit` bytes."""
    text = read_text(path, limit + 1)
    return None if text is None or len(text) > limit else parse_json(text)


def read_native(path, limit=MAX_READ):
    """Like `read_json`, with strings as `str` of this Python: bytes in UTF-8 for Python 2.7."""
    return as_native(read_json(path, limit))


def write_json(path, value):
    """Write `value` to `path` as JSON with sorted keys, atomically."""
    write_whole(path, as_text(json.dumps(value, indent=1, sort_keys=True)) + "\n")


def file_sha256(path):
    """The SHA-256 of a file, in hex."""
    with open_regular(path) as file:
        return content_sha256(file.read)


def content_sha256(read):
    """The SHA-256, in hex, of what `read(size)` returns until it returns nothing."""
    digest = hashlib.sha256()
    for block in iter(lambda: read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def is_own_file(path, status):
    """Whether it is a regular file that no other user owns or can write. `status` is a result of lstat or fstat."""
    is_own = stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
    return is_own and not any(nfs4_writers(path, status))
