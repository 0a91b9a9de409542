# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Temporary directories for programs that build or try something, on the disk of the stack root: /tmp can be small.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import tempfile
import time
from contextlib import contextmanager

from .files import DAY

_PREFIX = ".trial-"
"""How the names of these directories begin."""


@contextmanager
def temporary_directory(log):
    """A directory beside the log that only the programs which write that log use. It is removed at the end."""
    folder = os.path.dirname(log)
    _remove_remains(folder)
    private = tempfile.mkdtemp(prefix=_PREFIX, dir=folder)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _remove_remains(folder):
    """Remove the directories that killed programs left; another command can be at work at this moment."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(_PREFIX) and os.path.isdir(path) and not os.path.islink(path):
            try:
                is_old = time.time() - os.lstat(path).st_mtime >= DAY
            except OSError:
                continue  # its command has just removed it
            if is_old:
                shutil.rmtree(path, ignore_errors=True)
