# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Access lists of which the mode shows nothing: who beside the owner may write. On hosts and the controller; pure.

These are NFSv4 lists, and default lists: what is created in a directory gets them, and then the umask does not count.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import struct

from .texts import some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Collection, Iterator  # noqa: F401

ATTRIBUTE = "system.nfs4_acl"
"""The attribute of a file that has the list as the server sent it (XDR, RFC 7530 6.2.1)."""
DEFAULT = "system.posix_acl_default"
"""The attribute of a directory that has its default list (setfacl -d), as the kernel gives it (acl(5))."""
USER, OWN_GROUP, GROUP, _MASK, EVERYBODY = 0x2, 0x4, 0x8, 0x10, 0x20
"""The kinds of its entries: a user, the group of what is created, another group, the limit of all these, all others."""
_ALLOW, _KINDS = 0, 4
_GROUP = 0x40
_WRITES = 0x2 | 0x4 | 0x40 | 0x40000 | 0x80000
"""Write or create files, append or create directories, delete from a directory, change the list, change the owner."""
_SPECIAL = {"OWNER@": "its owner", "GROUP@": "its group", "EVERYONE@": "everybody"}
_NAMED = "those whom its NFSv4 access list names (%s)"
_REMOVE = "remove these entries (nfs4_setfacl -e)"
_UNREADABLE = "others, as far as can be told: its NFSv4 access list cannot be read (%s)"
_OPEN = "make it readable for this user (nfs4_getfacl must show it)"
_MOST_NAMES = 5


def others(read, uid, name, group_is_judged):
    # type: (Callable[[], bytes | None], int, str, bool) -> tuple[str, str]
    """(who beside the owner and root may write, or whether this cannot be told; what to do). Empty texts if nobody may.

    `read` returns the list, or None if there is none; it may raise OSError. The owner has the number `uid` and the
    name `name`. `group_is_judged` says that the mode shows the right of the group, which is judged by it.
    """
    own = ["OWNER@", "root", "0", "%d" % uid] + [name] * bool(name) + ["GROUP@"] * group_is_judged
    try:
        content = read()
        names = writers(content, own) if content is not None else []
    except (IOError, OSError) as error:
        return _UNREADABLE % error.strerror, _OPEN
    except ValueError as error:
        return _UNREADABLE % error, _OPEN
    return _NAMED % some(names, _MOST_NAMES) if names else "", _REMOVE if names else ""


def writers(content, own):
    # type: (bytes, Collection[str]) -> list[str]
    """The users and groups whom a list lets write, without the names `own`. ValueError for what is no list.

    Entries that are only for what is created in a directory count as well. Entries that refuse something are not
    looked at: it cannot be told for whom they hold, and lists in which they matter are rare.
    """
    found = []  # type: list[str]
    for kind, flags, mask, who in _entries(content):
        mine = who in own if who in _SPECIAL else not flags & _GROUP and who.partition("@")[0] in own
        name = _SPECIAL.get(who) or ("group %s" % who if flags & _GROUP else who)
        if kind == _ALLOW and mask & _WRITES and not mine and name not in found:
            found.append(name)
    return found


def heirs(content):
    # type: (bytes) -> list[tuple[int, int]]
    """(kind, number) of those who may write to what is created in a directory with this default list."""
    entries = [struct.unpack_from("<HHI", content, at) for at in range(4, len(content) - 7, 8)]
    limit = min([rights for kind, rights, _ in entries if kind == _MASK] or [7])
    limits = {USER: limit, OWN_GROUP: limit, GROUP: limit, EVERYBODY: 7}
    return [(kind, number) for kind, rights, number in entries if rights & limits.get(kind, 0) & 2]


def _entries(content):
    # type: (bytes) -> Iterator[tuple[int, int, int, str]]
    """(kind, flags, mask, who) of each entry."""
    at = 4
    try:
        (count,) = struct.unpack_from(">I", content)
        for _ in range(min(count, len(content))):
            kind, flags, mask, size = struct.unpack_from(">IIII", content, at)
            who = content[at + 16 : at + 16 + size]
            at += 16 + size + -size % 4
            if kind >= _KINDS:
                raise ValueError
            yield kind, flags, mask, str(who.decode("utf-8"))
        if at != len(content):
            raise ValueError
    except (struct.error, ValueError):
        raise ValueError("it is not as expected")
