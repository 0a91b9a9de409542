# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A log that one process writes alone, though others write the log of that name at the same time.

Two commands may verify one generation at once: under two names of a host, or on hosts that share a disk.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import glob
import os
import tempfile
import time

from .files import DAY, make_directory, remove


@contextlib.contextmanager
def own_log(log):
    """The path of a new file beside `log`, for the block. At the end it is renamed to `log`: the last one stays.

    If `log` is empty, so is the path, and no file is written.
    """
    if not log:
        yield ""
        return
    make_directory(os.path.dirname(log))
    for path in glob.glob(log + ".own-*"):
        if time.time() - _changed(path) > DAY:
            remove(path)
    handle, path = tempfile.mkstemp(dir=os.path.dirname(log), prefix=os.path.basename(log) + ".own-")
    os.fchmod(handle, 0o644)
    os.close(handle)
    try:
        yield path
    finally:
        os.rename(path, log)


def _changed(path):
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return time.time()
