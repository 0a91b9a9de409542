# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads the archive of an artifact on a host, by the same rule as the mirror (rules/archives.py).

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import io

from ..rules.archive_formats import ArchiveError
from ..rules.archives import entries as read
from .errors import StackError

BLOCK = 1 << 20
"""How many bytes of a member are written at once."""


def entries(path, strip):
    """The members of an archive, with `strip` leading directories removed from their names. Use it in `refusing`."""
    with io.open(path, "rb") as file:
        for entry in read(file, strip):
            yield entry


@contextlib.contextmanager
def refusing(path):
    """Convert the refusal of the archive, while its members or their contents are read, to a StackError."""
    try:
        yield
    except ArchiveError as error:
        raise StackError(error.of(path))
