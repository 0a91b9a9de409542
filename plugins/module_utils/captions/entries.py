# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Collects pictures with their captions from any source, and checks each field when it is added.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import posixpath
import re

from ..pictures.files import printed
from ..host.texts import TEXT

SPLITS = {"train": "train", "restval": "train", "val": "val", "validation": "val", "test": "test"}
"""{name of a split in a source: its split}. restval is what Karpathy's split adds to the training set."""
LONGEST_NAME = 4096
"""Maximum length of a path under Linux."""
LONGEST_CAPTION = 131072
"""Maximum number of characters of a caption; it is also the limit of Python's csv for a cell."""
MOST_OF_ID = 10**14
"""A whole number that is an id must be smaller than this."""
LONGEST_ID = 1000
"""Maximum number of characters of an id that is text."""
_HALF_PAIR = re.compile(json.loads('"[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]"'))


class Entries(object):
    """Entries in the order in which their files first occur. Problems are added to `problems`."""

    def __init__(self, problems):
        self.problems = problems
        self.entries = []
        self._by_file = {}
        self._places = {}
        self._by_id = {}

    def add(self, place, file_path, captions, once, **more):
        """Add what a source has at one place: a file, its captions and, if there are any, `id`, `split` and `scored`.

        With `once`, these are all captions of the file, and it is a problem if the file occurs again.
        """
        problem = self._wrong(file_path, captions, more)
        if problem:
            named = "" if _wrong_path(file_path) else printed(file_path) + ": "
            self.problems.add(place, named + problem)
            return
        if "split" in more:
            more["split"] = SPLITS[more["split"].strip().lower()]
        # Under Python 2.7 a file name in ASCII is the same key as bytes and as text.
        name = posixpath.normpath(file_path) if "./" in file_path or "//" in file_path else file_path
        known = self._by_file.get(name)
        if known is None:
            self._by_file[name] = entry = dict(more, file_path=file_path, captions=list(captions))
            self._places[name] = place
            self.entries.append(entry)
            self._add_id(place, entry)
        elif once:
            self.problems.add(place, "%s is also the file of %s" % (printed(file_path), self._places[name]))
        else:
            self._extend(place, known, captions, more, self._places[name])

    def _extend(self, place, known, captions, more, first):
        """Add the captions of another row of a picture. Its id and split must be the same as in the first row."""
        for field in ("id", "split"):
            if known.get(field) != more.get(field):
                message = "%s has %s %s here and %s in %s, but a picture can have only one; if the column contains "
                message += "something else, rename it"
                values = [printed(TEXT(fields.get(field, "-"))) for fields in (more, known)]
                self.problems.add(place, message % (printed(known["file_path"]), field, values[0], values[1], first))
                return
        known["captions"].extend(captions)

    def _add_id(self, place, entry):
        if "id" not in entry:
            return
        first = self._by_id.setdefault(entry["id"], place)
        if first != place:
            self.problems.add(place, "id %s is also the id of %s" % (printed(TEXT(entry["id"])), first))

    def _wrong(self, file_path, captions, more):
        """Return the problem with the fields of one place, or a value that is false if there is none."""
        return (
            _wrong_path(file_path)
            or _wrong_captions(captions)
            or ("id" in more and wrong_id(more["id"]))
            or ("split" in more and _wrong_split(more["split"]))
        )


def _wrong_path(path):
    if not isinstance(path, TEXT):
        return "the file is %s, not text" % kind(path)
    if not path.strip():
        return "the file has no name"
    if len(path) > LONGEST_NAME or "\0" in path or _HALF_PAIR.search(path):
        return "no file has the name %s" % json.dumps(path[:80])
    if ".." in path.split("/"):
        return "%s leads out of its folder with `..`: write the path without it" % printed(path)
    return ""


def _wrong_captions(captions):
    if not isinstance(captions, list):
        return "the captions are %s, not a list of texts" % kind(captions)
    if not captions:
        return "there are no captions"
    for number, caption in enumerate(captions, 1):
        if not isinstance(caption, TEXT):
            return "caption %d is %s, not text" % (number, kind(caption))
        if not caption.strip():
            return "caption %d is empty" % number
        if len(caption) > LONGEST_CAPTION:
            return "caption %d has %d letters, which is too long for a caption" % (number, len(caption))
        if _HALF_PAIR.search(caption):
            return "caption %d has a broken character (half of a surrogate pair): %s" % (
                number,
                json.dumps(caption[:80]),
            )
    return ""


def wrong_id(value):
    """Return the problem with the id of a picture, or "" if there is none."""
    if isinstance(value, TEXT):
        wrong = not 0 < len(value) <= LONGEST_ID or _HALF_PAIR.search(value)
        return "the id is empty, too long or broken: %s" % json.dumps(value[:80]) if wrong else ""
    if isinstance(value, bool) or not isinstance(value, (float, _INTEGERS)):
        return "the id is %s; it has to be a number or text" % kind(value)
    if not abs(value) < float("inf"):
        return "the id is %s; it has to be a finite number or text" % kind(value)
    # Lua's JSON writes 14 digits of a number. With a longer id, the scorer would not find the picture.
    kept = abs(value) < MOST_OF_ID if isinstance(value, _INTEGERS) else float("%.14g" % value) == value
    return "" if kept else "id %.40s has more digits than Lua keeps (14): write it as text, in quotes" % (value,)


_INTEGERS = (int, type(1 << 64))


def _wrong_split(value):
    if not isinstance(value, TEXT):
        return "the split is %s; it has to be text" % kind(value)
    if value.strip().lower() not in SPLITS:
        return "the split is %s; it has to be one of %s" % (json.dumps(value[:80]), ", ".join(sorted(SPLITS)))
    return ""


def kind(value):
    """Return a JSON value as text for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, _INTEGERS)):
        return "the number %.40s" % (value,)
    if isinstance(value, TEXT):
        return "the text %s" % json.dumps(value[:80])
    return "a list" if isinstance(value, list) else "an object"
