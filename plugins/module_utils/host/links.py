# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The link to the current generation, which another host that shares the disk may have renamed a moment ago.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import time

from .errors import StackError
from ..rules import clock

PATIENCE = 75.0
"""Seconds. NFS keeps the attributes of a directory for at most 60 s by default (acdirmax)."""


def await_link(link, wanted):
    """Wait until a link leads to the generation with that id. StackError if it does not within PATIENCE seconds."""
    deadline = clock.seconds() + PATIENCE
    while os.path.basename(os.path.realpath(link)) != wanted or not os.path.isdir(link):
        if clock.seconds() > deadline:
            found = "is %s" % os.readlink(link) if os.path.islink(link) else "does not exist"
            raise StackError(
                "%s %s on this host, not generation %s: its directory is not the one in which that generation was made "
                "current. Name this host alone (--limit) to build on it" % (link, found, wanted),
                checks=[], generation=os.path.realpath(link),
            )  # fmt: skip
        time.sleep(1)
        if os.path.isdir(os.path.dirname(link)):
            os.listdir(os.path.dirname(link))  # NFS then asks the server whether the directory has changed
