# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The archive of a cuDNN: unpacked beside the one that is in use, and tried before it replaces that one.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import shutil
import tarfile

from ..host.errors import StackError
from ..host.files import make_directory
from ..rules import codes
from ..rules.cudnn import HEADERS, LIBRARIES, WHOLE
from .inspection import Tree, describe, inspect, machine_of


SPARE = 16 << 20
"""Bytes that stay free beside the new files."""


def stage(tree, archive, version, machine):
    """Unpack the archive's cuDNN beside what is there and try it; {name: what it is}. Touches nothing in use."""
    place = os.path.join(tree.ours, "new")
    shutil.rmtree(place, ignore_errors=True)
    try:
        with_room(tree, archive)
        unpack(archive, place)
        new = Tree(place)
        seen = inspect(new)
        library = new.library()
        if library and machine_of(library) != machine:
            raise StackError(
                "%s holds a cuDNN for %s, and this host is a %s" % (archive, machine_of(library) or "?", machine)
            )
        if seen["state"] != WHOLE or (version and seen["library"] != version):
            raise StackError(
                "%s is not whole: its header says %s, its library %s, expected %s. %s"
                % (archive, seen["header"] or "-", seen["library"] or "-", version or "one version", seen["problem"])
            )
        return dict((name, describe(new.path(name))) for name in new.names())
    except Exception:
        shutil.rmtree(place, ignore_errors=True)
        raise


def with_room(tree, archive):
    """StackError where the archive's files would fill the disk."""
    needed = sum(member.size for member, _name in members(archive)) + SPARE
    state = os.statvfs(tree.root)
    free = state.f_bavail * state.f_frsize
    if free < needed:
        words = "%s has %d bytes free, and the new cuDNN needs %d: make room" % (tree.root, free, needed)
        raise StackError(words, code=codes.DISK_FULL)


def members(archive):
    """[(member, name in the tree)] of cuDNN's files in an archive, whatever directory they stand in."""
    try:
        with tarfile.open(archive) as tar:
            listed = tar.getmembers()
    except (tarfile.TarError, EOFError, IOError, OSError, ValueError) as error:
        raise StackError("%s is not a whole archive: %s" % (archive, error))
    found = []
    for member in listed:
        folder, name = os.path.split(member.name)
        folder = {"lib": "lib64"}.get(os.path.basename(folder), os.path.basename(folder))
        fits = name in HEADERS if folder == "include" else folder == "lib64" and LIBRARIES.match(name)
        if not fits or "stubs" in member.name.split("/"):
            continue
        if not (member.isfile() or (member.issym() and "/" not in member.linkname)):
            raise StackError("%s: %s is neither a file nor a link beside itself" % (archive, member.name))
        found.append((member, folder + "/" + name))
    if not found:
        raise StackError("%s holds no cuDNN: no include/cudnn.h, no lib64/libcudnn.so" % archive)
    return found


def unpack(archive, place):
    """Write cuDNN's files with their modes and times; durable when this returns."""
    wanted = members(archive)
    try:
        with tarfile.open(archive) as tar:
            for member, name in wanted:
                path = os.path.join(place, name)
                make_directory(os.path.dirname(path))
                if member.issym():
                    os.symlink(member.linkname, path)
                    continue
                with io.open(path, "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)  # type: ignore[arg-type]
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(path, member.mode & 0o755)
                os.utime(path, (member.mtime, member.mtime))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise StackError("%s is not a whole archive: %s" % (archive, error))
    except (IOError, OSError) as error:
        words = "%s could not be unpacked to %s: %s" % (archive, place, error.strerror or error)
        raise StackError(words, code=codes.of_errno(error.errno))
