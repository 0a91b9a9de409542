# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What was found wrong with data: faults and remarks, each with its file, its place there and its reason.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

MOST_NAMED = 20
"""Rows that are named for one fault, at most; of the others only the number is given."""


class Found(object):
    """The problems of data: `faults` make it unusable, `remarks` are unusual but harmless."""

    def __init__(self):
        self.faults, self.remarks = [], []

    def fault(self, file, place, fault, reason):
        """Add something that is wrong: in which file, where in it, its kind by which it is counted, and in words."""
        self.faults.append({"file": file, "place": place, "fault": fault, "reason": reason})

    def remark(self, file, place, fault, reason):
        """Add something unusual that may be intended."""
        self.remarks.append({"file": file, "place": place, "fault": fault, "reason": reason})


class Rows(object):
    """Rows of several kinds of faults: how many, and the first of them."""

    def __init__(self):
        self.counts, self.first = {}, {}

    def add(self, kind, start, rows):
        """Rows of a block that begins at `start`."""
        self.counts[kind] = self.counts.get(kind, 0) + len(rows)
        known = self.first.setdefault(kind, [])
        known += [start + int(row) for row in rows[: MOST_NAMED - len(known)]]

    def count(self, kind):
        """How many there are."""
        return self.counts.get(kind, 0)

    def named(self, kind):
        """The rows in words, counted from 0 as Python does."""
        return "%d row%s: %s" % (
            self.count(kind),
            "s" * (self.count(kind) > 1),
            some(self.first[kind], self.count(kind)),
        )


def some(values, count=None):
    """The first values, and how many more there are."""
    more = (len(values) if count is None else count) - MOST_NAMED
    return ", ".join(str(value) for value in values[:MOST_NAMED]) + (" and %d more" % more if more > 0 else "")
