# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The directories of a new generation, and its first files: all that is there before anything is built.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import posixpath
import shutil
import stat

from ..rules import layout
from . import installed
from .errors import StackError
from .files import make_directory, read_text, write_whole

DIRECTORIES = ("bin", "etc", layout.LOGS, layout.STAMPS, "torch")
MODE = 0o755


def create(root, name, files, check):
    """Create what is missing or differs, and return whether anything did; with `check`, only the latter.

    The generation is `name` below the stack root. `files` are {path, content, mode}: a path in it, the mode in octal.
    StackError if such a path leads out of the generation. A generation that was built in part by an older version, of
    which nobody knows what its components installed, is removed first, unless it is the current one.
    """
    generation = layout.generation(root, name)
    if installed.is_unlisted(generation) and not installed.is_current(generation) and not check:
        shutil.rmtree(generation)
    directories = [root, layout.generations(root), generation]
    directories += [posixpath.join(generation, part) for part in DIRECTORIES]
    wanted = [(_path_in(generation, file["path"]), file["content"], int(file["mode"], 8)) for file in files]
    missing = [path for path in directories if not os.path.isdir(path) or _mode(path) != MODE]
    differing = [file for file in wanted if _differs(*file)]
    if not check:
        for path in missing:
            make_directory(path, MODE)
            os.chmod(path, MODE)
        for path, content, mode in differing:
            write_whole(path, content, mode)
        made = [part for part in DIRECTORIES if part != layout.LOGS]
        installed.opened(generation, made + [posixpath.normpath(file["path"]) for file in files])
    return bool(missing or differing)


def _path_in(generation, name):
    path = posixpath.normpath(name)
    if posixpath.isabs(path) or path in (".", "..") or path.startswith("../"):
        raise StackError("%s is not a path in the generation" % name)
    return posixpath.join(generation, path)


def _mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def _differs(path, content, mode):
    if os.path.islink(path) or not os.path.isfile(path):
        return True
    return _mode(path) != mode or read_text(path) != content
