# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Texts on a host, which Python 2.7 hands out as bytes, and URLs without their passwords.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

PY2 = sys.version_info[0] == 2
"""Whether this is Python 2, whose str is bytes. mypy knows this name, and does not look at what only Python 2 runs."""
TEXT = type(b"".decode("utf-8"))
"""What JSON gives for text; a literal would be bytes under Python 2.7, and the formatter takes its u away."""


def as_text(value):
    """A text, also where Python 2.7 hands out bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def as_native(value):
    """What JSON gave, with its texts as this Python hands them to programs: bytes in UTF-8 for 2.7."""
    if not PY2:
        return value
    if isinstance(value, dict):
        return dict((as_native(key), as_native(entry)) for key, entry in value.items())
    if isinstance(value, list):
        return [as_native(entry) for entry in value]
    if isinstance(value, TEXT):
        return value.encode("utf-8")
    return value
