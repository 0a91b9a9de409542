# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Serves the pieces of one file, for the time of one transfer: on the controller, and on each host to the next one.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import collections
import errno
import functools
import os
import socket
import threading
import time

from . import clock, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Protocol  # noqa: F401

    class Store(Protocol):
        """What is served."""

        count = 0  # type: int
        have = 0  # type: int
        kept = 0  # type: int

        def digests(self, seconds):
            # type: (float) -> bytes | None
            """The list of the pieces' digests."""

        def piece(self, index, seconds):
            # type: (int, float) -> bytes | None
            """A piece."""


MOST_CONNECTIONS = 32
"""How many clients that have proved the key are served at once; more are turned away."""
MOST_UNPROVED = 32
"""How many clients that have not yet proved it are heard at once; for one more, the oldest is turned away."""
ASK_SECONDS = 5
"""In this time a client must send its request."""
SEND_SECONDS = 20
"""After so many seconds in which a client accepts nothing, it is dropped."""
WAIT_SECONDS = 1
"""How often a client is told that there is nothing new yet."""
ALIVE_SECONDS = 5
"""A connection on which nothing was sent for so long does not count as active."""
BIND_SECONDS = 10
"""How long a port may be in use by an earlier transfer that is just ending."""
BLOCK = 1 << 16


class ChangedError(Exception):
    """The file is no longer the one that was announced."""


class Rate(object):
    """A limit of the bytes per second that all connections of one server send together; 0 is no limit."""

    def __init__(self, limit, clock=clock.seconds, sleep=time.sleep):
        # type: (float, Callable[[], float], Callable[[float], object]) -> None
        self.limit, self.clock, self.sleep = limit, clock, sleep
        self.lock, self.free = threading.Lock(), 0.0

    def wait(self, amount):
        # type: (int) -> None
        """Wait until `amount` more bytes may be sent."""
        if not self.limit:
            return
        with self.lock:
            now = self.clock()
            begin = max(now, self.free)
            self.free = begin + amount / float(self.limit)
        if begin > now:
            self.sleep(begin - now)


class Server(object):
    """A server of one file.

    `store` has `digests(seconds)` and `piece(index, seconds)`, which return bytes, or None if they are not there
    after so many seconds, and raise ChangedError. It has `count`, the number of pieces, `have`, the number of those
    that are there, and `kept`, how many of these were there at the beginning. `heard` is when somebody last proved
    that he has the key, and `heard_of` when each client did.
    """

    def __init__(self, store, key, number, limit=0):
        # type: (Store, str, int, float) -> None
        self.store, self.key, self.number, self.rate = store, key, number, Rate(limit)
        self.lock = threading.Lock()
        self.open = {}  # type: dict[int, float]
        self.unproved = collections.OrderedDict()  # type: collections.OrderedDict[int, socket.socket]
        self.heard = clock.seconds()
        self.heard_of = {}  # type: dict[int, float]
        self.done = set()  # type: set[int]
        self.sent = 0
        self.refused = 0
        self.changed = False
        self.socket = None  # type: socket.socket | None

    def start(self, port):
        # type: (int) -> int
        """Listen, and serve in the background. Returns the port; OSError or IOError if it is in use."""
        end = clock.seconds() + BIND_SECONDS
        while True:
            try:
                self.socket = _listening(port)
                break
            except (IOError, OSError) as error:
                if error.errno != errno.EADDRINUSE or clock.seconds() >= end:
                    raise
                time.sleep(0.5)
        _in_background(self._accept)
        return int(self.socket.getsockname()[1])

    def stop(self):
        # type: () -> None
        """Accept no more clients. Connections end by themselves, at the latest with the process."""
        listener, self.socket = self.socket, None
        if listener:
            _shut(listener)  # else the thread that accepts would wait on
            listener.close()

    def active(self):
        # type: () -> int
        """How many clients were sent something in the last ALIVE_SECONDS."""
        with self.lock:
            return len([last for last in self.open.values() if clock.seconds() - last < ALIVE_SECONDS])

    def _accept(self):
        # type: () -> None
        while True:
            listener = self.socket
            if listener is None:
                return
            try:
                connection = listener.accept()[0]
            except (IOError, OSError, ValueError):
                time.sleep(0.1)
                continue
            with self.lock:
                oldest = self.unproved.popitem(last=False)[1] if len(self.unproved) >= MOST_UNPROVED else None
                self.unproved[id(connection)] = connection
            if oldest:
                _shut(oldest)
            _in_background(self._client, connection)

    def _client(self, connection):
        # type: (socket.socket) -> None
        try:
            self._serve(connection)
        except (IOError, OSError):
            pass
        finally:
            with self.lock:
                self.open.pop(id(connection), None)
                self.unproved.pop(id(connection), None)
            connection.close()

    def _serve(self, connection):
        # type: (socket.socket) -> None
        nonce = new_nonce()
        connection.settimeout(ASK_SECONDS)
        connection.sendall(nonce.encode("ascii") + b"\n")
        line, more = _line(connection)
        request, own = pieces.asked(self.key, nonce, line) or (None, "")
        if request is None or request.server != self.number:
            with self.lock:
                self.refused += 1
            return
        if not self._is_welcome(connection, request.client):
            return
        connection.settimeout(SEND_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if request.first == pieces.LIST:
                self._send(connection, self.store.digests)
                return
            if request.first == pieces.STATE:
                state = pieces.state_text(pieces.Had(self.store.have, self.store.kept))
                connection.sendall(pieces.answer(self.key, (nonce, own), pieces.PIECE, state))
                return
            for index in range(request.first, self.store.count):
                self._send(connection, functools.partial(self.store.piece, index))
        except ChangedError:
            self.changed = True
            connection.sendall(pieces.answer(self.key, (nonce, own), pieces.CHANGED, b""))
            return
        if (more[:1] or connection.recv(1)) == pieces.DONE:
            with self.lock:
                self.done.add(request.client)

    def _is_welcome(self, connection, client):
        # type: (socket.socket, int) -> bool
        """Count a client that has proved the key. False if it was turned away meanwhile, or if there are too many."""
        with self.lock:
            self.heard = self.heard_of[client] = clock.seconds()
            if self.unproved.pop(id(connection), None) is None or len(self.open) >= MOST_CONNECTIONS:
                return False
            self.open[id(connection)] = self.heard
            return True

    def _send(self, connection, get):
        # type: (socket.socket, Callable[[float], bytes | None]) -> None
        """Send what `get(seconds)` returns as soon as it is there, and until then that there is nothing new."""
        content = get(WAIT_SECONDS)
        while content is None:
            connection.sendall(pieces.WAITING)
            self._note(connection, 0)
            content = get(WAIT_SECONDS)
        connection.sendall(pieces.PIECE)
        step = BLOCK if self.rate.limit else pieces.SMALLEST
        for start in range(0, len(content), step):
            block = content[start : start + step]
            self.rate.wait(len(block))
            connection.sendall(block)
            self._note(connection, len(block))

    def _note(self, connection, amount):
        # type: (socket.socket, int) -> None
        with self.lock:
            self.open[id(connection)] = clock.seconds()
            self.sent += amount


def new_nonce():
    # type: () -> str
    """A number that nobody has used before and nobody can guess."""
    return binascii.hexlify(os.urandom(pieces.NONCE // 2)).decode("ascii")


def _shut(connection):
    # type: (socket.socket) -> None
    """End what another thread does with a socket."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except (IOError, OSError):
        pass


def _in_background(function, *arguments):
    # type: (Callable[..., None], object) -> None
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    thread.start()


def _listening(port):
    # type: (int) -> socket.socket
    """A listening socket for IPv6 and IPv4, or for IPv4 alone if the machine has no IPv6."""
    try:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = "::"
    except (IOError, OSError):
        listener, address = socket.socket(socket.AF_INET, socket.SOCK_STREAM), "0.0.0.0"
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(MOST_CONNECTIONS)
    except (IOError, OSError):
        listener.close()
        raise
    return listener


def _line(connection):
    # type: (socket.socket) -> tuple[bytes, bytes]
    """What a client sends before the first line break, and after it; empty if it sends too much or is too slow."""
    end, text = clock.seconds() + ASK_SECONDS, b""
    while b"\n" not in text:
        left = end - clock.seconds()
        if left <= 0 or len(text) > pieces.LONGEST_REQUEST:
            return b"", b""
        connection.settimeout(left)
        block = connection.recv(pieces.LONGEST_REQUEST)
        if not block:
            return b"", b""
        text += block
    line, _, more = text.partition(b"\n")
    return line, more
