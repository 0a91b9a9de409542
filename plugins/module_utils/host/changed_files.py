# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The files that differ from the manifest of their generation, each with its owner and its times.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

from . import access_lists
from .texts import as_text
from ..rules.differences import MOST_CHARACTERS, MOST_LISTED

NOT_COMPARED = {"compared": False, "differing": 0, "listed": []}
"""The result if there is no manifest with which the files could be compared."""


def describe(generation, wrong):
    """{compared, differing, listed}: the number of the differences, and the first ones as a list of bounded length.

    `wrong` has (path as text, kind, words, path of the system) for each. In the list each has `path`, `kind`, `words`,
    `uid`, `user`, `mtime` and `ctime`. If the file does not exist any more, the last four are those of the nearest
    directory above it that exists, which is named by `of`; else `of` is empty.
    """
    listed, characters = [], 0
    for name, kind, words, path in wrong[:MOST_LISTED]:
        entry = dict(_facts(generation, path), path=name, kind=kind, words=as_text(words))
        characters += len(json.dumps(entry))
        if characters > MOST_CHARACTERS:
            break
        listed.append(entry)
    return {"compared": True, "differing": len(wrong), "listed": listed}


def _facts(generation, path):
    """The owner and the times of a path, or of the directory above it."""
    of, status = "", _status(path)
    while status is None:
        path = os.path.dirname(path)
        of, status = os.path.relpath(path, generation), _status(path)
        if path == os.path.dirname(path):
            break
    if status is None:
        return {"of": as_text(of), "uid": None, "user": "", "mtime": None, "ctime": None}
    times = dict((name, max(int(getattr(status, "st_" + name)), 0)) for name in ("mtime", "ctime"))
    return dict(times, of=as_text(of), uid=status.st_uid, user=as_text(access_lists.user_name(status.st_uid)))


def _status(path):
    try:
        return os.lstat(path)
    except OSError:
        return None
