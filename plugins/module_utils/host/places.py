# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Whether anybody but root and ourselves can replace what lies below a stack root.

Every component of its path is looked at, links followed as the kernel does. Runs under Python 2.7 and 3, standard
library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import grp
import os
import pwd
import stat
from ..rules import layout

MOST_LINKS = 40
ANOTHER = "choose another stack_root"


def places_of(root):
    """[{path, kind, uid, gid, mode}] from / down to `root`, links and what they lead to, and what of ours lies below.

    `kind` is directory, link, other, or absent, which ends the path. A link that leads round is `other`.
    """
    found = []  # type: list[dict[str, str | int]]
    whole = _walk(os.path.abspath(root), found, [0])
    if whole:
        for name in layout.OURS:
            place = _look(os.path.join(root, name))
            if place["kind"] != "absent":
                found.append(place)
        generations = layout.generations(root)
        if os.path.isdir(generations):
            found += [_look(os.path.join(generations, name)) for name in sorted(os.listdir(generations))]
    return found


def _walk(path, found, links):
    """Add every component of an absolute path; whether all of it is there."""
    at = "/"
    names = [name for name in path.split("/") if name]
    found.append(_look(at))
    for index, name in enumerate(names):
        at = os.path.normpath(os.path.join(at, name))
        place = _look(at)
        if place["kind"] == "link":
            found.append(place)
            links[0] += 1
            if links[0] > MOST_LINKS:
                found.append(dict(place, kind="other"))
                return False
            target = os.path.join(os.path.dirname(at), os.readlink(at))
            return _walk(os.path.normpath(os.path.join(target, *names[index + 1 :])), found, links)
        found.append(place)
        if place["kind"] == "absent":
            return False
    return True


def _look(path):
    try:
        seen = os.lstat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return {"path": path, "kind": "absent", "uid": -1, "gid": -1, "mode": 0}
    kind = "directory" if stat.S_ISDIR(seen.st_mode) else "link" if stat.S_ISLNK(seen.st_mode) else "other"
    return {"path": path, "kind": kind, "uid": seen.st_uid, "gid": seen.st_gid, "mode": stat.S_IMODE(seen.st_mode)}


def unsafe(root):
    """Why others than root and ourselves could replace what lies there: the component, its owner, mode and the cure."""
    return problems_of(places_of(root), os.geteuid())


def problems_of(places, uid):
    """The problems of the places that `places_of` returned, as messages, for a user (`uid`)."""
    words, before = [], None
    for place in places:
        problem = _problem(place, before, uid)
        # What a link leads to begins at / again.
        if problem and problem not in words:
            words.append(problem)
        before = place
    return words


def _problem(place, before, uid):
    if place["kind"] == "absent":
        if before and before["mode"] & stat.S_ISVTX and _writers(before):
            return (
                "%s does not exist, and %s could create it first (%s has mode %04o): create it with mkdir -m "
                "755, or %s"
                % (
                    place["path"],
                    _writers(before),
                    before["path"],
                    before["mode"],
                    ANOTHER,
                )
            )
        return ""
    if place["uid"] not in (0, uid):
        return "%s (%s, mode %04o) belongs to %s, who can replace its contents: chown it to %s, or %s" % (
            place["path"],
            place["kind"],
            place["mode"],
            _user(place["uid"]),
            "root" if uid == 0 else _user(uid),
            ANOTHER,
        )
    if place["kind"] == "directory" and _writers(place) and not place["mode"] & stat.S_ISVTX:
        return "%s (owner %s, mode %04o) can be written by %s: chmod go-w it, or %s" % (
            place["path"],
            _user(place["uid"]),
            place["mode"],
            _writers(place),
            ANOTHER,
        )
    return ""


def _writers(place):
    """Who but its owner may write there, in words; empty where nobody else does."""
    if place["mode"] & stat.S_IWOTH:
        return "everybody"
    if place["mode"] & stat.S_IWGRP and not _is_private(place["gid"], place["uid"]):
        return "the group %s" % _group(place["gid"])
    return ""


def _is_private(gid, uid):
    """Whether a group is root's or its owner's own, with nobody else in it."""
    if gid == 0:
        return True
    try:
        group, owner = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return owner.pw_gid == gid and group.gr_name == owner.pw_name and set(group.gr_mem) <= set([owner.pw_name])


def _user(uid):
    try:
        return "%s (uid %d)" % (pwd.getpwuid(uid).pw_name, uid)
    except KeyError:
        return "uid %d" % uid


def _group(gid):
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return "%d" % gid
