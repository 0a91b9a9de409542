# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A file as pieces that hosts pass on to each other: their size and number, and the request for them. Pure.

A server first sends a line with a random number, the nonce. A request is one line. It contains a nonce of the client,
and a proof that only somebody who knows the key of this transfer can compute, and that is valid for one server and
these nonces only: a server learns nothing from it that it could use at another one, and a request that was recorded is
worthless later. What a server says about itself has such a proof too; pieces and their list have digests. The key
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
"""The number of digits of a nonce; after that of a server a line break follows."""
PROOF = 64
"""The number of digits of a proof."""
LIST, STATE = -1, -2
"""What is asked for: the list of the pieces' digests, or how many pieces the server has (Had, as digits). Any other
number asks for that piece and all after it."""
_STATE = "%09d%09d"
STATE_DIGITS = 18
PIECE, WAITING, CHANGED, DONE = b"P", b"W", b"C", b"D"
"""The byte before each answer: a piece or the list follows; nothing new yet; the file changed at its source. With DONE
a client says that it has everything."""
_REQUEST = re.compile(
    r"^neuraltalk-pieces 4 ([0-9]{1,9}) ([0-9]{1,9}) (-[12]|[0-9]{1,9}) ([0-9a-f]{32}) ([0-9a-f]{64})$"
)
_NONCE = re.compile(r"^([0-9a-f]{32})\n\Z")

Request = collections.namedtuple("Request", "server client first")
"""Who is asked, who asks (numbers in the chain), and for what."""
Had = collections.namedtuple("Had", "have kept")
"""How many pieces a server has, and how many of them it had from the beginning: those say nothing about its links."""
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


def line(key, nonces, request):
    # type: (str, tuple[str, str], Request) -> bytes
    """The line that asks a server, without the line break. `nonces` are that of the server and that of the client."""
    words = "neuraltalk-pieces 4 %d %d %d %s" % (request.server, request.client, request.first, nonces[1])
    return ("%s %s" % (words, _proof(key, nonces[0], words))).encode("ascii")


def asked(key, nonce, text):
    # type: (str, str, bytes) -> tuple[Request, str] | None
    """The request of a line and the client's nonce; None if it is not one, or if its proof is wrong."""
    found = _REQUEST.match(text[:LONGEST_REQUEST].decode("ascii", "replace"))
    if not found:
        return None
    words = found.group(0).rpartition(" ")[0]
    if not same(found.group(5), _proof(key, nonce, words)):
        return None
    return Request(*[int(found.group(place)) for place in (1, 2, 3)]), str(found.group(4))


def answer(key, nonces, kind, content):
    # type: (str, tuple[str, str], bytes, bytes) -> bytes
    """What a server says about itself, as STATE or CHANGED, with the proof that it knows the key."""
    said = kind + content
    return said + _proof(key, nonces[0], "%s answer %s" % (nonces[1], said.decode("ascii"))).encode("ascii")


def is_proven(key, nonces, text):
    # type: (str, tuple[str, str], bytes) -> bool
    """Whether a server that knows the key gave this answer on this connection."""
    said = text[: max(len(text) - PROOF, 0)].decode("ascii", "replace").encode("ascii", "replace")
    return same(text.decode("ascii", "replace"), answer(key, nonces, said, b"").decode("ascii"))


def same(one, other):
    # type: (str, str) -> bool
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    compare = getattr(hmac, "compare_digest", None)  # Python before 2.7.7 does not have it
    digests = [hashlib.sha256(text.encode("utf-8")).digest() for text in (one, other)]
    return bool(compare(*digests)) if compare else digests[0] == digests[1]


def state_text(state):
    # type: (Had) -> bytes
    """What a server answers to STATE."""
    return (_STATE % state).encode("ascii")


def state_of(text):
    # type: (bytes) -> Had
    """What such an answer says."""
    half = STATE_DIGITS // 2
    return Had(int(text[:half]), int(text[half:]))


def _proof(key, nonce, words):
    # type: (str, str, str) -> str
    return hmac.new(key.encode("ascii"), ("%s %s" % (nonce, words)).encode("ascii"), hashlib.sha256).hexdigest()
