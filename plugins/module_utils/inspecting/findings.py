# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Writes the findings of an inspection to a file, line by line, and counts them, so that little is in memory.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os

from .found import in_words
from ..pictures.files import printed, shown
from ..host.errors import StackError
from ..host.texts import as_native, as_text

SHOWN = 20
"""Maximum number of faults that are printed one by one. The file contains all of them."""


class Findings(object):
    """A file of JSON Lines with one finding each: file, place in it, fault (the kind of finding), reason, remark.

    `remark` is true for a finding that is harmless by itself. It has the methods of Found and can be used instead of
    one. StackError if the file exists already, so that no captions are overwritten, or if it cannot be written.
    """

    def __init__(self, path):
        self.path = path
        self.counts = {"faults": {}, "remarks": {}}  # type: dict[str, dict[str, int]]
        self.first = []
        if os.path.isfile(path):
            message = "%s exists already, and findings are written to a new file: choose another name with --findings"
            raise StackError(message % printed(path))
        try:
            self.file = io.open(path, "wb", 0)  # unbuffered, so that closing it cannot fail to write
        except (IOError, OSError) as error:
            raise StackError("%s cannot be written: %s" % (printed(path), error.strerror))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.file.close()

    def fault(self, file, place, fault, reason):
        """Add something that is wrong with a file, or at a place in it."""
        self._add(file, place, fault, reason, False)

    def remark(self, file, place, fault, reason):
        """Add something unusual that may be intended."""
        self._add(file, place, fault, reason, True)

    def _add(self, file, place, fault, reason, remark):
        counts = self.counts["remarks" if remark else "faults"]
        counts[fault] = counts.get(fault, 0) + 1
        entry = {"file": shown(file), "place": as_text(place), "fault": fault, "reason": as_text(reason)}
        if not remark and len(self.first) < SHOWN:
            self.first.append(entry)
        line = (as_text(json.dumps(dict(entry, remark=remark), sort_keys=True)) + "\n").encode("utf-8")
        try:
            while line:
                line = line[self.file.write(line) :]
        except (IOError, OSError) as error:
            raise StackError("%s cannot be written: %s" % (printed(self.path), error.strerror))

    def number(self, sort):
        """Return the number of `faults` or `remarks`."""
        return sum(self.counts[sort].values())

    def lines(self):
        """Return the first faults as lines of text, and the number of each kind."""
        texts = [in_words(entry) for entry in self.first]
        more = self.number("faults") - len(self.first)
        if more > 0:
            texts.append("and %d more" % more)
        for sort in ("faults", "remarks"):
            counts = ["%d %s" % (count, fault) for fault, count in sorted(self.counts[sort].items())]
            word = sort if self.number(sort) != 1 else sort[:-1]
            texts.append("%d %s%s" % (self.number(sort), word, ": " + ", ".join(counts) if counts else ""))
        return [as_native(as_text(line)) for line in texts]
