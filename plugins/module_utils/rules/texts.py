# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Removes secrets and colour codes from texts, formats times, and sets the encoding of names of files.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence  # noqa: F401

UTF8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
"""The environment in which Python opens names of files as UTF-8.

Without it, Python uses the encoding of the machine's locale.
Python 3.7 and later read the second variable, and Python 3.6 the first; Python 2.7 does not need them.
"""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are searched: the directories of the distribution and of its administrator."""
HIDDEN = "***"
"""The replacement for a secret."""
USER_OF_URL = re.compile(r"://[^/\s\"'<>]*@")
"""The user and password of a URL, with `://` before and `@` after them."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def moment(seconds):
    # type: (float | None) -> str
    """A time in seconds since 1970 as text, in UTC; any number can stand in a file or in the answer of a host."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds or 0))
    except (OverflowError, ValueError, EnvironmentError):
        return "%s s after 1970" % seconds


def without_users(text):
    # type: (str) -> str
    """The text without the user and password of any URL in it."""
    return USER_OF_URL.sub("://%s@" % HIDDEN, text)


def without_colours(text):
    # type: (str) -> str
    """The text without the escape codes for colours in a terminal."""
    return COLOURS.sub("", text)


def some(texts, most, count=None, joint=", "):
    # type: (Sequence[object], int, int | None, str) -> str
    """The first `most` texts, and how many more there are: of `count`, if not all texts are given."""
    more = (len(texts) if count is None else count) - most
    return joint.join("%s" % (text,) for text in texts[:most]) + (" and %d more" % more if more > 0 else "")
