# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Processes of a host, identified by process id and start time.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import select

from .files import read_text


def output_is_read():
    """Whether somebody reads the output of this process. If not, the controller, or the connection to it, has ended."""
    poll = select.poll()
    poll.register(1, 0)
    return not any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _handle, event in poll.poll(0))


def start_of(pid):
    """The start time of a process in clock ticks since boot, as text; empty if it has ended.

    A process id can be used again later. The start time distinguishes the two processes.
    """
    fields = (read_text("/proc/%s/stat" % pid) or "").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else ""


def is_alive(pid, start):
    """Whether the process with this id and start time is still running and is not a zombie."""
    return bool(start) and start_of(pid) == start
