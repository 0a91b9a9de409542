# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Moves files into a quarantine folder, with a list by which they can be moved back.

A line of the list is synced to disk before its file is moved, so no moved file is missing in the list if the process is
killed. No file is ever overwritten, neither in the quarantine nor when a file is moved back.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile

from ..pictures.files import opened, printed, shown, unescaped
from ..pictures.headers import Unusable
from ..host.errors import StackError
from ..host.files import PREFIX, file_sha256, is_own_file, make_directory, sync_if_possible
from ..host.texts import TEXT, as_native, as_text

LIST = "quarantine.jsonl"
LINE = 1 << 16
"""Maximum length of a line of the list."""
SAME_NAME = 10000
"""Maximum number of files with the same name in one folder of the quarantine."""


class Quarantine(object):
    """A folder for files of `root`, with their paths below it. Used in a `with` statement, by one process at a time."""

    def __init__(self, root, folder):
        self.root, self.folder = os.path.abspath(root), os.path.abspath(folder)
        self.list = os.path.join(self.folder, LIST)
        if contains(self.folder, self.root):
            raise StackError("--quarantine %s is or contains the data itself: choose another folder" % printed(folder))

    def __enter__(self):
        try:
            make_directory(self.folder)
            self._check_owner()
            self.handle = os.open(
                self.list, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
            )
        except (IOError, OSError) as error:
            raise StackError("--quarantine %s cannot be written: %s" % (printed(self.folder), error.strerror))
        try:
            if not stat.S_ISREG(os.fstat(self.handle).st_mode):
                raise StackError("%s is not an ordinary file: choose another folder" % printed(self.list))
            lock(self.handle, self.list)
            size = os.fstat(self.handle).st_size
            os.lseek(self.handle, max(0, size - 1), os.SEEK_SET)
            if size and os.read(self.handle, 1) != b"\n":
                os.write(self.handle, b"\n")  # a kill cut off the last line; its file was not moved
        except Exception:
            os.close(self.handle)
            raise
        return self

    def _check_owner(self):
        """StackError if another user can put links into the folder, which would lead files to other places."""
        status = os.stat(self.folder)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
            words = "--quarantine %s belongs to another user, or everybody can write to it: choose a new folder"
            raise StackError(words % printed(self.folder))

    def __exit__(self, *_error):
        os.close(self.handle)

    def add(self, name, reason):
        """Move a file into the quarantine; return the reason if that is not possible, else ""."""
        source = os.path.join(self.root, name)
        inside = os.path.relpath(os.path.normpath(source), self.root)
        if inside.split(os.sep)[0] == os.pardir:
            return "it is not below %s" % printed(self.root)
        if os.path.isdir(source):
            return "it is a directory, and only files are moved"
        try:
            target = free_name(os.path.join(self.folder, inside))
            make_directory(os.path.dirname(target))
            entry = {"from": shown(source), "to": shown(target), "reason": as_text(reason)}
            line = (as_text(json.dumps(entry, sort_keys=True)) + "\n").encode("utf-8")
            if os.write(self.handle, line) != len(line):
                return "the list %s can no longer be written: the disk is full" % printed(self.list)
            os.fsync(self.handle)
            move(source, target)
        except (IOError, OSError, StackError) as error:
            return in_words(error)
        return ""


def contains(folder, path):
    """Return whether a path is a folder or is below it, after resolving links."""
    folder, path = os.path.realpath(folder), os.path.realpath(path)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def lock(handle, path):
    """Lock the list. StackError if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (IOError, OSError):
        raise StackError("another process is using %s: wait until it has ended" % printed(path))


def free_name(path):
    """Return the path, with a number at its end if the path exists."""
    if not os.path.lexists(path):
        return path
    for number in range(2, SAME_NAME):
        if not os.path.lexists("%s.%d" % (path, number)):
            return "%s.%d" % (path, number)
    raise StackError("%s and %d others of this name exist already" % (printed(path), SAME_NAME))


def move(source, target):
    """Move a file; a link stays a link. To another file system, it is copied and synced before it is removed.

    StackError if the target exists.
    """
    if os.path.lexists(target):
        raise StackError("%s exists already" % printed(target))
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    info = os.lstat(source)
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(info.st_mode):
        copy(source, target)
    else:
        raise StackError("it is not an ordinary file, so it cannot be moved to another disk")
    os.unlink(source)


def copy(source, target):
    """Copy a file with its times and mode and sync it to disk. If that fails, there is no target."""
    folder = os.path.dirname(target)
    handle, beside = tempfile.mkstemp(dir=folder, prefix=PREFIX)
    try:
        with opened(source) as old, os.fdopen(handle, "wb") as new:
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())
        shutil.copystat(source, beside)
        os.rename(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
    sync_if_possible(folder)


def in_words(error):
    """Return the message of an error."""
    if isinstance(error, Unusable):
        return error.reason
    if isinstance(error, StackError):
        return str(error)
    return "it cannot be moved: %s" % error.strerror


def undo(path, say):
    """Move the files in a list back, the last one first. Return {moved_back, back_already, left: [{file, reason}]}.

    Files that are back already are not touched, so this can be repeated after a kill. StackError if `path` is not a
    list.
    """
    entries, damaged = read_list(path)
    moved, already, left = 0, 0, []
    for entry in reversed(entries):
        source, target = unescaped(entry["from"]), unescaped(entry["to"])
        reason = ""
        try:
            if not os.path.lexists(target):
                already += bool(os.path.lexists(source))
                reason = "" if os.path.lexists(source) else "it is missing, and %s is missing too" % printed(target)
            elif os.path.lexists(source) and not are_same(source, target):
                reason = "another file has this name now; the old file stays in %s" % printed(target)
            elif os.path.lexists(source):  # a kill between the copy and the removal
                os.unlink(target)
                already += 1
            else:
                make_directory(os.path.dirname(source))
                move(target, source)
                moved += 1
        except (IOError, OSError, Unusable, StackError) as error:
            reason = in_words(error)
        if reason:
            left.append({"file": entry["from"], "reason": as_text(reason)})
    if damaged:
        say(
            "%d lines of %s are incomplete or damaged and were skipped. The file of an incomplete line was never moved"
            % (damaged, path)
        )
    return {"moved_back": moved, "back_already": already, "left": left}


def are_same(one, other):
    """Return whether both are ordinary files with the same bytes."""
    first, second = os.lstat(one), os.lstat(other)
    if not stat.S_ISREG(first.st_mode) or not stat.S_ISREG(second.st_mode) or first.st_size != second.st_size:
        return False
    return file_sha256(one) == file_sha256(other)


def read_list(path):
    """Return ([{from, to, reason}], number of damaged lines) of a list. StackError if all lines are damaged.

    The same if another user could have written it: any file of this user could be named in it, and be moved.
    """
    entries, damaged = [], 0
    try:
        with opened(path) as file:
            if not is_own_file(path, os.fstat(file.fileno())):
                message = (
                    "--undo %s: another user owns this list or can write to it, so it may name any file to be moved. "
                    "Read it; if it is right, copy it to a file of yours, and give that"
                )
                raise StackError(message % printed(path))
            for line in iter(lambda: file.readline(LINE), b""):
                entry = entry_of(line)
                damaged += entry is None
                entries += [entry] if entry else []
    except Unusable as error:
        raise StackError("--undo %s: %s" % (printed(path), error.reason))
    except (IOError, OSError) as error:
        raise StackError("--undo %s: it cannot be read: %s" % (printed(path), error.strerror))
    if damaged and not entries:
        raise StackError("--undo %s: it is not the list of a quarantine, whose name is %s" % (printed(path), LIST))
    return entries, damaged


def entry_of(line):
    """Return the entry {from, to, reason} in a line of a list, or None if the line is damaged."""
    try:
        entry = json.loads(line.decode("utf-8"))
    except (ValueError, RuntimeError):
        return None
    fields = entry if isinstance(entry, dict) else {}
    valid = all(
        isinstance(fields.get(name), TEXT) and os.path.isabs(as_native(fields[name])) for name in ("from", "to")
    )
    return fields if valid else None
