# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A connection to a server of pieces: the only place where a host connects to another one or to the controller.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import socket

from ..rules import piece_server, pieces

BLOCK = 1 << 18
REFUSED, UNREACHABLE, SILENT, CLOSED, STALLED = "refused", "unreachable", "silent", "closed", "stalled"
WRONG, CHANGED, SLOW = "wrong", "changed", "slow"


class LostError(Exception):
    """A server that cannot be used now; `why` is one of the words above."""

    def __init__(self, why):
        super(LostError, self).__init__(why)
        self.why = why


class Connection(object):
    """A connection to a server (pieces.Server), of which the client of that number asks `first` (see pieces.LIST).

    `limit()` is called before each step, and returns the seconds that it may take. All errors of the network, and of an
    address that is none, are LostError.
    """

    def __init__(self, server, client, key, first, limit):
        self.key, self.limit = key, limit
        try:
            self.socket = socket.create_connection((server.address, server.port), limit())
        except (IOError, OSError, ValueError) as error:  # an address that is none is a UnicodeError, a ValueError
            is_refused = getattr(error, "errno", None) == errno.ECONNREFUSED
            raise LostError(REFUSED if is_refused else UNREACHABLE)
        try:
            nonce = pieces.nonce_of(self._read(pieces.NONCE + 1))
            if nonce is None:
                raise LostError(WRONG)
            self.nonces = (nonce, piece_server.new_nonce())
            self.send(pieces.line(key, self.nonces, pieces.Request(server.number, client, first)) + b"\n")
        except Exception:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_details):
        self.socket.close()

    def send(self, content):
        """Send bytes."""
        try:
            self.socket.settimeout(self.limit())
            self.socket.sendall(content)
        except (IOError, OSError):
            raise LostError(CLOSED)

    def answer(self, length):
        """The next answer of that many bytes, after as many WAITING as the server sends."""
        while True:
            kind = self._read(1)
            if kind == pieces.PIECE:
                return self._read(length)
            if kind == pieces.CHANGED:
                self._proven(kind, 0)
                raise LostError(CHANGED)
            if kind != pieces.WAITING:
                raise LostError(WRONG)

    def state(self):
        """How many pieces the server has (pieces.Had), if that was asked."""
        return pieces.state_of(self._proven(self._read(1), pieces.STATE_DIGITS))

    def _proven(self, kind, length):
        """So many bytes that the server says about itself. LostError if it does not prove that it knows the key."""
        content = self._read(length + pieces.PROOF)
        if not pieces.is_proven(self.key, self.nonces, kind + content):
            raise LostError(WRONG)
        return content[:length]

    def _read(self, length):
        found = []
        while length > 0:
            self.socket.settimeout(self.limit())
            try:
                block = self.socket.recv(min(length, BLOCK))
            except socket.timeout:
                raise LostError(SILENT)
            except (IOError, OSError):
                raise LostError(CLOSED)
            if not block:
                raise LostError(CLOSED)
            found.append(block)
            length -= len(block)
        return b"".join(found)
