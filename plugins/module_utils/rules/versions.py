# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Versions of OS packages and programs, and ranges of versions. Pure.

Read by modules on hosts and by the controller. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

RANGE = r"(>=|<)\d{1,9}(\.\d{1,9}){0,3}(,<\d{1,9}(\.\d{1,9}){0,3})?"
"""The form of a range: `>=4`, `<1.8` or `>=4,<4.2`."""
_UPSTREAM = re.compile(r"(?:\d{1,9}:)?(\d{1,9}(?:\.\d{1,9}){0,5})(?!\d)")


def upstream(text):
    # type: (str) -> str
    """The version of the software in that of its OS package: `12.2.0` of `4:12.2.0-3`; empty if there is none."""
    match = _UPSTREAM.match(text)
    return match.group(1) if match else ""


def number(text):
    # type: (str) -> tuple[int, ...]
    """A version as numbers, which can be compared: (1, 14, 5) of `1.14.5`."""
    return tuple(int(part) for part in upstream(text).split(".") if part)


def within(version, bounds):
    # type: (str, str) -> bool
    """Whether a version lies in a range. No version lies in none."""
    found = number(version)
    return bool(found) and all(_holds(found, bound) for bound in bounds.split(","))


def _holds(found, bound):
    # type: (tuple[int, ...], str) -> bool
    wanted = number(bound.lstrip("<>="))
    found += (0,) * (len(wanted) - len(found))  # 14 is 14.0
    return found < wanted if bound.startswith("<") else found >= wanted
