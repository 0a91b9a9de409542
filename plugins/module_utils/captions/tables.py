# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads captions from tables (CSV, TSV, with semicolons or bars) and from the lists of Flickr8k and Flickr30k.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import csv
import io
import re

from ..pictures.files import printed
from ..host.errors import StackError
from ..host.texts import PY2, as_native, as_text

DELIMITERS = ("\t", ",", ";", "|")
_FLICKR = re.compile(r"([^\t\n]+)#[0-9]+\t(.*)")


def rows(path, text, fits, wanted):
    """Return an iterator of (place, {column: cell} or the text of a problem) for each row below the header.

    The delimiter is the first one for which `fits(columns of the header)` is true, that is, no needed column is
    missing. StackError if there is none; `wanted` is the part of its message that says which columns are needed.
    """
    if fits(["file", "caption"]) and _FLICKR.match(text):
        return _flickr(text)
    for delimiter in DELIMITERS:
        lines = _cells(path, text, delimiter)
        header = [cell.strip() for cell in next(lines, ("", [], ""))[1]]
        if fits(header):
            return _rows(lines, header)
    first = text.split("\n", 1)[0].strip()
    raise StackError(
        "%s, line 1: it has to contain the names of the columns, with %s; it is: %s. Add such a line, or name the "
        "columns with --file-column, --caption-column and --split-column"
        % (printed(path), wanted, printed(first[:200]))
    )


def _rows(lines, header):
    """Yield the rows as `rows` returns them."""
    twice = [name for name, count in collections.Counter(header).items() if name and count > 1]
    for place, cells, problem in lines:
        if problem or twice:
            yield place, problem or "the column %s occurs twice" % printed(twice[0][:40])
        elif len(cells) != len(header):
            message = "it has %d cell(s), and the header has %d; a cell that contains the delimiter has to be in quotes"
            yield place, message % (len(cells), len(header))
        else:
            yield place, dict(zip(header, cells))


def _cells(path, text, delimiter):
    """Yield (place, cells, "") for each row that is not empty, and (place, [], problem) where reading has to end."""
    native = as_native(text)
    source = native.splitlines(True) if PY2 else io.StringIO(native, newline="")
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = (
                "the table cannot be read from here on (%s): a quote within a cell has to be written twice, and a "
            )
            yield "line %d" % line, [], (message + "cell that begins with a quote has to end with one") % error
            return
        if cells:
            yield "line %d" % line, [as_text(cell) for cell in cells], ""
        line = reader.line_num + 1


def _flickr(text):
    """Yield the rows of a list with lines `name.jpg#0<TAB>caption`, which has neither a header nor quotes."""
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        match = _FLICKR.match(line)
        if match:
            yield "line %d" % number, {"file": match.group(1), "caption": match.group(2).strip()}
        elif line.strip():
            yield "line %d" % number, "it is not `file#number`, a tab and a caption, like line 1"
