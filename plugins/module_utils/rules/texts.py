# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Texts for people: what is taken out of them, and how a time is written.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import time

HIDDEN = "***"
"""Stands in the place of a secret."""
USER_OF_URL = re.compile(r"://[^/\s\"'<>]*@")
"""The user and password of a URL, with the marks before and after them."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def moment(seconds):
    # type: (float | None) -> str
    """A time since the epoch, for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds or 0))


def without_users(text):
    # type: (str) -> str
    """The text without the user and password of any URL in it."""
    return USER_OF_URL.sub("://%s@" % HIDDEN, text)


def without_colours(text):
    # type: (str) -> str
    """The text without the codes by which programs colour it in a terminal."""
    return COLOURS.sub("", text)
