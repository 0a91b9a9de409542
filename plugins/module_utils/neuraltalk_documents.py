# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of captions as users bring them: opened without harm, as text, as JSON, with all their problems at once.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import codecs
import json
import os
import re
import stat

from ansible.module_utils.neuraltalk_stack import StackError, as_text

MOST = 2 << 30
"""Bytes of a captions file; all of COCO has 0.1 GiB."""
TOLD = 20
"""How many problems are named; of the others there is the number."""
LARGEST_ID = 10**14
"""Where whole numbers begin that Lua's JSON, which writes 14 digits, does not write as they are."""
_LONE = re.compile(json.loads('"[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]"'))


class Problems:
    """What is wrong in one file, collected, so that a user learns all of it at once."""

    def __init__(self, path):
        self.path = path
        self.count = 0
        self.told = []

    def add(self, place, words):
        """Note what is wrong at a place (`line 3`, `entry 7`, or nothing)."""
        self.count += 1
        if self.count <= TOLD:
            self.told.append(as_text("%s: %s") % (place, words) if place else words)

    def end(self):
        """Raise a StackError that names them, where there are any."""
        if not self.count:
            return
        if self.count == 1:
            raise StackError("%s, %s" % (self.path, self.told[0]))
        more = ["and %d more" % (self.count - TOLD)] if self.count > TOLD else []
        raise StackError("%s has %d problems:\n  %s" % (self.path, self.count, "\n  ".join(self.told + more)))


def read(path):
    """The text of a file in UTF-8, its byte order mark taken away. StackError where it has none."""
    content = _content(path)
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if content.startswith(mark):
            raise StackError("%s is text in UTF-16: %s" % (path, _cure("UTF-16")))
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StackError(
            "%s, line %d: byte %d of the file is no UTF-8, so its letters cannot be known: %s"
            % (path, line, error.start + 1, _cure("GB18030"))
        )


def _cure(encoding):
    return "convert it with `iconv -f %s -t UTF-8 OLD > NEW` (-f names the encoding it has: `iconv -l`)" % encoding


def _content(path):
    """All bytes of an ordinary file; nobody waits for a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, TypeError, ValueError) as error:
        raise StackError("%s cannot be opened: %s" % (path, getattr(error, "strerror", None) or error))
    with os.fdopen(handle, "rb") as file:
        kind = os.fstat(file.fileno())
        if not stat.S_ISREG(kind.st_mode):
            raise StackError("%s is a directory, a pipe or a device and no file with captions" % path)
        if kind.st_size <= MOST:
            content = file.read(MOST + 1)
            if len(content) <= MOST:
                return content
    raise StackError("%s is larger than %d bytes, which is no file of captions" % (path, MOST))


def parse(path, text, pairs=None):
    """What a JSON text says. StackError with line and column where it is none; `pairs` as json's object_pairs_hook."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except ValueError as error:
        raise StackError("%s is not JSON: %s" % (path, error))
    except RuntimeError:
        raise StackError("%s has lists or objects too deep in each other for a file of captions" % path)
    except MemoryError:
        raise StackError("%s takes more memory than this machine has" % path)
