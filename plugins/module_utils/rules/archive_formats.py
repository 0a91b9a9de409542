# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a file is by its first bytes, and the error for an archive that is refused.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

DAMAGED, UNSAFE, LARGE, LAYOUT, FORMAT = "damaged", "unsafe", "large", "layout", "format"
"""Why an archive is refused."""

ZIP = "is a zip archive"
XZ = "is compressed with xz"
BZIP2 = "is compressed with bzip2"
ZSTD = "is compressed with zstd"
WEB_PAGE = "is a web page"
POINTER = "is a pointer of Git LFS, not the file itself"
EMPTY = "is empty"
LFS = b"version https://git-lfs"
"""The start of a pointer of Git LFS."""

_HEADS = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\xfd7zXZ\x00", XZ),
    (b"BZh", BZIP2),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"7z\xbc\xaf", "is a 7z archive"),
    (b"%PDF", "is a PDF document"),
    (LFS, POINTER),
)
_PAGE = re.compile(b"\\s*(<!doctype\\s+html|<html|<head|<\\?xml[^>]*>\\s*<!doctype\\s+html)")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class ArchiveError(Exception):
    """An archive is refused: `kind` is one of the reasons above, str() is what is wrong, without the file's name."""

    def __init__(self, kind, message):
        # type: (str, str) -> None
        super(ArchiveError, self).__init__(message)
        self.kind = kind

    def of(self, path):
        # type: (str) -> str
        """The message with the name of the file: `x.tgz is empty`, or `x.tgz: nn/a is twice in the archive`."""
        text = str(self)
        return "%s%s %s" % (path, "" if text.split(" ")[0] in ("is", "has", "must", "contains") else ":", text)


def what_is(head):
    # type: (bytes) -> str
    """What a file is instead of an archive, text or weights, by its first bytes: `is a web page`; empty if unknown."""
    if not head:
        return EMPTY
    if head[257:262] == b"ustar":
        return ""
    if _PAGE.match(head.lower()):
        return WEB_PAGE
    return next((what for magic, what in _HEADS if head.startswith(magic)), "")


def damaged(error):
    # type: (object) -> ArchiveError
    """The error for an archive that cannot be read to its end."""
    return ArchiveError(DAMAGED, "is not a complete tar archive: %s" % (error,))


def has_control(text):
    # type: (str) -> bool
    """Whether a name contains a control character."""
    return _CONTROL.search(text) is not None


def is_utf8(text):
    # type: (Any) -> bool
    """Whether a name, as tarfile returns it, is text in UTF-8."""
    try:
        if isinstance(text, bytes):  # Python 2.7
            text.decode("utf-8")
        else:
            text.encode("utf-8")
    except UnicodeError:
        return False
    return True


def shown(text):
    # type: (str) -> str
    """A name for a message, without control characters and halves of characters."""
    return _CONTROL.sub("?", text) if is_utf8(text) else repr(text)
