# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Asks a server of pieces how many it has. So a host also shows that it has the key, and that it still needs the file.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..rules import clock, pieces
from .connection import SILENT, Connection, LostError


def state(server, client, key, seconds):
    """How many pieces a server (pieces.Server) has, as pieces.Had.

    None if it does not answer in so many seconds, or not as expected. `client` is the number of who asks.
    """
    end = clock.seconds() + seconds

    def limit():
        left = end - clock.seconds()
        if left <= 0:
            raise LostError(SILENT)
        return left

    try:
        with Connection(server, client, key, pieces.STATE, limit) as connection:
            return connection.state()
    except LostError:
        return None
