# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of pictures: their names, the folders that contain them, and a check of each file's header.

The name of a file can be any bytes. `shown` converts it to text that can be printed, and `unescaped` converts it back.

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
"""Maximum depth of the folders that are searched."""
MOST_FILES = 2000000
"""Maximum number of files in a folder and all folders below it."""
KINDS = ((stat.S_ISDIR, "directory"), (stat.S_ISFIFO, "pipe (FIFO)"), (stat.S_ISSOCK, "socket"),
         (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))  # fmt: skip
# All characters except the backslash, control characters (C0, DEL, C1), and marks that reorder text or end a line:
# U+061C, U+200B, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF.
_PRINTABLE = (
    r"[\x20-\x5b\x5d-\x7e]|(?!\xd8\x9c)(?:\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf])"
    r"|(?!\xe2\x80[\x8b\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf)"
    r"(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]"
    r"|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}"
)
_PIECE = re.compile(("((?:%s)+)|(.)" % _PRINTABLE).encode("ascii"), re.S)
_ESCAPED = re.compile(r"\\(\\|x([0-9a-f]{2}))".encode("ascii"))


def as_bytes(name):
    """Return a file's name or path as the bytes in the file system."""
    if isinstance(name, bytes):
        return name
    try:
        return name.encode("utf-8") if PY2 else os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can contain; no file has such a name
        return name.encode("utf-8", "surrogatepass")


def as_name(data):
    """Return the bytes of a file's name as this Python opens it: bytes under 2.7, else text (os.fsdecode)."""
    return data if PY2 else os.fsdecode(data)


def named(text):
    """Return the name of the file whose name is this text in UTF-8, as this Python opens it."""
    return as_name(as_bytes(text))


def shown(name):
    """Return a file's name as text that can be printed in one line. `unescaped` returns the name again.

    A backslash is doubled. Control characters, bytes that are not UTF-8 and marks that reorder text become \\xNN.
    """
    return TEXT().join(map(_piece, _PIECE.finditer(as_bytes(name))))


def _piece(match):
    plain, other = match.groups()
    if plain is not None:
        return plain.decode("utf-8")
    return "\\\\" if other == b"\\" else "\\x%02x" % ord(other)


def unescaped(text):
    """Return the name of the file for which `shown` returned this text, as this Python opens it."""
    return as_name(_ESCAPED.sub(_byte, as_bytes(text)))


def _byte(match):
    whole, number = match.groups()
    return b"\\" if number is None else bytes(bytearray([int(number, 16)]))


def printed(name):
    """Return the text of `shown` as a native string for messages: bytes in UTF-8 under Python 2.7."""
    return as_native(shown(name))


def walk(folder, excluded=()):
    """Yield (name below `folder`, its os.stat) for every file below it; an Unusable instead of os.stat if that fails.

    The order is by name; the files of a folder come before the files of its subfolders. Links are followed, but each
    folder is searched at most once, and by its own name rather than by a link, so loops end. The folders in `excluded`
    are not searched. A folder that cannot be opened is yielded with an Unusable. StackError if `folder` itself cannot
    be read, or contains too many files.
    """
    searched = set(identity(os.stat(path)) for path in excluded if os.path.isdir(path))
    count, waiting = 0, [("", 0)]
    linked = []  # type: list[tuple[str, int]]
    while waiting or linked:
        place, depth = waiting.pop() if waiting else linked.pop(0)
        path = os.path.join(folder, place) if place else folder
        try:
            known = identity(os.stat(path))
            names = sorted(os.listdir(path)) if known not in searched else []
        except (IOError, OSError) as error:
            if not place:
                raise StackError("%s cannot be read: %s" % (printed(folder), why_not(path, error)))
            yield place, Unusable("this folder cannot be read: %s" % why_not(path, error), "unreadable")
            continue
        searched.add(known)
        count += len(names)
        if count > MOST_FILES:
            message = "%s contains more than %d files: give a folder that contains only pictures, or a part of it"
            raise StackError(message % (printed(folder), MOST_FILES))
        below = []  # type: list[tuple[str, int]]
        for name in [os.path.join(place, name) for name in names]:
            try:
                info = status(os.path.join(folder, name))
            except Unusable as error:
                info = error
            if isinstance(info, Unusable) or not stat.S_ISDIR(info.st_mode):
                yield name, info
            elif depth >= DEEPEST:
                message = "this folder is nested in %d others and was not searched"
                yield name, Unusable(message % DEEPEST, "unreadable")
            else:
                (linked if os.path.islink(os.path.join(folder, name)) else below).append((name, depth + 1))
        waiting += reversed(below)


def identity(info):
    """Return what distinguishes a directory from all others of this host."""
    return info.st_dev, info.st_ino


def status(path):
    """Return the os.stat of a path. Raises Unusable if that fails."""
    try:
        return os.stat(path)
    except (IOError, OSError) as error:
        raise Unusable(why_not(path, error), "missing" if error.errno == errno.ENOENT else "unreadable")
    except (TypeError, ValueError):  # a NUL (Python 2.7 and 3), or half of a surrogate pair
        raise Unusable("no file can have this name", "missing")


def find(folder, text):
    """Return the name of the file in a folder for which `text` is the name, or else the text of `shown`.

    If there is no such file, `text` itself is the name.
    """
    for name in (named(text), unescaped(text)):
        try:
            status(os.path.join(folder, name))
            return name
        except Unusable:
            continue
    return named(text)


def opened(path):
    """Return a file that is open for reading bytes. Raises Unusable if it is missing, not ordinary or not readable.

    Pipes, which would block, and devices, which may act when they are opened, are not opened.
    """
    refuse_kind(status(path))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (IOError, OSError) as error:
        raise Unusable(why_not(path, error), "missing" if error.errno == errno.ENOENT else "unreadable")
    try:
        refuse_kind(os.fstat(handle))  # it may have been replaced since
        return io.open(handle, "rb")
    except Exception:
        os.close(handle)
        raise


def refuse_kind(info):
    """Raise Unusable if this is not the os.stat of an ordinary file."""
    for is_kind, kind in KINDS:
        if is_kind(info.st_mode):
            raise Unusable("it is a %s, not an ordinary file" % kind, "no ordinary file")


def look(path):
    """Return (kind, width, height) of a picture from its header (some KB); width and height are None if it has none.

    The name of the file is not used. Raises Unusable if it cannot be opened, is not a picture, or its header is
    truncated, damaged or has too many pixels.
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
