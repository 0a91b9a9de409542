# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Opens captions files of users safely, reads them as text and as JSON, and reports all their problems at once.

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
from ..host.texts import text_of

MOST = 2 << 30
"""Maximum size of a captions file in bytes; the captions of COCO have 0.1 GiB."""
MOST_NAMED = 20
"""Maximum number of problems that are named; of the others only the number is given."""
# Files that users give instead of a captions file, by their first bytes, and what to do.
_OTHERS = (
    (b"\x1f\x8b", "is compressed: unpack it with gunzip"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV in UTF-8"),
    (b"\x89HDF", "is an HDF5 file, which contains no captions as text: give the captions file it was made from"),
    (codecs.BOM_UTF16_LE, "is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8 OLD > NEW`"),
    (codecs.BOM_UTF16_BE, "is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8 OLD > NEW`"),
)


class Problems(object):
    """Collects the problems in the files of one source, so that they are reported together."""

    def __init__(self, paths):
        self.source = " and ".join(printed(path) for path in paths)
        self.count = 0
        self.first = []

    def add(self, place, message):
        """Add a problem at a place (`line 3`, `entry 7`)."""
        self.count += 1
        if self.count <= MOST_NAMED:
            self.first.append("%s: %s" % (place, message))

    def end(self):
        """Raise a StackError that names the problems, if there are any."""
        if self.count == 1:
            raise StackError("%s, %s" % (self.source, self.first[0]))
        if self.count:
            more = ["and %d more" % (self.count - MOST_NAMED)] if self.count > MOST_NAMED else []
            raise StackError("%s: %d problems:\n  %s" % (self.source, self.count, "\n  ".join(self.first + more)))


def read(path):
    """Return the text of a file in UTF-8, without its byte order mark. StackError if it is not text in UTF-8."""
    content = _content(path)
    for start, message in _OTHERS:
        if content.startswith(start):
            raise StackError("%s %s" % (printed(path), message))
    nul = content.find(b"\0")
    if nul >= 0:
        raise StackError("%s is not text: byte %d of it is 0" % (printed(path), nul + 1))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start + (len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0)
        raise StackError(
            "%s, line %d: byte %d of the file is not UTF-8, so its letters cannot be determined. Convert it with "
            "`iconv -f ENCODING -t UTF-8 OLD > NEW`, where ENCODING is what it was written in, often WINDOWS-1252 or "
            "GB18030" % (printed(path), content.count(b"\n", 0, place) + 1, place + 1)
        )
    if not text.strip():
        raise StackError("%s is empty" % printed(path))
    return text


def _content(path):
    """Return all bytes of an ordinary file. Pipes are not opened, because they would block."""
    try:
        with opened(path) as file:
            # Check the size first, so that a huge file is not read, and memory is reserved only for what there is.
            size = os.fstat(file.fileno()).st_size
            content = file.read(size) if size <= MOST else None
    except Unusable as error:
        raise StackError("%s cannot be used as a captions file: %s" % (printed(path), text_of(error)))
    except (IOError, OSError) as error:
        raise StackError("%s cannot be read: %s" % (printed(path), error.strerror))
    except MemoryError:
        raise StackError("%s does not fit into the memory of this machine" % printed(path))
    if content is None:
        raise StackError("%s has more than %d bytes, which is too much for captions" % (printed(path), MOST))
    return content


def parse(path, text, pairs=None):
    """Return the value of a JSON text. StackError with line and column if it is invalid. `pairs`: object_pairs_hook."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except ValueError as error:
        raise StackError("%s is not JSON: %s" % (printed(path), error))
    except RuntimeError:
        raise StackError("%s has lists or objects that are nested too deeply for captions" % printed(path))
    except MemoryError:
        raise StackError("%s takes more memory than this machine has" % printed(path))
