# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The generations of a host as facts: what is built in each, and which one is current.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..rules import layout
from .files import read_json
from .generations import is_dangling
from .installed import is_unlisted
from .manifest import has_manifest
from .stamps import read_stamps
from .unpacked import lacks


def stack_facts(root):
    """The generations, and the ids of the current and the previous one."""
    current = layout.current(root)
    is_there = os.path.islink(current) and not is_dangling(current)
    used = os.path.basename(os.readlink(current)) if is_there else None
    generations = {}
    history = read_json(layout.history(root)) or {}
    directory = layout.generations(root)
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        generation = os.path.join(directory, name)
        generations[name] = {
            # Opening such a generation empties it, so everything is to be built.
            "stamps": {} if is_unlisted(generation) and name != used else read_stamps(generation),
            "sealed": os.path.isfile(layout.seal(generation)),
            "manifest": has_manifest(generation),
            "lacks": lacks(generation),
        }
    activated = history.get("activated")
    since = activated.get(used) if isinstance(activated, dict) else None
    return {
        "current": used,
        "previous": history.get("previous"),
        "since": max(int(since), 0) if isinstance(since, (int, float)) else None,
        "generations": generations,
    }
