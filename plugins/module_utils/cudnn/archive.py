# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Unpacks the archive of a cuDNN beside the installed one, and checks it before it replaces that one.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import shutil

from ..host.archives import entries, refusing
from ..host.disk import free_bytes
from ..host.errors import StackError
from ..host.files import make_directory
from ..rules import codes
from ..rules.archive_tree import FILE, LINK
from ..rules.cudnn import HEADERS, LIBRARIES, WHOLE
from .inspection import Tree, describe, inspect, machine_of


SPARE = 16 << 20
"""Bytes that must stay free after the new files are written."""


def stage(tree, archive, version, machine):
    """Unpack the archive's cuDNN into a separate directory and check it. Returns {name: description of the file}.

    The installed files are not touched. StackError if the archive is not complete or is for another machine.
    """
    shutil.rmtree(tree.new, ignore_errors=True)
    try:
        check_space(tree, archive)
        unpack(archive, tree.new)
        new = Tree(tree.new)
        cudnn = inspect(new)
        library = new.library()
        if library and machine_of(library) != machine:
            raise StackError(
                "%s contains a cuDNN for %s, but this host is a %s" % (archive, machine_of(library) or "?", machine)
            )
        if cudnn["state"] != WHOLE or (version and cudnn["library"] != version):
            raise StackError(
                "%s is not complete: its header says %s, its library %s, expected %s. %s"
                % (archive, cudnn["header"] or "-", cudnn["library"] or "-", version or "one version", cudnn["problem"])
            )
        return dict((name, describe(new.path(name))) for name in new.names())
    except Exception:
        shutil.rmtree(tree.new, ignore_errors=True)
        raise


def check_space(tree, archive):
    """StackError if there is not enough free space for the archive's files."""
    with refusing(archive):
        needed = sum(member.size for member, _name in members(archive)) + SPARE
    free = free_bytes(tree.root)
    if free < needed:
        message = "%s has %d bytes free, and the new cuDNN needs %d: free some space" % (tree.root, free, needed)
        raise StackError(message, code=codes.DISK_FULL)


def members(archive):
    """The (member, name in the CUDA directory) of cuDNN's files in an archive, whatever its top directory is.

    The content of a member can be read until the next one is taken. StackError if there are none.
    """
    found = False
    for member in entries(archive, 0):
        folder, name = os.path.split(member.name)
        folder = {"lib": "lib64"}.get(os.path.basename(folder), os.path.basename(folder))
        fits = name in HEADERS if folder == "include" else folder == "lib64" and LIBRARIES.match(name)
        if not fits or "stubs" in member.name.split("/"):
            continue
        is_file = member.kind == FILE and not member.target
        if not (is_file or (member.kind == LINK and "/" not in member.target)):
            raise StackError(
                "%s: %s is neither a file nor a link to a file in its own directory" % (archive, member.original)
            )
        found = True
        yield member, folder + "/" + name
    if not found:
        raise StackError("%s contains no cuDNN: no include/cudnn.h, no lib64/libcudnn.so" % archive)


def unpack(archive, place):
    """Write cuDNN's files to the directory `place` with their modes and times, and flush them to disk."""
    try:
        with refusing(archive):
            for member, name in members(archive):
                path = os.path.join(place, name)
                make_directory(os.path.dirname(path))
                if member.kind == LINK:
                    os.symlink(member.target, path)
                    continue
                with io.open(path, "wb") as file:
                    shutil.copyfileobj(member.content, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(path, member.mode & 0o755)
                os.utime(path, (member.mtime, member.mtime))
    except (IOError, OSError) as error:
        message = "%s could not be unpacked to %s: %s" % (archive, place, error.strerror or error)
        raise StackError(message, code=codes.of_errno(error.errno))
