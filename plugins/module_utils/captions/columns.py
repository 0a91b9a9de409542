# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Finds which column of a table, or field of an object, contains the file, the captions, the split and the id.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections

from ..pictures.files import printed
from ..host.texts import as_text
from ..rules.data import NO_SPLITS

FILE = ("file_path", "file_name", "filename", "file", "image_path", "image_name", "image", "img", "path")
CAPTION = ("captions", "caption", "text", "sentences", "sentence", "comment")
SPLIT = ("split",)
ID = ("image_id", "id")
_MOST_KNOWN = 1000

Chosen = collections.namedtuple("Chosen", "file caption split id")
"""The names of four columns. Each is None if there is no such column."""


class Columns(object):
    """Finds columns by the names that the user gave, else by the usual names, in upper or lower case."""

    def __init__(self, file="", caption="", split=""):
        self.split = as_text(split) if split != NO_SPLITS else ""
        splits = (self.split,) if self.split else SPLIT
        self.names = (
            (as_text(file),) if file else FILE,
            (as_text(caption),) if caption else CAPTION,
            splits if split != NO_SPLITS else (),
            ID,
        )
        self.wanted = self._wanted()
        self._known = {}

    def choose(self, names):
        """Return the Chosen out of `names`, the columns of a table or the fields of an object."""
        names = tuple(names)
        chosen = self._known.get(names)
        if chosen is None:
            lowered = dict((name.lower(), name) for name in reversed(names))
            chosen = Chosen(*[self._first(wanted, names, lowered) for wanted in self.names])
            if len(self._known) < _MOST_KNOWN:
                self._known[names] = chosen
        return chosen

    @staticmethod
    def _first(wanted, names, lowered):
        """Return the first of the `wanted` names that exists, or None."""
        for name in wanted:
            if name in names:
                return name
            if name in lowered:
                return lowered[name]
        return None

    def fit(self, names):
        """Return whether there are columns for the file, the caption and, if the user named one, the split."""
        chosen = self.choose(names)
        return None not in (chosen.file, chosen.caption) and not (self.split and chosen.split is None)

    def _wanted(self):
        """Return the part of a message that says which columns are needed."""
        words = ["one for the file (%s)" % self._either(0), "one for the caption (%s)" % self._either(1)]
        return " and ".join(words + (["one for the split (%s)" % self._either(2)] if self.split else []))

    def _either(self, index):
        return printed(as_text(", ").join(as_text(name) for name in self.names[index]))
