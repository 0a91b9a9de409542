# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""How far a long piece of work is, in lines for people: count, share, rate, time left.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

RHYTHM = 10.0
"""Seconds after which a line is printed in any case."""
LEAST = 1.0
"""Seconds between two lines, also where each second brings many percent."""


class Progress(object):
    """Lines about `total` pictures, `begun` of which were done before. `verb` says what happens to them."""

    def __init__(self, say, verb, total, begun=0, clock=time.time):
        self.say, self.verb, self.total, self.clock = say, verb, total, clock
        self.done = self.begun = begun
        self.bytes = 0
        self.first = self.last = clock()
        self.percent = self.share()

    def share(self):
        """Percent that are done."""
        return 100 * self.done // self.total if self.total else 100

    def add(self, count, read=0):
        """So many more are done, and so many bytes were read for them."""
        self.done += count
        self.bytes += read

    def rate(self):
        """Pictures a second since the start."""
        return (self.done - self.begun) / max(self.clock() - self.first, 0.001)

    def tick(self):
        """Print a line where one is due."""
        now = self.clock()
        due = now - self.last >= (LEAST if self.share() != self.percent else RHYTHM)
        if due and self.done < self.total:
            self.last, self.percent = now, self.share()
            self.say(self.line())

    def line(self):
        """How far it is."""
        words = "%s %s of %s pictures (%d %%), %.0f a second" % (
            self.verb, number(self.done), number(self.total), self.share(), self.rate(),
        )  # fmt: skip
        if self.done > self.begun:
            words += ", %s left" % duration((self.total - self.done) / max(self.rate(), 1e-9))
        return words + (", %s read" % size(self.bytes) if self.bytes else "")


def unharmed(say):
    """`say`, but a terminal or a pipe that is gone ends nothing."""

    def quiet(text):
        try:
            say(text)
        except (IOError, OSError):
            pass

    return quiet


def number(value):
    """12,345 (Python 2.7 too)."""
    return "{:,}".format(value)


def size(value):
    """So many bytes in words."""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000.0
        del units[0]
    return ("%d %s" if units[0] == "bytes" else "%.1f %s") % (value, units[0])


def duration(seconds):
    """So many seconds in words."""
    if seconds < 90:
        return "about %d seconds" % max(2, round(seconds))
    if seconds < 5400:
        return "about %d minutes" % round(seconds / 60)
    return "about %d hours %d minutes" % divmod(round(seconds / 60), 60)
