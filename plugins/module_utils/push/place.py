# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The place of a pushed file on a host: what is there already, and whether another user could change it.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import functools
import os

from ..host import disk
from ..host.errors import StackError
from ..host.files import content_sha256, is_own_file
from ..host.places import cure, unsafe, writers
from ..rules import codes

ABSENT, PRESENT, OTHER = "absent", "present", "other"
OTHER_PLACE = "use another --into"


def check_place(path):
    """StackError if another user could replace a file of this path, or if its directory cannot be made.

    The same if a directory has this name already.

    A directory in which others may create files is refused, also with the sticky bit: they could take the name first.
    """
    directory = os.path.dirname(path)
    in_the_way = disk.in_the_way(disk.components(directory), OTHER_PLACE)
    for reason in (in_the_way + unsafe(directory, OTHER_PLACE))[:1]:
        raise StackError(reason)
    if os.path.isdir(directory) and writers(directory):
        message = "%s can be written by %s, who could take the name of the file first: %s, or %s"
        raise StackError(message % (directory, writers(directory), cure(directory), OTHER_PLACE))
    if os.path.isdir(path) and not os.path.islink(path):
        message = "%s is a directory, and a file of this name is pushed: move the directory away, or %s"
        raise StackError(message % (path, OTHER_PLACE), code=codes.FILE_TAKEN)


def check_disk(directory, is_there):
    """StackError if no file can be created in a directory, or below it if it is the first one of a path that exists.

    If the incomplete file is there already, no inode is needed for it.
    """
    facts = disk.facts(directory)
    if not facts["writable"]:
        message = "%s cannot be written: its disk is mounted read-only, or it belongs to another user. Mend it, or %s"
        raise StackError(message % (facts["path"], OTHER_PLACE), code=codes.FILE_DENIED)
    if facts["files"] == 0 and not is_there:
        message = "the disk of %s has no inodes left (df -i), so that no file can be created: remove files, or %s"
        raise StackError(message % (facts["path"], OTHER_PLACE), code=codes.DISK_FULL)


def state_of(path, size, sha256):
    """What is at the path: the file, something else, or nothing.

    The file counts only if it is a regular file of root or of this user that no other user can write.
    """
    if not os.path.lexists(path):
        return ABSENT
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except (IOError, OSError) as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.ENOENT, errno.EACCES):
            raise
        return OTHER
    try:
        status = os.fstat(handle)
        has_its_size = is_own_file(path, status) and status.st_size == size
        is_it = has_its_size and content_sha256(functools.partial(os.read, handle)) == sha256
    finally:
        os.close(handle)
    return PRESENT if is_it else OTHER
