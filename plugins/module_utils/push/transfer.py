# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""One host's part of a transfer: receive the file, and serve it to the next host at the same time.

It ends with its own process, at the latest a while after nobody asks any more: no listener stays behind.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import errno
import os
import time

from ..host.errors import StackError
from ..host.files import make_directory
from ..host.processes import output_is_read
from ..rules import clock, codes, piece_server, pieces
from . import asking, part_file, watch
from .part_file import PartFile
from .place import check_place
from .receiver import Receiver

LINGER_SECONDS = 15
"""How long a complete file is offered while nobody asks."""
LONGEST, TIMES = 600, 4
"""How long it is offered after the last byte that was sent: so many seconds, or so many times as long as it took to
receive it."""
SIGNS = 4
"""So many times in `wait` seconds a host that gets on tells the controller so."""
SIGN_SECONDS = 1
"""So long it may take to tell it."""
SPREAD = 97
"""Neighbours begin at different times with that, because the controller hears few at once."""
POLL = 0.1

Wanted = collections.namedtuple("Wanted", "path size sha256 list_sha256 replace")
"""The file: its path here, its size, its SHA-256, and that of the list of its pieces' digests."""
Chain = collections.namedtuple("Chain", "key number candidates port limit is_last patience wait")
"""The place of this host: the key, its number, the servers that it may ask (pieces.Server), the port on which it
listens itself, bytes per second that it sends at most (0: no limit), whether no host follows, and the seconds after
which it gives up if its own disk does not answer."""


def transfer(wanted, chain):
    """Receive the file and serve it. Returns {received, kept, seconds, sources, left, served, sha256}.

    Raises StackError if the disk is too small, full or does not answer, the port is in use, or nobody has the file.
    """
    return watch.watched(lambda alive: _transfer(wanted, chain, signing(chain, alive)), output_is_read, chain.wait)


def signing(chain, alive):
    """`alive`, which also tells the controller now and then that this host gets on: else the controller gives it up."""
    sources = [one for one in chain.candidates if one.number == pieces.SOURCE]
    pause = chain.wait / float(SIGNS)
    told = [clock.seconds() - pause * (chain.number % SPREAD) / SPREAD]

    def alive_and_told():
        if sources and clock.seconds() - told[0] > pause:
            asking.state(sources[0], chain.number, chain.key, SIGN_SECONDS)
            told[0] = clock.seconds()
        return alive()

    return alive_and_told


def _transfer(wanted, chain, alive):
    check_place(wanted.path)
    make_directory(os.path.dirname(wanted.path))
    check_place(wanted.path)  # a directory that was missing can have been made by another user meanwhile
    if os.path.lexists(wanted.path) and not wanted.replace:
        raise part_file.taken(wanted.path)
    began = clock.seconds()
    part = PartFile(wanted.path, wanted.size, wanted.sha256, wanted.list_sha256)
    part_file.remove_others(wanted.path, wanted.sha256)
    part_file.check_space(os.path.dirname(wanted.path), wanted.size - os.fstat(part.handle).st_size)
    server = piece_server.Server(part, chain.key, chain.number, chain.limit)
    _listen(server, chain.port)
    try:
        receiver = Receiver(part, chain.key, chain.number, chain.candidates, chain.patience, alive)
        receiver.receive()
        part.finish(wanted.replace)
        seconds = clock.seconds() - began
        if not chain.is_last:
            _linger(server, began + chain.patience, max(LONGEST, TIMES * seconds), alive)
    finally:
        server.stop()
    return {
        "received": sum(receiver.got.values()),
        "kept": min(part.kept * pieces.piece_size(wanted.size), wanted.size),
        "seconds": round(seconds, 3),
        "sources": [{"number": number, "bytes": count} for number, count in sorted(receiver.got.items())],
        "left": receiver.notes,
        "served": server.sent,
        "sha256": part.digest.hexdigest(),
    }


def _listen(server, port):
    try:
        server.start(port)
    except (IOError, OSError) as error:
        if error.errno != errno.EADDRINUSE:
            raise
        advice = "wait until it is free, or use another --port"
        raise StackError("%s: %s" % (pieces.in_use(port), advice), code=codes.PORT_IN_USE)


def _linger(server, ready, longest, alive):
    """Serve until a following host has everything and nobody else reads, or nobody has asked for LINGER_SECONDS.

    Before `ready` another host may only begin. In any case it ends `longest` seconds after the last byte that was sent.
    """
    quiet = progress = max(clock.seconds(), ready)
    sent = server.sent
    while alive() and clock.seconds() - progress < longest:
        if server.sent != sent:
            sent, progress = server.sent, max(clock.seconds(), ready)
        if server.active():
            quiet = max(clock.seconds(), ready)
        elif server.done or clock.seconds() - max(quiet, server.heard) > LINGER_SECONDS:
            return
        time.sleep(POLL)
