# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of a host: written whole, read up to a bound, with modes that do not depend on the umask of a login.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import io
import json
import os
import stat
import tempfile

from .texts import as_native, as_text

# What a host builds is for all its users, whatever umask its root logs in with (sudoers may say 0077). Every module
# that writes or runs programs imports this file, and its children inherit the umask. What must be private says so.
UMASK = 0o022
os.umask(UMASK)
MOST = 256 << 20
"""Bytes of a file that are read at once at most."""


def make_directory(path, mode=0o755):
    """`path` is a directory afterwards; what was not there, its parents too, gets `mode` whatever the umask."""
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


def write_whole(path, text, mode=0o644):
    """Write `text` beside `path`, make it durable, then rename it there."""
    make_directory(os.path.dirname(path))
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(as_text(text).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        os.rename(beside, path)
    except Exception:
        os.unlink(beside)
        raise


def remove(path):
    """There is no file `path` afterwards, whoever removed it."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def read_text(path, most=MOST):
    """The text of `path`, up to `most` bytes of it; None where there is no such file.

    A process that ended between the opening of its file in /proc and the reading is no such file either (ESRCH). What
    is no ordinary file (a pipe that would never end, a device) is an error, and nobody waits for it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH):
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EISDIR, "it is a directory, a pipe or a device, not an ordinary file", path)
    try:
        with os.fdopen(handle, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno == errno.ESRCH:
            return None
        raise


def file_size(path):
    """The bytes of a file, 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def lines_since(path, offset):
    """The lines of a log from byte `offset` on."""
    with io.open(path, "rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace").splitlines()


def read_json(path):
    """The object in `path`, None where the file is missing or was cut short."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def read_native(path):
    """As `read_json`, with its texts as this Python hands them to programs: bytes in UTF-8 for 2.7."""
    return as_native(read_json(path))


def write_json(path, value):
    """Write `value` to `path` as a whole, keys sorted."""
    write_whole(path, as_text(json.dumps(value, indent=1, sort_keys=True)) + "\n")


def file_sha256(path):
    """The hex digest of a file."""
    digest = hashlib.sha256()
    with io.open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
