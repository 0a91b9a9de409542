# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Checks that the JSON for an HDF5 file is valid for train.lua: one line, a complete vocabulary, pictures with splits.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import numbers
import os

from .found import MOST_NAMED
from ..host.texts import TEXT
from ..rules.texts import some

SPLITS = ("train", "val", "test")
MOST = 256 << 20
"""Maximum size of a JSON file in bytes."""


def read_json(path, found):
    """Return {ix_to_word, images} from the JSON, or None if it has another form. Problems are added to `found`."""
    try:
        size = os.path.getsize(path)
        if size > MOST:
            return found.fault(path, "", "unreadable", "it has %d bytes, more than the %d that are read" % (size, MOST))
        with io.open(path, "rb") as file:
            text = file.read(size).decode("utf-8")
        content = json.loads(text)
    except (IOError, OSError) as error:
        return found.fault(path, "", "unreadable", "it cannot be read: %s" % error.strerror)
    except (ValueError, RuntimeError) as error:  # RuntimeError if it is nested too deeply
        return found.fault(path, "", "no JSON", "it is not JSON: %s" % error)
    if "\n" in text.rstrip():
        reason = "it has several lines, but train.lua reads only the first: write it without line breaks"
        found.fault(path, "", "several lines", reason)
    for name, kind, form in (("ix_to_word", dict, "an object of words"), ("images", list, "a list")):
        if not isinstance(content, dict) or not isinstance(content.get(name), kind):
            return found.fault(
                path, name, "another shape", "it has no %s (%s): it is not what prepro.py writes" % (name, form)
            )
    return content


def check_words(path, content, found):
    """Return the number of words in the vocabulary, whose keys must be "1", "2", ...; None if there is no content."""
    if content is None:
        return None
    words = content["ix_to_word"]
    if not words:
        return found.fault(path, "ix_to_word", "vocabulary", "it contains no word")
    lacks = [str(number) for number in range(1, len(words) + 1) if str(number) not in words]
    if lacks:
        reason = 'its keys are not "1" to "%d": it lacks %s' % (len(words), some(lacks, MOST_NAMED))
        found.fault(path, "ix_to_word", "vocabulary", reason)
    for number in [number for number in words if not isinstance(words[number], TEXT)][:MOST_NAMED]:
        found.fault(path, "ix_to_word[%s]" % json.dumps(number), "vocabulary", "its value is not a word")
    texts = [word for word in words.values() if isinstance(word, TEXT)]
    if len(set(texts)) < len(texts):
        found.remark(
            path,
            "ix_to_word",
            "vocabulary",
            "words that occur more than once: %d" % (len(texts) - len(set(texts))),
        )
    return len(words)


def check_listed(path, content, found, splits):
    """Return {split: number of pictures} of the pictures in the JSON. The `splits` must have pictures."""
    if content is None:
        return {}
    counts = {}  # type: dict[str, int]
    known = {"id": set(), "file_path": set()}  # type: dict[str, set[object]]
    doubles = {"id": [], "file_path": []}  # type: dict[str, list[int]]
    for row, entry in enumerate(content["images"]):
        place = "images[%d]" % row
        split = entry.get("split") if isinstance(entry, dict) else None
        if not isinstance(split, TEXT):
            found.fault(path, place, "another shape", "it has no split")
            continue
        counts[split] = counts.get(split, 0) + 1
        for field in ("id", "file_path"):
            value = entry.get(field)
            if not isinstance(value, (numbers.Number, TEXT)):
                found.remark(path, place, "another shape", "it has no %s, which eval.lua and the scorer use" % field)
            elif value in known[field]:
                doubles[field].append(row)
            known[field].add(value if isinstance(value, (numbers.Number, TEXT)) else None)
    for field in sorted(doubles):
        if doubles[field]:
            reason = "pictures with the same %s as an earlier picture: %s" % (field, some(doubles[field], MOST_NAMED))
            found.remark(path, "images", "duplicate", reason)
    unknown = sorted(set(counts) - set(SPLITS))
    if unknown:
        found.remark(
            path,
            "images",
            "split",
            "no program reads the split %s" % some([json.dumps(name) for name in unknown], MOST_NAMED),
        )
    for split in splits:
        if not counts.get(split):
            found.fault(path, "images", "split", "no picture has the split %s" % split)
    return counts
