# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Files of captions as users bring them: opened without harm, as text, as JSON, with all their problems at once.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import codecs
import json
import os

from ..pictures.files import opened, printed
from ..pictures.headers import Unusable
from ..host.errors import StackError

MOST = 2 << 30
"""Bytes of a captions file; all of COCO has 0.1 GiB."""
TOLD = 20
"""How many problems are named; of the others there is the number."""
# What people take for a captions file, by its first bytes, and what they can do.
_OTHERS = (
    (b"\x1f\x8b", "is compressed: unpack it with gunzip"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV in UTF-8"),
    (b"\x89HDF", "is an HDF5 file, which holds no captions in words: give the captions that it was made of"),
    (codecs.BOM_UTF16_LE, "is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8 OLD > NEW`"),
    (codecs.BOM_UTF16_BE, "is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8 OLD > NEW`"),
)


class Problems(object):
    """What is wrong in the files of one source, collected, so that a user learns all of it at once."""

    def __init__(self, paths):
        self.source = " and ".join(printed(path) for path in paths)
        self.count = 0
        self.told = []

    def add(self, place, words):
        """Note what is wrong at a place (`line 3`, `entry 7`)."""
        self.count += 1
        if self.count <= TOLD:
            self.told.append("%s: %s" % (place, words))

    def end(self):
        """Raise a StackError that names them, where there are any."""
        if self.count == 1:
            raise StackError("%s, %s" % (self.source, self.told[0]))
        if self.count:
            more = ["and %d more" % (self.count - TOLD)] if self.count > TOLD else []
            raise StackError("%s: %d problems:\n  %s" % (self.source, self.count, "\n  ".join(self.told + more)))


def read(path):
    """The text of a file in UTF-8, its byte order mark taken away. StackError where it has none."""
    content = _content(path)
    for start, words in _OTHERS:
        if content.startswith(start):
            raise StackError("%s %s" % (printed(path), words))
    nul = content.find(b"\0")
    if nul >= 0:
        raise StackError("%s is no text: byte %d of it is 0" % (printed(path), nul + 1))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start + (len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0)
        raise StackError(
            "%s, line %d: byte %d of the file is no UTF-8, so its letters cannot be known. Convert it with "
            "`iconv -f ENCODING -t UTF-8 OLD > NEW`, where ENCODING is what it was written in, often WINDOWS-1252 or "
            "GB18030" % (printed(path), content.count(b"\n", 0, place) + 1, place + 1)
        )
    if not text.strip():
        raise StackError("%s is empty" % printed(path))
    return text


def _content(path):
    """All bytes of an ordinary file; nobody waits for a pipe."""
    try:
        with opened(path) as file:
            # The size first: nobody reads a disk's image to learn that it is too large.
            content = file.read(MOST + 1) if os.fstat(file.fileno()).st_size <= MOST else None
    except Unusable as error:
        raise StackError("%s cannot be used as a captions file: %s" % (printed(path), error))
    except (IOError, OSError) as error:
        raise StackError("%s cannot be read: %s" % (printed(path), error.strerror))
    except MemoryError:
        raise StackError("%s has no room in the memory of this machine" % printed(path))
    if content is None or len(content) > MOST:
        raise StackError("%s has more than %d bytes, which is too much for captions" % (printed(path), MOST))
    return content


def parse(path, text, pairs=None):
    """What a JSON text says. StackError with line and column where it is none; `pairs` as json's object_pairs_hook."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except ValueError as error:
        raise StackError("%s is not JSON: %s" % (printed(path), error))
    except RuntimeError:
        raise StackError("%s has lists or objects too deep in each other for captions" % printed(path))
    except MemoryError:
        raise StackError("%s takes more memory than this machine has" % printed(path))
