# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The dynamic loader's configuration: ldconfig knows the new library afterwards.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import re

from ..host.commands import output_of
from ..host.errors import StackError
from ..host.files import write_whole
from ..rules.cudnn import soname


LOADER_FILE = "/etc/ld.so.conf.d/neuraltalk-cudnn-%s.conf"
"""One for each CUDA directory."""
PATIENCE = 600
"""Seconds. On a slow disk ldconfig reads many directories."""


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
        text, code = output_of([self.command] + list(options), patience=PATIENCE, environment={"PATH": path})
        if code is None:
            raise StackError("%s cannot be run: there is no such program" % self.command)
        if code:
            raise StackError("%s ended with %d: %s" % (self.command, code, text.strip()))
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
