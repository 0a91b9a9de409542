# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Writes everything of a data set except the pixels: the JSON, the annotations, and the HDF5 without pictures.

This needs memory in proportion to the captions, so a separate process does it and ends before pictures are read. Its
results are a plan, and the paths of the pictures in a file, block by block.

Runs under Python 2.7 and 3. Needs Pillow, numpy and h5py.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import stat

from ..captions import encoding
from . import h5
from ..pictures import pixels
from ..captions import sources
from .outputs import refuse_full
from ..pictures.files import as_bytes, shown, unescaped
from ..programs.processes import write_all
from ..host.errors import StackError
from ..host.files import naming, remove, write_whole
from ..host.texts import PY2, as_text

MOST_BLOCK = 128
LEAST_BLOCK = 8
SHARES = 32
"""Blocks per process, at least, so that all processes end at about the same time."""
PARTS = (
    ("captions", "the captions or the options are different"),
    ("pictures", "the list of pictures is different"),
    ("pillow", "Pillow has another version"),
    ("engine", "another version of this command wrote it"),
)
"""(key of the plan that must be unchanged to continue, the message if it has changed)."""


def stage(options, outputs, excluded, known, spool):
    """Lay the data set out and write all but its pictures; what a Reading needs, as a dict.

    options: the checked request; excluded: paths (bytes, as latin-1) of pictures that are left out; known: the plan of
    the journal, None without; spool: the handle of a file that gets a line of JSON for each block, its paths.

    {plan, why: "" where the plan known is the same and its file is there, statistics, files: {path: {bytes, sha256}}}
    """
    entries = sources.read(
        options["input_json"], karpathy_split=options["karpathy_split"], split_column=options["split_column"],
        file_column=options["file_column"], caption_column=options["caption_column"],
    )  # fmt: skip
    if excluded:
        entries = [entry for entry in entries if key_of(options, entry) not in excluded]
    captions = encoding.lay_out(entries, options)
    del entries
    paths = [key_of(options, picture) for picture in captions.pictures]
    text = captions.json_text()
    plan = plan_of(captions, text, paths)
    why = why_anew(plan, known, outputs.part)
    plan["block"] = options["block"] or (not why and known["block"]) or block_of(len(paths), options["jobs"])
    if not why and plan["block"] != known["block"]:
        why = "its pictures were read in blocks of another size"
    with naming(os.path.dirname(outputs.part)):  # the spool has no name
        spell(spool, paths, plan["block"])
    annotations = json.dumps(captions.annotations(), sort_keys=True)
    texts = {outputs.json_part: text, outputs.annotations_part: annotations}
    wanted = dict((part, len(text)) for part, text in texts.items())
    refuse_full(dict(wanted, **{outputs.part: h5.size_of(captions, len(paths))}))
    finals = dict(zip(outputs.parts(), outputs.finals))
    files = dict((shown(finals[part]), write(part, text)) for part, text in texts.items())
    if why:
        remove(outputs.part)
        plan["place"] = h5.create(outputs.part, captions, len(paths))
        plan.update(identity(outputs.part))
    else:
        plan = known
    return {"plan": plan, "why": why, "files": files, "statistics": captions.statistics}


def key_of(options, entry):
    """The path of an entry's picture, as bytes written as latin-1. Names that `shown` escaped are found too."""
    path = os.path.join(as_bytes(options["images_root"]), as_bytes(entry["file_path"]))
    if b"\\" in path and b"\0" not in path and not os.path.lexists(path):
        escaped = os.path.join(as_bytes(options["images_root"]), as_bytes(unescaped(entry["file_path"])))
        if b"\0" not in escaped and os.path.lexists(escaped):
            path = escaped
    return path.decode("latin-1")


def plan_of(captions, text, paths):
    """Return the digests and numbers that determine every byte of the HDF5."""
    import PIL

    words = hashlib.sha256(text.encode("utf-8"))
    for numbers in captions.arrays:
        words.update(("%d " % len(numbers)).encode("ascii"))
        words.update(numbers.tostring() if PY2 else memoryview(numbers))
    names = hashlib.sha256("\0".join(paths).encode("latin-1"))
    return {
        "captions": words.hexdigest(), "pictures": names.hexdigest(), "rows": len(paths),
        "pillow": PIL.__version__, "engine": pixels.VERSION,
    }  # fmt: skip


def why_anew(plan, known, part):
    """Return the reason why earlier work cannot be continued, or "" if it can."""
    if not known:
        return "no work was started"
    for key, words in PARTS:
        if plan[key] != known.get(key):
            return words
    try:
        same = identity(part)
    except OSError:
        return "%s is missing" % shown(part)
    if any(same[key] != known.get(key) for key in same) or not isinstance(known.get("place"), int):
        return "%s is another file" % shown(part)
    return "" if isinstance(known.get("block"), int) and known["block"] > 0 else "its journal is damaged"


def identity(part):
    """Return the inode and size of a file, which distinguish it from another file of the same name."""
    status = os.lstat(part)
    return {"inode": status.st_ino if stat.S_ISREG(status.st_mode) else 0, "size": status.st_size}


def block_of(rows, jobs):
    """Return the number of pictures in a block."""
    return max(LEAST_BLOCK, min(MOST_BLOCK, rows // (jobs * SHARES)))


def spell(spool, paths, block):
    """Write the paths, a line for each block."""
    os.ftruncate(spool, 0)
    os.lseek(spool, 0, os.SEEK_SET)
    for first in range(0, len(paths), block):
        write_all(spool, as_text(json.dumps(paths[first : first + block])).encode("ascii") + b"\n")


def write(path, text):
    """Write a text as a whole and durably; {bytes, sha256}."""
    data = as_text(text).encode("utf-8")
    try:
        write_whole(path, text)
    except (IOError, OSError) as error:
        raise StackError("%s cannot be written: %s" % (shown(path), error.strerror))
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
