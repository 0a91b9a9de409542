# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Asks a server of pieces how many it has. So a host also shows that it has the key, and that it still needs the file.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import socket

from ..rules import clock, pieces


def state(server, client, key, seconds):
    """How many pieces a server (pieces.Server) has; None if it does not answer in so many seconds, or not as expected.

    `client` is the number of who asks.
    """
    try:
        with contextlib.closing(socket.create_connection((server.address, server.port), seconds)) as connection:
            end = clock.seconds() + seconds
            nonce = pieces.nonce_of(_read(connection, pieces.NONCE + 1, end))
            if nonce is None:
                return None
            request = pieces.Request(server.number, client, pieces.STATE)
            connection.sendall(pieces.line(key, nonce, request) + b"\n")
            answer = _read(connection, 1 + pieces.STATE_DIGITS, end)
    except (IOError, OSError, UnicodeError):
        return None
    return int(answer[1:]) if answer[:1] == pieces.PIECE and answer[1:].isdigit() else None


def _read(connection, length, end):
    """So many bytes; fewer if the connection is closed. IOError or OSError if they are not there at the end."""
    found = b""
    while len(found) < length:
        connection.settimeout(max(end - clock.seconds(), 0.001))
        block = connection.recv(length - len(found))
        if not block:
            break
        found += block
    return found
