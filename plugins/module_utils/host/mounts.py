# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The mounts of a host, as the kernel lists them. Runs under Python 2.7 and 3, standard library only."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from .files import read_text
from .texts import as_text

MOST_MOUNTS = 8 << 20
"""Bytes of /proc/self/mountinfo that are read."""


def mount_of(path):
    """{point, root, kind, source} of the mount that contains a path without links; None if it is not known."""
    try:
        text = read_text("/proc/self/mountinfo", MOST_MOUNTS) or ""
    except (IOError, OSError):
        return None
    path, best = as_text(path), None
    for line in text.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, more = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(more) < 2:
            continue
        point = _unescaped(fields[4])
        inside = point == "/" or path == point or path.startswith(point + "/")
        # Of two mounts on one directory the later one is seen.
        if inside and (best is None or len(point) >= len(best["point"])):
            source = _unescaped(more[1])
            best = {"point": point, "root": _unescaped(fields[3]), "kind": more[0], "source": source}
    return best


def _unescaped(text):
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
