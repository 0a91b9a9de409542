# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Whether a stack can be built below a stack root: space, file systems, and what is in the way.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat

from .environment import scratch
from .mounts import mount_of
from ..rules import layout
from ..rules.packages import WRITTEN

READ_ONLY, NO_EXEC = 1, 8
"""The flags of statvfs. Python 2.7 has no names for them."""
DIRECTORIES = (layout.GENERATIONS, layout.ARTIFACTS, layout.BUILD, layout.LOGS)
"""The directories below a stack root into which the modules write."""
PROGRAMS = (layout.GENERATIONS, layout.BUILD)
"""The directories below a stack root from which programs are run."""
TOGETHER = (layout.GENERATIONS, layout.BUILD, layout.ARTIFACTS)
"""The directories below a stack root that must be on its file system."""
FULL_DISK, FEW_FILES = 16 << 20, 16
"""With fewer bytes, or space for fewer files, a disk is full. A compiler that failed because of it has removed its
temporary files before we can check."""


def is_full(directory):
    """Whether the disk of a directory is full. Then the error message of a program may be missing in its log."""
    status = os.statvfs(directory)
    return free_bytes(directory) < FULL_DISK or bool(status.f_files and status.f_favail < FEW_FILES)


def left_on(directory):
    """What can still be written on the disk of a directory, in words."""
    status = os.statvfs(directory)
    files = " and space for %d more files (inodes)" % status.f_favail if status.f_files else ""
    return "%d bytes free%s" % (free_bytes(directory), files)


def free_bytes(directory):
    """The free bytes on the disk of a directory that a normal user can use."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def facts(root):
    """{path, free, files, writable} of the stack root, or of its first existing parent directory.

    `free` are the bytes and `files` the files and directories that can still be created; None if the file system has no
    limit of files.
    """
    path = existing(root)
    return dict(_facts(path), path=path)


def outside(others=WRITTEN):
    """{path: {free, files, writable, executable, mount}} of directories outside the stack root.

    Compilers and package managers write there: the directory for temporary files, and `others`, each with the directory
    before it on whose file system it usually is; then it is left out. `mount` is the mount point.
    """
    found = {}
    for path, usual in ((scratch(), ""),) + others:
        if os.path.isdir(path) and not (usual and _mount(path) == _mount(usual)):
            found[path] = dict(_facts(path), executable=not os.statvfs(path).f_flag & NO_EXEC, mount=mount_point(path))
    return found


def _facts(path):
    status = os.statvfs(path)
    return {
        "free": free_bytes(path),
        "files": status.f_favail if status.f_files else None,
        "writable": os.access(path, os.W_OK) and not status.f_flag & READ_ONLY,
    }


def _mount(path):
    """What is equal for two directories of one mount: the file system, and the flags of its mount."""
    return os.stat(path).st_dev, os.statvfs(path).f_flag


def existing(path):
    """The path, or its first parent that is a directory."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    return path


def obstacles(root):
    """The reasons why nothing can be built below the stack root, each with what to do; empty if there are none."""
    found = in_the_way(components(root) + [os.path.join(root, name) for name in DIRECTORIES])
    for path in [existing(root)] + [os.path.join(root, name) for name in PROGRAMS]:
        if os.path.isdir(path) and os.statvfs(path).f_flag & NO_EXEC:
            point = mount_point(path)
            message = "%s is mounted with noexec, but the programs of the stack run from %s: remount it (mount -o " % (
                point, path
            )  # fmt: skip
            message += "remount,exec %s, and change /etc/fstab), or choose another stack_root" % point
            if not any(other.startswith("%s is mounted with noexec" % point) for other in found):
                found.append(message)
    return found + _divided(root) + _no_scratch(scratch())


def _no_scratch(path):
    """[why there is no directory for temporary files]; `outside` says what is wrong with one that is there."""
    message = "%s, where compilers and package managers put temporary files, is no directory: create it (mkdir -m 1777 "
    return [] if os.path.isdir(path) else [message % path + "%s), or mount what it leads to" % path]


def in_the_way(paths, instead="choose another stack_root"):
    """For each path that should be a directory and is something else: what is there, and what to do."""
    return [_in_the_way(path, instead) for path in paths if os.path.lexists(path) and not os.path.isdir(path)]


def _divided(root):
    """The directories on another file system than the stack root: files are linked and renamed between them."""
    here = os.stat(existing(root)).st_dev
    return [
        "%s is on another file system than %s, but files are linked and renamed between them: put all of it on one "
        "file system, or choose another stack_root" % (path, root)
        for path in (os.path.join(root, name) for name in TOGETHER)
        if os.path.isdir(path) and os.stat(path).st_dev != here
    ]


def temporary(path, login):
    """{path, free, problem} of the directory in which Ansible creates its temporary directories.

    The user who logs in, `login` is its uid, creates them, and the user that Ansible becomes reads them. The problem
    says why this is impossible, and what to do. If the path depends on the user, nothing is known of it.
    """
    if not os.path.isabs(path):
        return {"path": "", "free": None, "problem": ""}
    return {"path": path, "free": free_bytes(existing(path)), "problem": _problem(path, login)}


def _problem(path, login):
    cure = "create it (mkdir -p -m 1777 %s), or set ansible_remote_tmp to another directory" % path
    if not os.path.isdir(path):
        return "%s, where Ansible puts its temporary files, is not a directory: %s" % (path, cure)
    status, flags = os.stat(path), os.statvfs(path).f_flag
    writable = bool(status.st_mode & stat.S_IWOTH) or status.st_uid == login or login == 0
    if flags & READ_ONLY or not writable:
        return (
            "%s, where Ansible puts its temporary files, cannot be written by the user who logs in (uid %d): chmod "
            "1777 it, or set ansible_remote_tmp to another directory" % (path, login)
        )
    if login != 0 and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return (
            "every user can replace the files in %s: chmod 1777 it, because Ansible puts its temporary files there"
            % path
        )
    return ""


def mount_point(path):
    """The directory on which the file system of `path` is mounted."""
    path = os.path.realpath(path)
    mount = mount_of(path)
    if mount:
        return mount["point"]
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def components(root):
    """All paths from the top to a directory, without /."""
    names = [name for name in os.path.abspath(root).split("/") if name]
    return ["/" + "/".join(names[: index + 1]) for index in range(len(names))]


def _in_the_way(path, instead):
    if os.path.islink(path):
        return "%s is a link to %s, where there is no directory: create that directory, or remove the link" % (
            path, os.readlink(path)
        )  # fmt: skip
    return "%s is a file, and a directory is needed there: move it away, or %s" % (path, instead)
