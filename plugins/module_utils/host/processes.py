# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Processes of a host, known by number and start.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .files import read_text


def start_of(pid):
    """When a process started, in clock ticks since boot: a number used again is another process. Empty if gone."""
    fields = (read_text("/proc/%s/stat" % pid) or "").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else ""


def is_alive(pid, start):
    """Whether the process of that number and start still runs and is no zombie."""
    return bool(start) and start_of(pid) == start
