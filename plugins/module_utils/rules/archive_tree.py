# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The names in an archive as a tree of directories; what does not fit into one is refused.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch

from .archive_formats import LAYOUT, UNSAFE, ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile  # noqa: F401
    from typing import Dict, List, Optional, Tuple  # noqa: F401

SKIPPED = ("._*", ".DS_Store")
"""What macOS adds to archives. It is not unpacked, because it breaks globs and image folders later."""
FILE, DIRECTORY, LINK = "file", "directory", "link"
MOST_STEPS = 1 << 20
"""How many parts of paths are followed in all, to find links that lead out."""


class Tree(object):
    """The names of an archive as a tree of directories; refuses what does not fit into one."""

    def __init__(self, strip):
        # type: (int) -> None
        self.strip = strip
        self.tops = []  # type: List[str]
        self.kinds = {"": DIRECTORY}  # type: Dict[str, str]
        self.folded = {"": ""}  # type: Dict[str, str]
        self.links = {}  # type: Dict[str, str]

    def name_of(self, path):
        # type: (str) -> Optional[str]
        """The name below the top directory, empty for that directory itself; None if it is not unpacked."""
        if path.startswith("/"):
            raise ArchiveError(UNSAFE, "%s is an absolute path" % path)
        parts = [part for part in path.split("/") if part]
        if ".." in parts:
            raise ArchiveError(UNSAFE, "%s contains '..'" % path)
        if any(fnmatch.fnmatchcase(part, pattern) for part in parts for pattern in SKIPPED):
            return None
        # Like tar's --strip-components: the "." of "./DIRECTORY" counts as a directory.
        return "/".join(part for part in parts[self.strip :] if part != ".")

    def add(self, member):
        # type: (tarfile.TarInfo) -> Optional[Tuple[str, str, str]]
        """(name, kind, target) of a member; None if it is not unpacked. Raises ArchiveError."""
        name = self.name_of(member.name)
        if member.issym():
            self.check_target(member, name or "")
        elif member.islnk():
            target = self.name_of_target(member)
        if name is None:
            return None
        self.check_top(member)
        kind = DIRECTORY if member.isdir() else LINK if member.issym() else FILE
        if not name and kind != DIRECTORY:
            what = "is a link" if kind == LINK else "is a file"
            raise ArchiveError(
                LAYOUT, "%s %s at the top, where the one directory with everything is expected" % (member.name, what)
            )
        self.put(name, kind, member.name)
        if kind == LINK:
            self.links[name] = member.linkname
            return name, kind, member.linkname
        return name, kind, target if member.islnk() else ""

    def check_top(self, member):
        # type: (tarfile.TarInfo) -> None
        """ArchiveError if the member is beside the directory of the members before it."""
        if not self.strip:
            return
        top = "/".join([part for part in member.name.split("/") if part][: self.strip])
        if top not in self.tops:
            self.tops.append(top)
        if len(self.tops) > 1:
            raise ArchiveError(
                LAYOUT,
                "must contain one directory with everything in it; at its top are %s" % ", ".join(sorted(self.tops)),
            )

    def put(self, name, kind, original):
        # type: (str, str, str) -> None
        """Add a name and the directories above it."""
        known = self.kinds.get(name)
        if known is None:
            above, slash, _last = name.rpartition("/")
            if slash and self.kinds.get(above) != DIRECTORY:
                if above in self.kinds:
                    raise ArchiveError(UNSAFE, "%s is below a %s" % (original, self.kinds[above]))
                self.put(above, DIRECTORY, original)
            other = self.folded.setdefault(name.lower(), name)
            if other != name:
                raise ArchiveError(UNSAFE, "%s and %s differ only in case" % (other, name))
            self.kinds[name] = kind
        elif (known, kind) != (DIRECTORY, DIRECTORY):
            raise ArchiveError(UNSAFE, "%s is twice in the archive" % original)

    def name_of_target(self, member):
        # type: (tarfile.TarInfo) -> str
        """The name of the earlier file that a hard link names."""
        what = "%s is a hard link" % member.name
        if member.linkname.startswith("/") or ".." in member.linkname.split("/"):
            raise ArchiveError(UNSAFE, "%s that points out of the archive, to %s" % (what, member.linkname))
        name = self.name_of(member.linkname)
        if not name or self.kinds.get(name) != FILE:
            raise ArchiveError(
                UNSAFE, "%s to %s, which is not an earlier file of the archive" % (what, member.linkname)
            )
        return name

    def check_target(self, member, name):
        # type: (tarfile.TarInfo, str) -> None
        """ArchiveError if a link points out of the tree by its text alone."""
        depth = name.count("/")
        left = not member.linkname.startswith("/")
        for part in member.linkname.split("/"):
            depth += -1 if part == ".." else 1 if part not in ("", ".") else 0
            left = left and depth >= 0
        if not left:
            raise ArchiveError(
                UNSAFE, "%s is a link that points out of the archive, to %s" % (member.name, member.linkname)
            )

    def check_links(self):
        # type: () -> None
        """ArchiveError if a link, with all links in its path resolved, leads out. Linux follows at most 40."""
        steps = [0]
        for name in sorted(self.links):
            if self.follow(name, steps) is None:
                raise ArchiveError(
                    UNSAFE,
                    "%s is a link that points out of the archive through other links, to %s" % (name, self.links[name]),
                )

    def follow(self, name, steps):
        # type: (str, List[int]) -> Optional[str]
        """The name that a name leads to, with all links resolved; None if it leads out."""
        done, left, followed = [], name.split("/")[::-1], 0  # type: List[str], List[str], int
        while left and followed <= 40:
            steps[0] += 1
            if steps[0] > MOST_STEPS:
                raise ArchiveError(UNSAFE, "contains too many links that lead through links")
            part = left.pop()
            if part == "..":
                if not done:
                    return None
                done.pop()
            elif part not in ("", "."):
                done.append(part)
            target = self.links.get("/".join(done))
            if target:
                done.pop()
                left, followed = left + target.split("/")[::-1], followed + 1
        return "/".join(done)
