# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Whether the JSON beside an HDF5 file is what train.lua reads: one line, its vocabulary whole, pictures with splits.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import numbers
import os

from .found import MOST_NAMED, some

SPLITS = ("train", "val", "test")
MOST = 256 << 20
"""Bytes of a JSON file that are read."""
TEXT = type(b"".decode("utf-8"))


def read_told(path, found):
    """{ix_to_word, images} of the JSON; None where it is no such thing."""
    try:
        size = os.path.getsize(path)
        if size > MOST:
            return found.fault(path, "", "unreadable", "it has %d bytes, more than the %d that are read" % (size, MOST))
        with io.open(path, "rb") as file:
            text = file.read(MOST).decode("utf-8")
        told = json.loads(text)
    except (IOError, OSError) as error:
        return found.fault(path, "", "unreadable", "it cannot be read: %s" % error.strerror)
    except (ValueError, RuntimeError) as error:  # the latter where it is too deep
        return found.fault(path, "", "no JSON", "it is not JSON: %s" % error)
    if "\n" in text.rstrip():
        words = "it stands on several lines, and train.lua reads only the first: write it without line breaks"
        found.fault(path, "", "several lines", words)
    for name, kind, words in (("ix_to_word", dict, "an object of words"), ("images", list, "a list")):
        if not isinstance(told, dict) or not isinstance(told.get(name), kind):
            return found.fault(
                path, name, "another shape", "it has no %s (%s): it is not what prepro.py writes" % (name, words)
            )
    return told


def check_words(path, told, found):
    """How many words the vocabulary has; None where it is none. Its keys are "1", "2" and so on without a gap."""
    if told is None:
        return None
    words = told["ix_to_word"]
    if not words:
        return found.fault(path, "ix_to_word", "vocabulary", "there is no word in it")
    lacks = [str(number) for number in range(1, len(words) + 1) if str(number) not in words]
    if lacks:
        reason = 'its keys are not "1" to "%d": it lacks %s' % (len(words), some(lacks))
        found.fault(path, "ix_to_word", "vocabulary", reason)
    for number in [number for number in words if not isinstance(words[number], TEXT)][:MOST_NAMED]:
        found.fault(path, "ix_to_word[%s]" % json.dumps(number), "vocabulary", "what stands there is no word")
    texts = [word for word in words.values() if isinstance(word, TEXT)]
    if len(set(texts)) < len(texts):
        found.remark(
            path,
            "ix_to_word",
            "vocabulary",
            "words that stand there more than once: %d" % (len(texts) - len(set(texts))),
        )
    return len(words)


def check_listed(path, told, found, splits):
    """{split: how many pictures} of what the JSON lists."""
    if told is None:
        return {}
    counts = {}  # type: dict[str, int]
    seen = {"id": set(), "file_path": set()}  # type: dict[str, set[object]]
    doubles = {"id": [], "file_path": []}  # type: dict[str, list[int]]
    for row, entry in enumerate(told["images"]):
        place = "images[%d]" % row
        split = entry.get("split") if isinstance(entry, dict) else None
        if not isinstance(split, TEXT):
            found.fault(path, place, "another shape", "it has no split")
            continue
        counts[split] = counts.get(split, 0) + 1
        for field in ("id", "file_path"):
            value = entry.get(field)
            if not isinstance(value, (numbers.Number, TEXT)):
                found.remark(path, place, "another shape", "it has no %s, which eval.lua and the scorer take" % field)
            elif value in seen[field]:
                doubles[field].append(row)
            seen[field].add(value if isinstance(value, (numbers.Number, TEXT)) else None)
    for field in sorted(doubles):
        if doubles[field]:
            words = "the same %s as a picture before it: %s" % (field, some(doubles[field]))
            found.remark(path, "images", "duplicate", words)
    odd = sorted(set(counts) - set(SPLITS))
    if odd:
        found.remark(
            path, "images", "split", "no program reads the split %s" % some([json.dumps(name) for name in odd])
        )
    for split in splits:
        if not counts.get(split):
            found.fault(path, "images", "split", "no picture is of the split %s" % split)
    return counts
