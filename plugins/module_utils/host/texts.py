# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Conversion of texts, which are bytes in Python 2.7.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

PY2 = sys.version_info[0] == 2
"""Whether this is Python 2, where str is bytes. mypy knows this name, and skips code that only Python 2 runs."""
TEXT = type(b"".decode("utf-8"))
"""The type of text in JSON. A literal would be bytes in Python 2.7, and the formatter removes the prefix u."""


def as_text(value):
    """The value as text; bytes are decoded as UTF-8. Other types are returned unchanged."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def text_of(error):
    """The message of an exception as native `str`. In Python 2.7, str() fails if it contains an accented letter."""
    try:
        return str(error)
    except UnicodeError:
        return as_native(error.args[0]) if isinstance(error.args[0], TEXT) else repr(error)


def for_json(value):
    """A value for JSON: names of files that are not UTF-8 are read as Latin-1, as in manifests.

    Python 3 has such bytes as surrogates, and Ansible refuses a whole result with one of them.
    """
    if isinstance(value, dict):
        return dict((for_json(key), for_json(entry)) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return [for_json(entry) for entry in value]
    if isinstance(value, bytes):
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    elif isinstance(value, TEXT):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return _without_surrogates(value)
    return value


def _without_surrogates(text):
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "replace").decode("utf-8")


def as_native(value):
    """A value from JSON with its strings as `str` of this Python: bytes in UTF-8 for Python 2.7."""
    if not PY2:
        return value
    if isinstance(value, dict):
        return dict((as_native(key), as_native(entry)) for key, entry in value.items())
    if isinstance(value, list):
        return [as_native(entry) for entry in value]
    if isinstance(value, TEXT):
        return value.encode("utf-8")
    return value
