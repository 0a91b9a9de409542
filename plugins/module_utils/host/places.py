# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Checks whether users other than root and the current user can replace what is below a stack root.

Every component of its path is checked, and links are followed. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import grp
import os
import pwd
import stat

from . import access_lists
from ..rules import access_list, layout

MOST_LINKS = 40
MOST_NAMES = 5
"""Members of a group that are named."""
KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
OTHER_ROOT = "choose another stack_root"
IDLE_ACCOUNTS = frozenset(["root", "sync", "shutdown", "halt", "operator"])
"""Accounts of the group root on EL, which nobody uses."""


def places_of(root):
    """[{path, kind, uid, gid, mode, acl}] of all components of the path `root`, and of this project's entries in it.

    If a component is a link, the components of its target follow. `kind` is directory, file, link, other or absent;
    after an absent component the list ends. A link in a loop has the kind `other`. `acl` is whether there is a list
    of further users who may write to it; the group's rights in its mode are then the most that they can have. If an
    NFSv4 list lets others write, or cannot be read, `writers` says so, and `cure` what to do. So does a default list
    of a directory in which something is created: of the last one that exists, and of this project's own.
    """
    found = []  # type: list[dict[str, str | int]]
    exists = _walk(os.path.abspath(root), found, [0])
    last = -1 if exists else -2
    found[last] = _with_heirs(found[last])
    if exists:
        paths = [os.path.join(root, name) for name in layout.OURS]
        generations = layout.generations(root)
        if os.path.isdir(generations):
            paths += [os.path.join(generations, name) for name in sorted(os.listdir(generations))]
        places = [_with_heirs(_place(path)) for path in paths]
        found += [place for place in places if place["kind"] != "absent"]
    return found


def _walk(path, found, links):
    """Append every component of an absolute path to `found`. Returns whether the whole path exists.

    `links` is a list of one number, which counts the links that were followed.
    """
    at = "/"
    names = [name for name in path.split("/") if name]
    found.append(_place(at))
    for index, name in enumerate(names):
        at = os.path.normpath(os.path.join(at, name))
        place = _place(at)
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


def _place(path):
    try:
        status = os.lstat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return {"path": path, "kind": "absent", "uid": -1, "gid": -1, "mode": 0, "acl": False}
    kind = KINDS.get(stat.S_IFMT(status.st_mode), "other")
    mode = stat.S_IMODE(status.st_mode)
    acl = kind != "link" and bool(mode & stat.S_IWGRP) and access_lists.has_posix(path)
    place = {"path": path, "kind": kind, "uid": status.st_uid, "gid": status.st_gid, "mode": mode, "acl": acl}
    if kind in ("directory", "file"):
        others, cure = access_lists.nfs4_writers(path, status)
        place.update({"writers": others, "cure": cure} if others else {})
    return place


def _with_heirs(place):
    """A place in which this project creates something: who may write to that counts as one who may write to it."""
    if place["kind"] != "directory" or place.get("writers"):
        return place
    heirs = _heirs(place)
    return dict(place, writers=heirs, cure="remove its default access list (setfacl -k it)") if heirs else place


def _heirs(place):
    """Who else may write to what is created in a directory, by its default access list, in words; empty if nobody."""
    try:
        content = access_lists.attribute(place["path"], access_list.DEFAULT)
    except (IOError, OSError) as error:
        return "others, as far as can be told: its default access list cannot be read (%s)" % error.strerror
    found = [_heir(kind, number, place) for kind, number in access_list.heirs(content or b"")]
    names = [name for name in found if name]
    return "%s, who may write to all that is created in it (getfacl shows the list)" % names[0] if names else ""


def _heir(kind, number, place):
    if kind == access_list.EVERYBODY:
        return "everybody"
    if kind == access_list.USER:
        return "" if number in (0, os.geteuid()) else _user(number)
    own = place["gid"] if place["mode"] & stat.S_ISGID else os.getegid()
    return _group_writers(own if kind == access_list.OWN_GROUP else number, os.geteuid())


def unsafe(root, instead=OTHER_ROOT):
    """The reasons why other users could replace what is in the stack root; empty if they cannot.

    Each names a component of the path, its owner, its mode and what to do; `instead` is the last advice.
    """
    return problems_of(places_of(root), os.geteuid(), instead)


def unsafe_path(path, instead, creates=False):
    """Like `unsafe`, for the components of one path, which may be that of a file that is executed or loaded.

    `creates`: something is created in this directory.
    """
    found = []  # type: list[dict[str, str | int]]
    _walk(os.path.abspath(path), found, [0])
    if creates:
        found[-1] = _with_heirs(found[-1])
    return problems_of(found, os.geteuid(), instead)


def writers(directory):
    """The users other than the owner who can write to a directory, or to what is created in it; empty if none."""
    return _writers(_with_heirs(_place(os.path.realpath(directory))))


def cure(directory):
    """What takes the right to write to a directory from all but its owner."""
    return _cure(_with_heirs(_place(os.path.realpath(directory))))


def problems_of(places, uid, instead=OTHER_ROOT):
    """The messages of `unsafe` for the result of `places_of`, if the current user is `uid`."""
    problems, before = [], None
    for place in places:
        problem = _problem(place, before, uid, instead)
        # The components of a link's target start at / again, so that a component may occur twice.
        if problem and problem not in problems:
            problems.append(problem)
        before = place
    return problems


def _problem(place, before, uid, instead):
    """The message for one component, empty if it is safe. `before` is the component before it."""
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
                    instead,
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
            instead,
        )
    if place["kind"] in ("directory", "file") and _writers(place) and not place["mode"] & stat.S_ISVTX:
        return "%s (owner %s, mode %04o) can be written by %s: %s, or %s" % (
            place["path"],
            _user(place["uid"]),
            place["mode"],
            _writers(place),
            _cure(place),
            instead,
        )
    return ""


def _writers(place):
    """The users other than the owner who can write to it, as text; empty if there are none."""
    if place["mode"] & stat.S_IWOTH:
        return "everybody"
    if place.get("writers"):
        return place["writers"]
    if not place["mode"] & stat.S_IWGRP:
        return ""
    if place.get("acl"):
        return "those whom its access list (getfacl) names"
    return _group_writers(place["gid"], place["uid"])


def _group_writers(gid, uid):
    """A group with its members other than the user `uid`, as text; empty if it is private."""
    others = sorted(_members(gid) - IDLE_ACCOUNTS - {access_lists.user_name(uid)})
    if not others and _is_private(gid, uid):
        return ""
    return "the group %s%s" % (_group(gid), " (%s)" % ", ".join(others[:MOST_NAMES]) if others else "")


def _cure(place):
    """What takes the right to write to a place from all but its owner."""
    if place.get("writers") and not place["mode"] & stat.S_IWOTH:
        return place["cure"]
    return "setfacl -b it or chmod go-w it" if place.get("acl") else "chmod go-w it"


def _members(gid):
    """The names of all users in a group."""
    try:
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        members = []
    return set(members) | set(user.pw_name for user in pwd.getpwall() if user.pw_gid == gid)


def _is_private(gid, uid):
    """Whether a group is root's, or has the name of the user `uid`, to whom it then belongs."""
    return gid == 0 or (_group(gid) == access_lists.user_name(uid) and pwd.getpwuid(uid).pw_gid == gid)


def _user(uid):
    name = access_lists.user_name(uid)
    return "%s (uid %d)" % (name, uid) if name else "uid %d" % uid


def _group(gid):
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return "%d" % gid
