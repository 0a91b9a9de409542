# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The dynamic loader's configuration: ldconfig knows the new library afterwards.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import re
import subprocess

from ..host.errors import StackError
from ..host.files import write_whole
from ..rules.cudnn import soname


LOADER_FILE = "/etc/ld.so.conf.d/neuraltalk-cudnn-%s.conf"
"""One for each CUDA directory."""


def register(tree, version, loader):
    """Have the loader know the new library."""
    if loader is None:
        return
    name = soname(version)
    wanted = os.path.realpath(os.path.join(tree.lib, name))
    loader.refresh()
    if wanted not in loader.known(name):
        loader.add(tree.lib)
        loader.refresh()
    known = loader.known(name)
    if wanted not in known:
        raise StackError("ldconfig does not find %s in %s; it knows %s" % (name, tree.lib, known or "none"))


class Loader(object):
    """ldconfig and its configuration."""

    def __init__(self, root, file="", command="ldconfig"):
        self.file = file or LOADER_FILE % hashlib.sha256(root.encode("utf-8")).hexdigest()[:8]
        self.command = command

    def _run(self, *options):
        path = os.environ.get("PATH", "") + ":/sbin:/usr/sbin"
        try:
            process = subprocess.Popen(
                [self.command] + list(options),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, PATH=path, LC_ALL="C"),
            )
        except OSError as error:
            raise StackError("%s cannot be run: %s" % (self.command, error.strerror))
        text = process.communicate()[0].decode("utf-8", "replace")
        if process.returncode:
            raise StackError("%s ended with %d: %s" % (self.command, process.returncode, text.strip()))
        return text

    def refresh(self):
        """Have it read all directories again."""
        self._run()

    def known(self, name):
        """The files that it would load for a soname, links resolved."""
        found = re.findall(r"^\s*%s \(.*\) => (.+)$" % re.escape(name), self._run("-p"), re.M)
        return [os.path.realpath(path) for path in found]

    def add(self, directory):
        """Have it look into a directory."""
        write_whole(self.file, "# Written by neuraltalk-provision for cuDNN.\n%s\n" % directory)
