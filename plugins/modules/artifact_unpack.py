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
  - Reads archives by the same rule as C(provision mirror add). Refuses devices, pipes, names that lead out of the
    directory, members below a link, links that lead out, a member twice, a damaged header and data after the end.
  - Skips the files that macOS adds to archives (C(._*) and C(.DS_Store)), because they break globs and image folders
    later.
  - Reads gzip with Python's own module, because a minimal host has no such program. Other compressions are refused.
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

import os
import posixpath
import shutil

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host.archives import BLOCK, entries, refusing
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory, remove, remove_any
from ..module_utils.host.outcome import run_module
from ..module_utils.rules import codes
from ..module_utils.rules.archive_tree import DIRECTORY, LINK


class Tree(object):
    """The directory that an archive is unpacked into."""

    def __init__(self, root, folder):
        self.root = root
        self.folder = [part for part in folder.split("/") if part not in ("", ".")]
        self.directories = set([""])
        self.links = []
        self.count = 0

    def name_of(self, name):
        """The path of a member relative to the root, empty for the root itself; None if it is outside the folder."""
        parts = [part for part in name.split("/") if part]
        if parts[: len(self.folder)] != self.folder:
            return None
        return "/".join(parts[len(self.folder) :])

    def add(self, entry):
        """Unpack one member."""
        name = self.name_of(entry.name)
        if name is None or (not name and entry.kind != DIRECTORY):
            return
        path = os.path.join(self.root, name) if name else self.root
        self.make_directory(name if entry.kind == DIRECTORY else posixpath.dirname(name))
        if entry.kind != DIRECTORY:
            self.make_room(path, entry)
        if entry.kind == LINK:
            self.links.append(name)
            os.symlink(entry.target, path)
        elif entry.target:
            os.link(self.linked(entry), path)
        elif entry.kind != DIRECTORY:
            self.write(entry, path)
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
    def make_room(path, entry):
        if os.path.isdir(path) and not os.path.islink(path):
            raise StackError("%s is a directory as well" % entry.original)
        remove(path)

    def linked(self, entry):
        """The target of a hard link. StackError if it is not in the folder that is unpacked."""
        name = self.name_of(entry.target)
        path = os.path.join(self.root, name or "")
        inside = name and posixpath.dirname(name) in self.directories
        if not inside or os.path.islink(path) or not os.path.isfile(path):
            raise StackError("%s is a hard link to %s, which is not unpacked" % (entry.original, entry.target))
        return path

    @staticmethod
    def write(entry, path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(entry.content, file, BLOCK)
        os.chmod(path, 0o755 if entry.mode & 0o100 else 0o644)
        # make compares the times of files.
        os.utime(path, (entry.mtime, entry.mtime))

    def refuse_links_out(self):
        """StackError if a link leads out of the directory, directly or through other links."""
        top = os.path.realpath(self.root)
        for name in self.links:
            path = os.path.join(self.root, name)
            if not (os.path.realpath(path) + "/").startswith(top + "/"):
                raise StackError("%s is a link that leads out of the tree, to %s" % (name, os.readlink(path)))


def unpack(src, dest, strip, folder, over):
    """Unpack an archive. Returns the number of members. StackError if it is unsafe or cannot be unpacked."""
    if not over:
        remove_any(dest)
    make_directory(dest)
    os.chmod(dest, 0o755)
    tree = Tree(dest, folder)
    try:
        with refusing(src):
            for entry in entries(src, strip):
                tree.add(entry)
        tree.refuse_links_out()
        if not tree.count:
            raise StackError("it is empty%s" % (" in %s" % folder if folder else ""))
    except EnvironmentError as error:
        message = "%s cannot be unpacked to %s: %s" % (src, error.filename or dest, error.strerror or str(error))
        raise StackError(message, code=codes.of_errno(error.errno))
    except StackError as error:
        raise StackError("%s. What was unpacked from %s to %s is not used" % (error, src, dest))
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
