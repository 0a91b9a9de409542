# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A file as pieces that hosts pass on to each other: their size and number, and the request for them. Pure.

A server first sends a line with a random number, the nonce. A request is one line. It contains a proof that only
somebody who knows the key of this transfer can compute, and that is valid for one server and one nonce only: a server
learns nothing from it that it could use at another one, and a request that was recorded is worthless later. The key
itself is never sent. Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import hashlib
import hmac
import re

PORT = 23810
"""The port of the hosts; the controller has the next one. Kubernetes gives ports away from 30000, Linux from 32768."""
SMALLEST = 1 << 18
"""The size of a piece in bytes, unless there would be too many. Small pieces reach the end of a long chain sooner."""
MOST = 1 << 16
"""The largest number of pieces."""
LARGEST_FILE = 1 << 45
DIGEST = 32
SOURCE = 0
"""The number of the controller. Hosts are numbered from 1, in the order of the chain."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._+=@-]{0,199}"
"""What the name of a pushed file must match."""
LONGEST_REQUEST = 200
NONCE = 32
"""The number of digits of a nonce; a line break follows."""
LIST, STATE = -1, -2
"""What is asked for: the list of the pieces' digests, or how many pieces the server has (as digits). Any other number
asks for that piece and all after it."""
STATE_DIGITS = 9
PIECE, WAITING, CHANGED, DONE = b"P", b"W", b"C", b"D"
"""The byte before each answer: a piece or the list follows; nothing new yet; the file changed at its source. With DONE
a client says that it has everything."""
_REQUEST = re.compile(r"^neuraltalk-pieces 2 ([0-9]{1,9}) ([0-9]{1,9}) (-[12]|[0-9]{1,9}) ([0-9a-f]{64})$")
_NONCE = re.compile(r"^([0-9a-f]{32})\n\Z")

Request = collections.namedtuple("Request", "server client first")
"""Who is asked, who asks (numbers in the chain), and for what."""
Server = collections.namedtuple("Server", "number address port")
"""Who can be asked: its number in the chain, and where it listens."""


def piece_size(size):
    # type: (int) -> int
    """The size in bytes of the pieces of a file of `size` bytes; the last piece can be smaller."""
    return SMALLEST * max(1, -(-size // (SMALLEST * MOST)))


def count(size):
    # type: (int) -> int
    """The number of pieces of a file."""
    return -(-size // piece_size(size))


def length(size, index):
    # type: (int, int) -> int
    """The number of bytes of one piece."""
    return min(piece_size(size), size - index * piece_size(size))


def in_use(port):
    # type: (int) -> str
    """What is said of a port on which nobody can listen."""
    return (
        "port %d is in use, by another transfer or another program. If no program listens there, it is a connection "
        "from this machine, because the range of ports for these contains it (sysctl net.ipv4.ip_local_port_range)"
        % port
    )


def nonce_of(text):
    # type: (bytes) -> str | None
    """The nonce in the first line of a server; None if it is not one."""
    found = _NONCE.match(text.decode("ascii", "replace"))
    return str(found.group(1)) if found else None


def line(key, nonce, request):
    # type: (str, str, Request) -> bytes
    """The line that asks a server which sent this nonce, without the line break."""
    words = "neuraltalk-pieces 2 %d %d %d" % (request.server, request.client, request.first)
    return ("%s %s" % (words, _proof(key, nonce, words))).encode("ascii")


def asked(key, nonce, text):
    # type: (str, str, bytes) -> Request | None
    """The request of a line; None if it is not one, or if its proof is wrong."""
    found = _REQUEST.match(text[:LONGEST_REQUEST].decode("ascii", "replace"))
    if not found:
        return None
    words = found.group(0).rpartition(" ")[0]
    if not same(found.group(4), _proof(key, nonce, words)):
        return None
    return Request(*[int(found.group(place)) for place in (1, 2, 3)])


def same(one, other):
    # type: (str, str) -> bool
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    compare = getattr(hmac, "compare_digest", None)  # Python before 2.7.7 does not have it
    digests = [hashlib.sha256(text.encode("ascii")).digest() for text in (one, other)]
    return bool(compare(*digests)) if compare else digests[0] == digests[1]


def _proof(key, nonce, words):
    # type: (str, str, str) -> str
    return hmac.new(key.encode("ascii"), ("%s %s" % (nonce, words)).encode("ascii"), hashlib.sha256).hexdigest()
