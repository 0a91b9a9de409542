# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Checks a request for preparing data, field by field.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..pictures.files import as_bytes, as_name, shown
from ..programs.processes import cores
from ..host.errors import StackError
from ..host.texts import TEXT
from ..rules.data import MAX_LENGTH, SHARES, WORD_COUNT_THRESHOLD, WORDS

TEXTS = {"images_root": "", "split_column": "", "file_column": "", "caption_column": "", "karpathy_split": "",
         "tokens": WORDS}  # fmt: skip
NUMBERS = {
    "num_val": None,
    "num_test": None,
    "max_length": MAX_LENGTH,
    "word_count_threshold": WORD_COUNT_THRESHOLD,
    "jobs": 0,
    "block": 0,
}
PATHS = ("output_json", "output_h5", "karpathy_split", "images_root")
"""The fields, beside input_json, that name a file or a folder."""
MOST_JOBS = 256
MOST_BLOCK = 4096


def checked(request):
    """The request with all its fields, of the right types, its paths as this Python opens them."""
    options = dict((name, request.get(name) or usual) for name, usual in TEXTS.items())
    options["input_json"] = request.get("input_json")
    if not isinstance(options["input_json"], list) or not options["input_json"]:
        raise StackError("input_json is %r; it has to be a list of captions files" % (options["input_json"],))
    for name in ("output_json", "output_h5"):
        options[name] = request.get(name)
        if not options[name]:
            raise StackError("%s is missing: it names the file that is to be written" % name)
    paths = [("input_json", path) for path in options["input_json"]]
    for name, value in paths + [(name, options[name]) for name in list(TEXTS) + ["output_json", "output_h5"]]:
        if not isinstance(value, (str, TEXT)) or "\0" in value:
            raise StackError("%s is %r; it has to be a text without a NUL" % (name, value))
    for name, usual in NUMBERS.items():
        value = request.get(name)
        options[name] = usual if value is None else value
        if options[name] is not None and (isinstance(options[name], bool) or not isinstance(options[name], int)):
            raise StackError("%s is %r; it has to be a whole number" % (name, options[name]))
    for name in SHARES:
        options[name] = request.get(name)
    options["set_aside"] = bool(request.get("set_aside"))
    jobs, block = int(options["jobs"]), int(options["block"])
    if not 0 <= jobs <= MOST_JOBS:
        raise StackError("jobs is %d; it has to be from 1 to %d, or 0 for all cores" % (jobs, MOST_JOBS))
    if not 0 <= block <= MOST_BLOCK:
        raise StackError("block is %d; it has to be from 1 to %d, or 0" % (block, MOST_BLOCK))
    options["jobs"] = options["jobs"] or cores()
    for name in PATHS:
        options[name] = as_name(as_bytes(options[name]))
        if options[name] and name != "images_root":
            options[name] = os.path.abspath(options[name])
    options["input_json"] = [os.path.abspath(as_name(as_bytes(path))) for path in options["input_json"]]
    if options["images_root"] and not os.path.isdir(options["images_root"]):
        raise StackError("images_root is %s, and there is no such folder" % shown(options["images_root"]))
    return options


def lasting(options):
    """Return the fields that make two requests different, for JSON."""
    fields = dict((key, value) for key, value in options.items() if key not in ("jobs", "block"))
    for name in PATHS:
        fields[name] = shown(fields[name])
    return dict(fields, input_json=[shown(path) for path in fields["input_json"]])
