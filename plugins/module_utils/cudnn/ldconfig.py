# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Makes the dynamic loader find the new library, by its configuration and ldconfig.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import re

from ..host.commands import output_of
from ..host.environment import login_path
from ..host.errors import StackError
from ..host.files import write_whole
from ..rules.cudnn import soname


LOADER_FILE = "/etc/ld.so.conf.d/neuraltalk-cudnn-%s.conf"
"""There is one for each CUDA directory."""
TIMEOUT = 600
"""Seconds. ldconfig reads many directories, which takes long on a slow disk."""


def register(tree, version, loader):
    """Make ldconfig list the new library. StackError if it does not. Does nothing if `loader` is None."""
    if loader is None:
        return
    name = soname(version)
    library = os.path.realpath(os.path.join(tree.lib, name))
    loader.refresh()
    if library not in loader.known(name):
        loader.add(tree.lib)
        loader.refresh()
    known = loader.known(name)
    if library not in known:
        raise StackError("ldconfig does not find %s in %s; it lists %s" % (name, tree.lib, known or "none"))


class Loader(object):
    """ldconfig and its configuration."""

    def __init__(self, root, file="", command="ldconfig"):
        self.file = file or LOADER_FILE % hashlib.sha256(root.encode("utf-8")).hexdigest()[:8]
        self.command = command

    def _run(self, *options):
        text, code = output_of([self.command] + list(options), timeout=TIMEOUT, environment=login_path())
        if code is None:
            raise StackError("%s cannot be run: there is no such program" % self.command)
        if code:
            raise StackError("%s ended with %d: %s" % (self.command, code, text.strip()))
        return text

    def refresh(self):
        """Run ldconfig, so that it reads all directories again."""
        self._run()

    def known(self, name):
        """The files that ldconfig lists for a soname, with links resolved."""
        found = re.findall(r"^\s*%s \(.*\) => (.+)$" % re.escape(name), self._run("-p"), re.M)
        return [os.path.realpath(path) for path in found]

    def add(self, directory):
        """Add a directory to the configuration."""
        write_whole(self.file, "# Written by neuraltalk-provision for cuDNN.\n%s\n" % directory)
