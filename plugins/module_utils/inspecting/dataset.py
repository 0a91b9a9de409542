# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Checks that an HDF5 file and its JSON file are valid for train.lua: all words, numbers and sizes in them.

main() is a separate program, for the Python that has the stack's h5py. Runs under Python 2.7 and 3; numpy and h5py are
imported where they are used.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os
import re

from .dataset_json import check_listed, check_words, read_json
from .found import MOST_NAMED, Found, Rows

SETS = ("images", "labels", "label_start_ix", "label_end_ix", "label_length")
SIDE = (3, 256, 256)
"""The shape of a picture. train.lua copies each picture into a tensor of this shape."""
BLOCK = 1 << 22
"""Maximum number of values that are in memory at once."""
MOST_CAPTIONS = 20000000
MOST_WORDS = 10000
"""With more captions in a file, or more words in a caption, its shape is reported as damaged."""
DAMAGE = (EnvironmentError, RuntimeError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError,
          MemoryError, SystemError)  # fmt: skip
"""The exceptions that h5py raises for damaged files."""
NO_HDF5 = "signature not found"
CUT = re.compile(r"truncated file: eof = (\d+).*stored_eof = (\d+)")
LEFT_OPEN = "consistency flag", "already open for write", "h5clear"
DAMAGED = "bad object header", "bad symbol table", "bad B-tree", "wrong B-tree", "bad local heap", "bad global heap"
LOCKED = "unable to lock", "lock file", "Resource temporarily unavailable"


def check(h5, json_file, found, splits=()):
    """Return {pictures, captions, words, splits, listed} of a data set. Problems go to `found`. No pixel is read.

    `splits` are the splits that must have pictures. If `json_file` is empty, only the HDF5 file is checked. `listed`
    is the list of pictures in the JSON.
    """
    listed = read_json(json_file, found) if json_file else None
    words = check_words(json_file, listed, found) if json_file else None
    by_split = check_listed(json_file, listed, found, splits) if json_file else {}
    try:
        sizes = check_h5(h5, found, words, json_file)
    except DAMAGE as error:
        found.fault(h5, "", "unreadable", in_words(h5, error))
        sizes = {}
    if listed and sizes.get("pictures") is not None and sizes["pictures"] != len(listed["images"]):
        reason = "it contains %d pictures, but %s lists %d"
        found.fault(h5, "/images", "misfit", reason % (sizes["pictures"], json_file, len(listed["images"])))
    return dict(sizes, words=words, splits=by_split, listed=listed["images"] if listed else [])


def in_words(path, error):
    """Return the message for an error of h5py. Some versions of HDF5 report little more than a number."""
    message = " ".join(str(error).split()) or type(error).__name__
    cut = CUT.search(message)
    if cut:
        return (
            "it is truncated: it has %s bytes and should have %s. The copy is incomplete, or the file was not closed"
            % cut.groups()
        )
    if any(part in message for part in LEFT_OPEN):
        return (
            "it was not closed by the program that wrote it, which was interrupted or is still writing (%s)" % message
        )
    if any(part in message for part in LOCKED):
        return "another program has it open for writing (%s)" % message
    if NO_HDF5 in message:
        if not os.path.getsize(path):
            return "it is empty"
        with io.open(path, "rb") as file:
            zero = not file.read(4096).strip(b"\0")
        return "it is not an HDF5 file" + (
            ": its start is all zero, probably because a program was interrupted while it wrote" if zero else ""
        )
    if any(part in message for part in DAMAGED):
        return "it is damaged, probably because its program was interrupted while it wrote (%s)" % message
    return "it cannot be read: %s" % message


def check_h5(path, found, words, json_file):
    """Return {pictures, captions, length}, the sizes in an HDF5 file. All its numbers are checked, block by block."""
    import h5py

    with h5py.File(path, "r") as file:
        lacks = [name for name in SETS if not isinstance(file.get(name), h5py.Dataset)]
        if lacks:
            found.fault(path, "", "lacks", "it lacks %s: it is not what prepro.py writes" % ", ".join(lacks))
        sets = dict((name, file[name]) for name in SETS if name not in lacks)
        if not check_shapes(path, sets, found):
            return {}
        sizes = {}
        if "images" in sets:
            sizes["pictures"] = int(sets["images"].shape[0])
        if "labels" in sets:
            sizes["captions"], sizes["length"] = map(int, sets["labels"].shape)
            check_labels(path, sets["labels"], sets.get("label_length"), found, words, json_file)
            if not [name for name in ("label_start_ix", "label_end_ix") if name in lacks]:
                check_places(path, sets["label_start_ix"][...], sets["label_end_ix"][...], sizes["captions"], found)
        return sizes


def check_shapes(path, sets, found):
    """Return whether all datasets have valid shapes and types, which the other checks require."""
    valid = True
    for name in sorted(sets):
        shape, kind = sets[name].shape, sets[name].dtype
        wanted = {"images": 4, "labels": 2}.get(name, 1)
        if shape is None or len(shape) != wanted:
            reason = "it has the shape %s, not %d dimensions" % (shape, wanted)
        elif name == "images" and shape[1:] != SIDE:
            reason = "it has the shape %s, not (N, 3, 256, 256)" % (shape,)
        elif (kind != "uint8") if name == "images" else (kind.kind not in "iu"):
            reason = "it has the type %s, not %s" % (kind, "uint8" if name == "images" else "uint32")
        elif shape[0] > MOST_CAPTIONS or (name == "labels" and not 0 < shape[1] <= MOST_WORDS):
            reason = "it has the shape %s, which is not possible for a data set" % (shape,)
        elif not shape[0]:
            reason = "it is empty"
        else:
            continue
        found.fault(path, "/" + name, "another shape", reason)
        valid = False
    for one, other in (("images", "label_start_ix"), ("images", "label_end_ix"), ("labels", "label_length")):
        if valid and one in sets and other in sets and sets[one].shape[0] != sets[other].shape[0]:
            reason = "it has %d rows, but /%s has %d" % (sets[other].shape[0], one, sets[one].shape[0])
            found.fault(path, "/" + other, "another shape", reason)
            valid = False
    return valid


def check_labels(path, labels, lengths, found, words, json_file):
    """Check the captions, block by block: label_length numbers of words in the vocabulary, then zeros."""
    import numpy

    faults, most = Rows(), 0
    step = max(1, BLOCK // labels.shape[1])
    for start in range(0, labels.shape[0], step):
        block = labels[start : start + step]
        if block.dtype.kind == "i":
            faults.add("no word", start, numpy.nonzero((block < 0).any(axis=1))[0])
        most = max(most, int(block.max()))
        filled = block != 0
        count = filled.sum(axis=1)
        faults.add("empty", start, numpy.nonzero(count == 0)[0])
        faults.add("gap", start, numpy.nonzero((filled[:, 1:] & ~filled[:, :-1]).any(axis=1))[0])
        if words is not None:
            faults.add("vocabulary", start, numpy.nonzero((block > words).any(axis=1))[0])
        if lengths is not None:
            stored = lengths[start : start + step]
            faults.add("length", start, numpy.nonzero(stored != count)[0])
    if words is not None and most > words:
        reason = "it has a label %d, but %s has %d words (%s)" % (most, json_file, words, faults.named("vocabulary"))
        found.fault(path, "/labels", "out of the vocabulary", reason)
    for kind, place, fault, reason in (
        ("no word", "/labels", "out of the vocabulary", "a label is below 0 (%s)"),
        ("empty", "/labels", "no words", "a caption has no words (%s)"),
        ("gap", "/labels", "zero inside", "a caption has a zero before one of its words, so it ends there (%s)"),
        ("length", "/label_length", "length", "it is not the number of words in /labels (%s)"),
    ):
        if faults.count(kind):
            found.fault(path, place, fault, reason % faults.named(kind))


def check_places(path, starts, ends, captions, found):
    """Check the first and last caption (from 1, inclusive) of each picture, and that each caption has one picture."""
    import numpy

    starts, ends = starts.astype("int64"), ends.astype("int64")
    faults = Rows()
    faults.add("outside", 0, numpy.nonzero((starts < 1) | (ends > captions))[0])
    faults.add("none", 0, numpy.nonzero(ends < starts)[0])
    if faults.count("outside"):
        hint = ": the numbers must start at 1, not at 0" if int(starts.min()) == 0 else ""
        reason = "the captions of a picture are outside of 1 to %d (%s)%s" % (captions, faults.named("outside"), hint)
        found.fault(path, "/label_start_ix", "places", reason)
    if faults.count("none"):
        reason = "a picture has no caption: its last one is before its first one (%s)" % faults.named("none")
        found.fault(path, "/label_end_ix", "places", reason)
    if faults.count("outside") or faults.count("none"):
        return
    opened, closed = (numpy.bincount(places, minlength=captions + 2) for places in (starts, ends + 1))
    times = numpy.cumsum(opened - closed)[1 : captions + 1]
    for kind, rows, reason in (
        ("left", numpy.nonzero(times == 0)[0], "captions that belong to no picture and are never read (%s)"),
        ("twice", numpy.nonzero(times > 1)[0], "captions that belong to more than one picture (%s)"),
    ):
        faults.add(kind, 0, rows)
        if faults.count(kind):
            found.remark(path, "/label_start_ix", "places", reason % faults.named(kind))


def check_pixels(path, found, step=lambda done, total: None):
    """Return the number of pictures that are all zero, like those that an interrupted program did not write."""
    import h5py
    import numpy

    faults, last = Rows(), -1
    with h5py.File(path, "r") as file:
        images = file["images"]
        total, size = images.shape[0], max(1, 4 * BLOCK // (SIDE[0] * SIDE[1] * SIDE[2]))
        for start in range(0, total, size):
            step(start, total)
            filled = images[start : start + size].any(axis=(1, 2, 3))
            faults.add("zero", start, numpy.nonzero(~filled)[0])
            if filled.any():
                last = start + int(numpy.nonzero(filled)[0][-1])
    if faults.count("zero"):
        reason = "pictures are completely black, like those that were never written (%s)" % faults.named("zero")
        if total - 1 - last:
            reason += ": the last %d of %d, so the program that wrote it was interrupted" % (total - 1 - last, total)
        found.fault(path, "/images", "never written", reason)
    return faults.count("zero")


def main(args):
    """Check `FILE.h5 FILE.json [SPLIT ...]`; print `misfit JSON` for each of the first faults, or a line `fits`."""
    try:
        import h5py  # noqa: F401
    except ImportError:  # this is not the Python for which it was installed
        print("fits: not checked")
        return
    found = Found()
    sizes = check(args[0], args[1], found, args[2:])
    for entry in found.faults[:MOST_NAMED]:
        print("misfit %s" % json.dumps(entry))
    if not found.faults:
        print("fits %s pictures, %s words" % (sizes.get("pictures"), sizes.get("words")))
