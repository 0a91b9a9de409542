# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of pictures: their names, the folders that contain them, and a check of each file's header.

A name of a file is bytes of any kind. Here it is shown as text that can be printed, and found again by that text.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import io
import os
import pwd
import re
import stat

from .headers import Unusable, header
from ..host.errors import StackError
from ..host.texts import PY2, TEXT, as_native

DEEPEST = 32
"""Folders in folders that are walked."""
MOST_FILES = 2000000
"""Files of one folder, with all below it, that are walked."""
KINDS = ((stat.S_ISDIR, "directory"), (stat.S_ISFIFO, "pipe (FIFO)"), (stat.S_ISSOCK, "socket"),
         (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))  # fmt: skip
# Without a backslash, controls (C0, DEL, C1), and the marks that reorder text or end a line: U+061C, U+200B, U+200E,
# U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF.
_PRINTABLE = (
    r"[\x20-\x5b\x5d-\x7e]|(?!\xd8\x9c)(?:\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf])"
    r"|(?!\xe2\x80[\x8b\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf)"
    r"(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]"
    r"|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}"
)
_PIECE = re.compile(("((?:%s)+)|(.)" % _PRINTABLE).encode("ascii"), re.S)
_ESCAPED = re.compile(r"\\(\\|x([0-9a-f]{2}))".encode("ascii"))


def as_bytes(name):
    """The bytes of a file's name or path, as the file system has them."""
    if isinstance(name, bytes):
        return name
    try:
        return name.encode("utf-8") if PY2 else os.fsencode(name)
    except UnicodeEncodeError:  # half of a pair, as JSON can have it: no file has such a name
        return name.encode("utf-8", "surrogatepass")


def as_name(data):
    """The name of a file as this Python opens it: bytes under 2.7, else text with what is not UTF-8 escaped in it."""
    return data if PY2 else os.fsdecode(data)


def named(text):
    """The name of a file that is this text in UTF-8, as this Python opens it."""
    return as_name(as_bytes(text))


def shown(name):
    """A file's name as text that can be printed in one line; `hidden` has the name again.

    A backslash is doubled; controls, bytes that are not UTF-8 and marks that reorder text are written as \\xNN.
    """
    return TEXT().join(map(_piece, _PIECE.finditer(as_bytes(name))))


def _piece(match):
    plain, other = match.groups()
    if plain is not None:
        return plain.decode("utf-8")
    return "\\\\" if other == b"\\" else "\\x%02x" % ord(other)


def hidden(text):
    """The name of a file that `shown` showed as this text, as this Python opens it."""
    return as_name(_ESCAPED.sub(_unescaped, as_bytes(text)))


def _unescaped(match):
    whole, number = match.groups()
    return b"\\" if number is None else bytes(bytearray([int(number, 16)]))


def printed(name):
    """As `shown`, as words of a message take it: bytes in UTF-8 under Python 2.7."""
    return as_native(shown(name))


def walk(folder, apart=()):
    """(name below `folder`, its os.stat) of every file below it; an Unusable in its place where there is none.

    In order of names, the files of a folder before those of the folders in it. Links are followed, each folder once
    at most and under its own name first, so that loops end; folders `apart` are left out. A folder that cannot be
    opened is told as a file is. StackError where `folder` itself cannot be read, or holds too many files.
    """
    seen = set(identity(os.stat(path)) for path in apart if os.path.isdir(path))
    count, waiting = 0, [("", 0)]
    linked = []  # type: list[tuple[str, int]]
    while waiting or linked:
        place, depth = waiting.pop() if waiting else linked.pop(0)
        path = os.path.join(folder, place) if place else folder
        try:
            known = identity(os.stat(path))
            names = sorted(os.listdir(path)) if known not in seen else []
        except (IOError, OSError) as error:
            if not place:
                raise StackError("%s cannot be read: %s" % (printed(folder), why_not(path, error)))
            yield place, Unusable("this folder cannot be read: %s" % why_not(path, error), "unreadable")
            continue
        seen.add(known)
        count += len(names)
        if count > MOST_FILES:
            words = "%s holds more than %d files: give a folder of pictures, or a part of it"
            raise StackError(words % (printed(folder), MOST_FILES))
        below = []  # type: list[tuple[str, int]]
        for name in [os.path.join(place, name) for name in names]:
            try:
                info = status(os.path.join(folder, name))
            except Unusable as error:
                info = error
            if isinstance(info, Unusable) or not stat.S_ISDIR(info.st_mode):
                yield name, info
            elif depth >= DEEPEST:
                words = "this folder is nested in %d others and was not searched"
                yield name, Unusable(words % DEEPEST, "unreadable")
            else:
                (linked if os.path.islink(os.path.join(folder, name)) else below).append((name, depth + 1))
        waiting += reversed(below)


def identity(info):
    """Return what distinguishes a directory from all others of this host."""
    return info.st_dev, info.st_ino


def status(path):
    """The os.stat of a path. Unusable where there is none."""
    try:
        return os.stat(path)
    except (IOError, OSError) as error:
        raise Unusable(why_not(path, error), "missing" if error.errno == errno.ENOENT else "unreadable")
    except (TypeError, ValueError):  # a NUL (Python 2.7 and 3), or half of a pair
        raise Unusable("no file can have this name", "missing")


def find(folder, text):
    """The name of a file in a folder, written as it is or as `shown` shows it; the former where none is there."""
    for name in (named(text), hidden(text)):
        try:
            status(os.path.join(folder, name))
            return name
        except Unusable:
            continue
    return named(text)


def opened(path):
    """The file of a path, open for reading bytes. Unusable where it is missing, no ordinary file or not to be read.

    Nobody waits: what would block (a pipe) or do something when it is opened (a device) is not opened.
    """
    refuse_kind(status(path))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (IOError, OSError) as error:
        raise Unusable(why_not(path, error), "missing" if error.errno == errno.ENOENT else "unreadable")
    try:
        refuse_kind(os.fstat(handle))  # it may have become something else by now
        return io.open(handle, "rb")
    except Exception:
        os.close(handle)
        raise


def refuse_kind(info):
    """Unusable where this is not the os.stat of an ordinary file."""
    for holds, kind in KINDS:
        if holds(info.st_mode):
            raise Unusable("it is a %s, not an ordinary file" % kind, "no ordinary file")


def look(path):
    """(kind, width, height) of a picture by its header alone, some KB; width and height None where not told.

    Unusable where it cannot be opened, is no picture, or its header is cut short, damaged or asks for too much. What
    the name says of its kind does not matter.
    """
    with opened(path) as file:
        try:
            return header(file)
        except (IOError, OSError) as error:
            raise Unusable("it cannot be read: %s" % error.strerror, "unreadable")


def why_not(path, error):
    """Return the reason why a path cannot be opened."""
    if error.errno == errno.ENOENT:
        if os.path.islink(path):
            return "it is a link to %s, which is missing" % printed(os.readlink(path))
        return "there is no such file"
    if error.errno in (errno.EACCES, errno.EPERM):
        closed = closed_parent(path)
        if closed:
            return "%s may not enter %s" % (who(), printed(closed))
        try:
            info = os.stat(path)
        except (IOError, OSError):
            return "%s may not read it" % who()
        return "%s may not read it: it belongs to uid %d and has mode %04o" % (
            who(), info.st_uid, stat.S_IMODE(info.st_mode)
        )  # fmt: skip
    return "it cannot be read: %s" % error.strerror


def closed_parent(path):
    """Return the first parent directory of a path that this account may not enter, or ""."""
    place = os.sep
    for part in os.path.abspath(path).strip(os.sep).split(os.sep)[:-1]:
        place = os.path.join(place, part)
        if os.path.isdir(place) and not os.access(place, os.X_OK):
            return place
    return ""


def who():
    """Return the name of the account of this process."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "uid %d" % os.geteuid()
