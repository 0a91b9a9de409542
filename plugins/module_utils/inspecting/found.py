# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The problems found in data: faults and remarks, each with its file, its place in the file and its reason.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..rules.texts import some

MOST_NAMED = 20
"""Maximum number of rows that are named for one fault; of the others only the number is given."""


def in_words(problem):
    """Return a problem as text: the file, the place in it, and the reason."""
    return "%s: %s" % (" ".join([problem["file"], problem["place"]]).strip(), problem["reason"])


class Found(object):
    """The problems of data: `faults` make it unusable, `remarks` are unusual but harmless."""

    def __init__(self):
        self.faults, self.remarks = [], []

    def fault(self, file, place, fault, reason):
        """Add something that is wrong: the file, the place in it, the kind of fault, and the reason as text."""
        self.faults.append({"file": file, "place": place, "fault": fault, "reason": reason})

    def remark(self, file, place, fault, reason):
        """Add something unusual that may be intended."""
        self.remarks.append({"file": file, "place": place, "fault": fault, "reason": reason})


class Rows(object):
    """The rows with faults, by kind of fault: their number and the first of them."""

    def __init__(self):
        self.counts, self.first = {}, {}

    def add(self, kind, start, rows):
        """Add rows of a block that begins at the row `start`."""
        self.counts[kind] = self.counts.get(kind, 0) + len(rows)
        known = self.first.setdefault(kind, [])
        known += [start + int(row) for row in rows[: MOST_NAMED - len(known)]]

    def count(self, kind):
        """Return the number of rows with this kind of fault."""
        return self.counts.get(kind, 0)

    def named(self, kind):
        """Return the number of rows and the first rows as text. Rows are counted from 0."""
        return "%d row%s: %s" % (
            self.count(kind),
            "s" * (self.count(kind) > 1),
            some(self.first[kind], MOST_NAMED, self.count(kind)),
        )
