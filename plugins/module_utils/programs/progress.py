# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Lines about the progress of a long operation: count, percentage, rate, time left.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

MAX_INTERVAL = 10.0
"""Seconds after which a line is printed even if the percentage is the same."""
MIN_INTERVAL = 1.0
"""Seconds between two lines, at least."""


class Progress(object):
    """Prints lines about `total` pictures, of which `begun` were done before. `verb` is what is done: read, checked."""

    def __init__(self, say, verb, total, begun=0, clock=time.time):
        self.say, self.verb, self.total, self.clock = say, verb, total, clock
        self.done = self.begun = begun
        self.bytes = 0
        self.first = self.last = clock()
        self.percent = self.share()

    def share(self):
        """Return the percentage that is done."""
        return 100 * self.done // self.total if self.total else 100

    def add(self, count, read=0):
        """Add `count` pictures that are done, for which `read` bytes were read."""
        self.done += count
        self.bytes += read

    def rate(self):
        """Return the pictures per second since the start."""
        return (self.done - self.begun) / max(self.clock() - self.first, 0.001)

    def tick(self):
        """Print a line if it is time for one."""
        now = self.clock()
        due = now - self.last >= (MIN_INTERVAL if self.share() != self.percent else MAX_INTERVAL)
        if due and self.done < self.total:
            self.last, self.percent = now, self.share()
            self.say(self.line())

    def line(self):
        """Return the line."""
        words = "%s %s of %s pictures (%d %%), %.0f a second" % (
            self.verb, number(self.done), number(self.total), self.share(), self.rate(),
        )  # fmt: skip
        if self.done > self.begun:
            words += ", %s left" % duration((self.total - self.done) / max(self.rate(), 1e-9))
        return words + (", %s read" % size(self.bytes) if self.bytes else "")


def ignoring_errors(say):
    """Return a function like `say` that ignores errors of the output, for example of a closed terminal or pipe."""

    def quiet(text):
        try:
            say(text)
        except (IOError, OSError):
            pass

    return quiet


def number(value):
    """Return a number like 12,345, also under Python 2.7."""
    return "{:,}".format(value)


def size(value):
    """Return a number of bytes as text, for example 12.3 MB."""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000.0
        del units[0]
    return ("%d %s" if units[0] == "bytes" else "%.1f %s") % (value, units[0])


def duration(seconds):
    """Return a number of seconds as text, for example about 12 minutes."""
    if seconds < 90:
        return "about %d seconds" % max(2, round(seconds))
    if seconds < 5400:
        return "about %d minutes" % round(seconds / 60)
    return "about %d hours %d minutes" % divmod(round(seconds / 60), 60)
