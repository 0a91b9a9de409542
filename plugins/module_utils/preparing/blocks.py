# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The tasks that a process executes on a block of pictures: check it, read it into the HDF5, compute its stamp.

A task is {do, paths (each of bytes, as latin-1)} and more that its function says. Rows are counted from the start of
the block. A `stamp` tells whether the files are still what they were when they were read, by size and time of change.

Runs under Python 2.7 and 3. Needs Pillow.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import os
import re

from ..pictures import pixels
from ..pictures.files import as_name, look
from ..pictures.headers import Unusable
from ..pictures.pixels import BYTES
from ..programs.processes import retry_interrupted, write_all
from ..host.errors import StackError
from ..host.files import read_text
from ..host.texts import as_text

ENDINGS = {"jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF",
           "tiff": "TIFF", "webp": "WEBP", "ppm": "PPM", "pgm": "PGM", "pbm": "PBM"}  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def work(task, note):
    """Execute a task, and return its result."""
    paths = [as_name(path.encode("latin-1")) for path in task["paths"]]
    crashes = dict((int(row), number) for row, number in task.get("crashes", {}).items())
    return {"look": look_at, "read": read, "stamp": stamp}[task["do"]](task, paths, crashes, note)


def look_at(task, paths, crashes, note):
    """{bad: [[row, reason, fault]], other: files of another kind than their names say} by the files' headers."""
    bad, other = [], 0
    for row, path in enumerate(paths):
        note(row)
        try:
            refuse_crash(row, crashes)
            kind = look(path)[0]
            if kind not in pixels.FORMATS:
                raise pixels.unknown(kind)
        except Unusable as error:
            bad.append([row, as_text(error.reason), error.fault])
            continue
        ending = path.rpartition(".")[2].lower()
        other += ENDINGS.get(ending, kind) != kind
    return {"bad": bad, "other": other}


def read(task, paths, crashes, note):
    """Write each picture into the file `part`, the first one at byte `place`; of the rows `only` where that is given.

    {bad, decoded, converted: how many, bytes: of the pictures' files, stamp, memory: the most that
    this process had, in bytes}
    """
    handle = os.open(task["part"].encode("latin-1"), os.O_WRONLY | os.O_NOFOLLOW)
    bad, result = [], {"decoded": 0, "converted": 0, "bytes": 0}
    states = [as_seen(path) for path in paths]
    try:
        for row in task.get("only") or range(len(paths)):
            note(row)
            result["bytes"] += states[row][0]
            try:
                refuse_crash(row, crashes)
                data, converted = pixels.decode(paths[row])
            except Unusable as error:
                bad.append([row, as_text(error.reason), error.fault])
                continue
            write(handle, task["place"] + row * BYTES, data)
            result["decoded"] += 1
            result["converted"] += converted
    finally:
        os.close(handle)
    result["memory"] = peak()
    return dict(result, bad=bad, stamp=stamp_of(states, [row for row, _reason, _fault in bad]))


def stamp(task, paths, _crashes, _note):
    """Return {stamp} of the files as they are now, without the rows `bad`."""
    return {"stamp": stamp_of([as_seen(path) for path in paths], task["bad"])}


def peak():
    """The most memory that this process had, in bytes; 0 where the kernel does not tell."""
    # Not ru_maxrss, which includes the memory of the parent at the time of the fork.
    found = re.search(r"(?m)^VmHWM:\s*(\d+) kB", read_text("/proc/self/status", 1 << 14) or "")
    return int(found.group(1)) * 1024 if found else 0


def as_seen(path):
    """(size in bytes, time of change in microseconds) of a file; (0, -1) without one."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return 0, -1
    return status.st_size, int(status.st_mtime * 1000000)


def stamp_of(states, bad):
    """Return the stamp of files by their sizes and times."""
    bad = set(bad)
    texts = ["-" if row in bad else "%d %d" % each for row, each in enumerate(states)]
    return hashlib.sha256("\n".join(texts).encode("ascii")).hexdigest()[:16]


def refuse_crash(row, crashes):
    """Raise Unusable if a process crashed at this row before."""
    if row in crashes:
        raise Unusable("the decoder crashes on it (signal %d)" % crashes[row])


def write(handle, place, data):
    """Write a picture at its place. StackError where the disk is full or refuses it."""
    try:
        retry_interrupted(os.lseek, handle, place, os.SEEK_SET)
        write_all(handle, data)
    except (IOError, OSError) as error:
        words = "a picture could not be written: %s. " % as_text(error.strerror)
        if error.errno in FULL:
            words += "Make room; the same command continues where it stopped"
        raise StackError(words)


def without_crash(task, row, number):
    """The task that is to be done after the process that did it crashed at this row."""
    if row < 0:
        raise StackError("a worker process crashed before it read a picture (signal %d)" % number)
    return dict(task, crashes=dict(task.get("crashes", {}), **{str(row): number}))


def sync(task, _note):
    """Make what was written into a file durable. StackError where the disk refuses."""
    try:
        handle = os.open(task["part"].encode("latin-1"), os.O_WRONLY | os.O_NOFOLLOW)
        try:
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(handle)
        finally:
            os.close(handle)
    except (IOError, OSError) as error:
        raise StackError("the pictures cannot be written to the disk (fsync): %s" % as_text(error.strerror))
    return {}
