#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: artifact_unpack
short_description: Unpack a verified archive into a directory, with safe owners and modes
description:
  - Directories get mode 0755. Files get mode 0755 if their owner may run them, else 0644. The archive's own modes and
    the umask are ignored. Everything belongs to the user who unpacks. So no file is setuid, and only the owner can
    write.
  - Refuses devices, pipes, names that lead out of the directory, members below a link, and links that lead out.
  - Skips the files that macOS adds to archives (C(._*) and C(.DS_Store)), because they break globs and image folders
    later.
  - Reads gzip, bzip2 and xz with Python's own modules, because a minimal host has no such programs. Python 2.7 cannot
    read xz and calls the program C(xz).
options:
  src:
    description: The archive on the host.
    type: path
    required: true
  dest:
    description: The directory for the archive's content.
    type: path
    required: true
  strip:
    description: How many leading directories to remove from the members' names.
    type: int
    default: 1
  folder:
    description: Unpack only the content of this folder of the archive, without the folder itself.
    type: str
    default: ''
  over:
    description:
      - If V(true), the content of O(dest) stays, and the archive's files replace those of the same name. If V(false),
        O(dest) is emptied first.
    type: bool
    default: false
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
    details: A change is always reported. The archive is not read in check mode.
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Unpack Torch
  neuraltalk.provision.artifact_unpack:
    src: /opt/neuraltalk/artifacts/9f86d081884c7d65-torch.tgz
    dest: /opt/neuraltalk/build/0a1b/torch
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
members:
  description: How many members were unpacked.
  returned: success
  type: int
"""

import fnmatch
import os
import posixpath
import shutil
import tarfile
import zlib

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.archives import BLOCK, open_archive
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory, remove
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import codes

SKIPPED = ("._*", ".DS_Store")


class Tree(object):
    """The directory that an archive is unpacked into."""

    def __init__(self, root, strip, folder):
        self.root = root
        self.strip = strip
        self.folder = [part for part in folder.split("/") if part not in ("", ".")]
        self.directories = set([""])
        self.links = []
        self.count = 0

    def name_of(self, path):
        """The path of a member relative to the root, empty for the root itself; None if the member is skipped."""
        if path.startswith("/") or ".." in path.split("/"):
            raise StackError("%s leads out of the archive" % path)
        parts = [part for part in path.split("/") if part]
        if any(fnmatch.fnmatchcase(part, pattern) for part in parts for pattern in SKIPPED):
            return None
        # Like tar's --strip-components: the "." of "./DIRECTORY" counts as a directory.
        rest = [part for part in parts[self.strip :] if part != "."]
        if len(parts) < self.strip or rest[: len(self.folder)] != self.folder:
            return None
        return "/".join(rest[len(self.folder) :])

    def add(self, tar, member):
        """Unpack one member."""
        name = self.name_of(member.name)
        if name is None or (not name and not member.isdir()):
            return
        path = os.path.join(self.root, name) if name else self.root
        self.make_directory(name if member.isdir() else posixpath.dirname(name))
        if not member.isdir():
            self.make_room(path, member)
        if member.issym():
            self.links.append(name)
            os.symlink(member.linkname, path)
        elif member.islnk():
            os.link(self.linked(member), path)
        elif member.isreg():
            self.write(tar.extractfile(member), member, path)
        elif not member.isdir():
            raise StackError("%s is neither a file nor a directory nor a link" % member.name)
        self.count += 1

    def make_directory(self, name):
        """Create a directory and its parents if they are missing. StackError if one of them is a link."""
        if name in self.directories:
            return
        self.make_directory(posixpath.dirname(name))
        path = os.path.join(self.root, name)
        if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
            raise StackError("an entry is below %s, which is not a directory" % name)
        if not os.path.isdir(path):
            os.mkdir(path)
        os.chmod(path, 0o755)
        self.directories.add(name)

    @staticmethod
    def make_room(path, member):
        if os.path.isdir(path) and not os.path.islink(path):
            raise StackError("%s is a directory as well" % member.name)
        remove(path)

    def linked(self, member):
        """The target of a hard link. StackError if it is not a file that was unpacked before."""
        name = self.name_of(member.linkname)
        path = os.path.join(self.root, name or "")
        inside = name and posixpath.dirname(name) in self.directories
        if not inside or os.path.islink(path) or not os.path.isfile(path):
            raise StackError(
                "%s is a hard link to %s, which is not an earlier file of the archive" % (member.name, member.linkname)
            )
        return path

    @staticmethod
    def write(content, member, path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file, BLOCK)
        os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
        # make compares the times of files.
        os.utime(path, (member.mtime, member.mtime))

    def refuse_links_out(self):
        """StackError if a link leads out of the directory, directly or through other links."""
        top = os.path.realpath(self.root)
        for name in self.links:
            path = os.path.join(self.root, name)
            if not (os.path.realpath(path) + "/").startswith(top + "/"):
                raise StackError("%s is a link that leads out of the tree, to %s" % (name, os.readlink(path)))


def empty(path):
    """Remove a file, a link or a directory with its content. The target of a link is not touched."""
    if os.path.islink(path) or os.path.isfile(path):
        remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def unpack(src, dest, strip, folder, over):
    """Unpack an archive. Returns the number of members. StackError if it is unsafe or cannot be unpacked."""
    if not over:
        empty(dest)
    make_directory(dest)
    os.chmod(dest, 0o755)
    tree = Tree(dest, strip, folder)
    try:
        with open_archive(src) as tar:
            for member in tar:
                tree.add(tar, member)
                tar.members = []  # otherwise it keeps every member in memory
        tree.refuse_links_out()
        if not tree.count:
            raise StackError("it is empty%s" % (" in %s" % folder if folder else ""))
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise StackError("%s is not a complete tar archive: %s" % (src, error))
    except EnvironmentError as error:
        message = "%s cannot be unpacked to %s: %s" % (src, error.filename or dest, error.strerror or str(error))
        raise StackError(message, code=codes.of_errno(error.errno))
    except StackError as error:
        raise StackError("%s: %s. What was unpacked to %s is not used" % (src, error, dest))
    return tree.count


def work(module):
    """The result of the module: the number of members that were unpacked."""
    return {"changed": True, "members": 0 if module.check_mode else unpack(**module.params)}


def main():
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "strip": {"type": "int", "default": 1},
            "folder": {"type": "str", "default": ""},
            "over": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
