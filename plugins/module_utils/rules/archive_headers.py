# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Headers of tar archives, read strictly: what two programs could read in two ways is refused.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import tarfile

from .archive_formats import DAMAGED, FORMAT, UNSAFE, ArchiveError, has_control, is_utf8, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

LONGEST_NAME = 1024
DEEPEST = 100
"""The most directories in a name."""
LONGEST_HEADER = 16 << 10
"""The most bytes of an extended header of a member (a long name, PAX attributes)."""

_ATTRIBUTE = re.compile(b"([1-9][0-9]{0,8}) ([^=\\n]{1,200})=")
_UNUSUAL = (b"size", b"hdrcharset")
_EXTENDED = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X")
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_KINDS = _PLAIN + (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)


class Member(tarfile.TarInfo):
    """A member whose header is read strictly: tarfile ends an archive at a damaged header, as if it were complete."""

    @classmethod
    def fromtarfile(cls, tar):  # type: ignore[no-untyped-def]
        try:
            return super(Member, cls).fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            place = "at byte %d" % tar.offset
            raise ArchiveError(DAMAGED, "is not a complete tar archive: the header %s is damaged (%s)" % (place, error))

    def _proc_member(self, tar):  # type: ignore[no-untyped-def]
        # Every Python calls this for each header, before it reads what follows. (Newer ones no longer call `frombuf`.)
        if self.size < 0 or (self.type in _EXTENDED and self.size > LONGEST_HEADER):
            raise ArchiveError(DAMAGED, "is not a complete tar archive: a header is damaged (a size of %d)" % self.size)
        if self.type == tarfile.GNUTYPE_SPARSE:
            _refuse_sparse(self)
        if self.type not in _EXTENDED:
            check_kind(self)
        return super(Member, self)._proc_member(tar)  # type: ignore[misc]

    def _proc_pax(self, tar):  # type: ignore[no-untyped-def]
        tar.fileobj = _Attributes(tar, self.size)
        return super(Member, self)._proc_pax(tar)  # type: ignore[misc]

    def _refuse(self, *_given):  # type: ignore[no-untyped-def]
        _refuse_sparse(self)

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


class _Attributes(object):
    """Stands for the open archive while PAX attributes are read, and checks them: old versions of Python read less."""

    def __init__(self, tar, size):
        # type: (Any, int) -> None
        self.tar, self.size, self.file = tar, size, tar.fileobj

    def read(self, size):
        # type: (int) -> bytes
        """The block with the attributes, the first thing that tarfile reads."""
        self.tar.fileobj = self.file
        data = self.file.read(size)  # type: bytes
        rest = data[: self.size]
        while rest:
            match = _ATTRIBUTE.match(rest)
            length = int(match.group(1)) if match else 0
            if not match or not match.end() < length <= len(rest) or rest[length - 1 : length] != b"\n":
                raise ArchiveError(DAMAGED, "is not a complete tar archive: PAX attributes are damaged")
            if match.group(2) in _UNUSUAL:
                raise ArchiveError(FORMAT, "has an unusual PAX attribute, which programs read differently")
            rest = rest[length:]
        return data


def _refuse_sparse(info):
    # type: (tarfile.TarInfo) -> None
    raise ArchiveError(FORMAT, "%s is a sparse file, which programs unpack differently" % shown(info.name))


def check_kind(member):
    # type: (tarfile.TarInfo) -> None
    """ArchiveError for a device, a pipe or an unknown kind of member."""
    if member.type not in _KINDS:
        raise ArchiveError(UNSAFE, "%s is not a file, a directory or a link" % shown(member.name))


def check(member):
    # type: (tarfile.TarInfo) -> None
    """ArchiveError for a header that programs could read in two ways, and for a member that cannot be unpacked."""
    check_kind(member)
    if member.size < 0:
        raise ArchiveError(DAMAGED, "is not a complete tar archive: a header is damaged (a size of %d)" % member.size)
    if any(key.startswith("GNU.sparse") for key in member.pax_headers):
        _refuse_sparse(member)
    if member.size and member.type not in _PLAIN:
        raise ArchiveError(DAMAGED, "%s has data, but it is no file" % shown(member.name))
    for text in (member.name, member.linkname):
        if len(text) > LONGEST_NAME:
            raise ArchiveError(
                UNSAFE, "%s... is too long: a name has at most %d characters" % (shown(text[:60]), LONGEST_NAME)
            )
        if text.count("/") > DEEPEST:
            raise ArchiveError(
                UNSAFE, "%s... is too long: it has more than %d directories" % (shown(text[:60]), DEEPEST)
            )
        if has_control(text):
            raise ArchiveError(UNSAFE, "%s contains a control character" % shown(text))
        if not is_utf8(text):
            raise ArchiveError(UNSAFE, "the name %s is not text in UTF-8" % shown(text))
    if not member.name:
        raise ArchiveError(DAMAGED, "contains a member without a name")
    if member.issym() and not member.linkname:
        raise ArchiveError(DAMAGED, "%s is a link to nothing" % shown(member.name))
