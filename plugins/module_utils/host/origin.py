# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""On which machine a process was started whose id is in a file: on a shared disk, it may be another one than this.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ..rules import holder
from .files import read_text
from .texts import as_native


def origin():
    """{node, boot, space, machine} of this process: its host's name, boot id, PID namespace and hashed machine id."""
    try:
        space = "".join(re.findall(r"\d+", os.readlink(holder.SPACE)))
    except OSError:
        space = ""
    return {
        "node": re.sub(r"\s", "_", os.uname()[1]) or holder.UNKNOWN,
        "boot": line(holder.BOOT) or holder.UNKNOWN,
        "space": space or holder.UNKNOWN,
        "machine": holder.machine_of(line(holder.MACHINE)) or holder.UNKNOWN,
    }


def is_here(recorded):
    """Whether a process with this origin is or was one of this machine. So it has ended if no such process exists.

    Older versions recorded only the node, or nothing: such a process counts as one of this machine.
    """
    own = origin()
    known = dict((key, recorded.get(key) or holder.UNKNOWN) for key in own)

    def same(key):
        return known[key] == own[key]

    if holder.UNKNOWN not in (known["boot"], known["space"]) and same("boot") and same("space"):
        return True
    if known["node"] != holder.UNKNOWN and not same("node"):
        return False
    # Of two machines with one name, each has its own machine id. After a reboot, or in a restarted container, it stays.
    return same("boot") or same("machine") or holder.UNKNOWN in (known["machine"], own["machine"])


def line(path):
    """The text of a file of the kernel without white space; empty if it cannot be read."""
    try:
        return as_native("".join((read_text(path, 256) or "").split()))
    except (IOError, OSError):
        return ""
