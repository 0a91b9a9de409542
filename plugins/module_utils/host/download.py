# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Downloads a file of the mirror from a web server, continues after a cut, and gives it its name only if it is right.

What arrived is kept in a file beside it, `.NAME.part`, also after a failure: the next attempt continues there. The name
contains the digest, so parts of two versions are never mixed; the digest of the whole file decides at the end.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import hashlib
import os
import time

from . import web
from .errors import StackError
from .files import naming, remove
from .partial import opened
from ..rules.archive_formats import what_is
from ..rules import clock, codes

BLOCK = 1 << 16
TIMEOUT = 60
"""Seconds without any byte after which a connection is given up."""
SLOWEST = 1024
"""The least bytes per second over TIMEOUT seconds."""
TRIES = 4
"""How many attempts in a row may bring nothing new."""
MOST_TRIES = 100
LARGEST = 1 << 38
EXTRA = 16 << 20
"""How many bytes after the size of the lock are still hashed, for the message."""
HEAD = 512

Wanted = collections.namedtuple("Wanted", "artifact file url sha256 size path")
"""What is downloaded: the artifact and file of the lock with its digest and size (0: not known), and where it goes."""


def fetch(wanted, login="", ca=""):
    """Download a file; returns {tries, received, continued}: attempts, bytes that were moved, where it continued.

    Raises StackError with the artifact, the address, the reason, and both digests if something else was sent.
    """
    try:
        return _Download(wanted, web.opener(wanted.url, login, ca)).run()
    except web.RefusedError as error:
        raise StackError(
            "artifact %s: %s cannot be downloaded from %s: %s" % (wanted.artifact, wanted.file, wanted.url, error),
            code=codes.DOWNLOAD_FAILED,
        )


class _Download(object):
    """One download, over as many connections as it needs."""

    def __init__(self, wanted, opener):
        self.wanted, self.opener = wanted, opener
        self.partial = os.path.join(os.path.dirname(wanted.path), ".%s.part" % os.path.basename(wanted.path))
        self.limit = wanted.size or LARGEST
        self.tag, self.tries, self.received, self.continued = "", 0, 0, 0

    def run(self):
        with os.fdopen(opened(self.partial), "r+b") as self.part:
            self._hash_what_is_there()
            self.continued = self.have
            try:
                self._download()
                if self.seen() != self.wanted.sha256 and self.start:
                    self._restart()  # what an earlier command left was wrong
                    self.continued = 0
                    self._download()
            except web.RefusedError:
                if not self.have:
                    remove(self.partial)
                raise
            if self.seen() != self.wanted.sha256:
                self._refuse()
            with naming(self.wanted.path):
                self.part.flush()
                os.fsync(self.part.fileno())
                os.fchmod(self.part.fileno(), 0o644)
        os.rename(self.partial, self.wanted.path)
        return {"tries": self.tries, "received": self.received, "continued": self.continued}

    def seen(self):
        """The SHA-256 of all that arrived."""
        return self.digest.hexdigest()

    def _hash_what_is_there(self):
        self._reset()
        for block in iter(lambda: self.part.read(BLOCK), b""):
            self._count(block)
        if self.have > self.limit:
            self._restart()

    def _reset(self):
        self.digest, self.have, self.head, self.start, self.more = hashlib.sha256(), 0, b"", 0, False

    def _restart(self):
        """Forget what arrived."""
        self._reset()
        self.part.seek(0)
        self.part.truncate()

    def _count(self, block):
        self.digest.update(block)
        self.head = (self.head + block)[:HEAD] if len(self.head) < HEAD else self.head
        self.have += len(block)

    def _download(self):
        """Read until the end of the file that the server has, whatever it is."""
        self.start, fruitless = self.have, 0
        while not (self.wanted.size and self.have == self.wanted.size):
            self.tries += 1
            before = self.received
            try:
                return self._attempt()
            except web.BeyondEndError:
                return None
            except web.LostError as error:
                fruitless = 1 if self.received > before else fruitless + 1
                if fruitless >= TRIES or self.tries >= MOST_TRIES:
                    self._give_up(error)
                time.sleep(min(2 ** (fruitless - 1), 10))
        return None

    def _attempt(self):
        """One connection, to the end of its answer. Raises LostError if it ends too early."""
        answer = web.ask(self.opener, self.wanted.url, self.have, self.tag, TIMEOUT)
        try:
            if answer.start != self.have:
                self._restart()
            self.tag = answer.tag or self.tag
            self.part.seek(self.have)  # Python 2.7 needs it between reading and writing
            self._read(answer)
        finally:
            answer.body.close()
        whole = answer.end if answer.end is not None else self.wanted.size
        if self.have < whole and not self.more:
            raise web.LostError("the connection ended")
        if answer.total is not None and answer.end is not None and answer.end < answer.total and not self.more:
            raise web.LostError("it sent only a part of what was asked")

    def _read(self, answer):
        window, count = clock.seconds(), 0
        while True:
            try:
                block = answer.body.read(BLOCK)
            except web.READ_ERRORS as error:
                raise web.lost(error)
            if not block:
                return
            self.received += len(block)
            kept = block[: max(0, self.limit - self.have)]
            self._count(block)
            with naming(self.wanted.path):
                self.part.write(kept)
            if self.have > self.limit + EXTRA:
                self.more = True
                return
            count += len(block)
            if clock.seconds() - window > TIMEOUT:
                if count < SLOWEST * TIMEOUT:
                    raise web.LostError("it sent only %d bytes in %d seconds" % (count, TIMEOUT))
                window, count = clock.seconds(), 0

    def _give_up(self, error):
        self.part.flush()
        raise StackError(
            "artifact %s: the download of %s from %s failed %d times, the last time after %d of %s bytes: %s. What "
            "arrived is kept. Repair the connection or the web server, then run the same command again; it continues"
            % (
                self.wanted.artifact,
                self.wanted.file,
                self.wanted.url,
                self.tries,
                self.have,
                self.wanted.size or "?",
                error,
            ),
            code=codes.DOWNLOAD_FAILED,
        )

    def _refuse(self):
        """StackError for a file that is not the one of the lock. Nothing of it is kept."""
        remove(self.partial)
        what = what_is(self.head)
        size = "at least %d" % self.have if self.more else "%d" % self.have
        raise StackError(
            "artifact %s: %s sent something else than %s of the mirror: %s bytes with sha256 %s%s. The lock lists %s "
            "bytes with sha256 %s. Nothing was kept at %s, and nothing was unpacked. Compare the files on the web "
            "server with the mirror (`provision mirror verify`), then run the same command again"
            % (
                self.wanted.artifact,
                self.wanted.url,
                self.wanted.file,
                size,
                "not known, because it was not read to its end" if self.more else self.seen(),
                "; it %s" % what if what else "",
                self.wanted.size or "?",
                self.wanted.sha256,
                self.wanted.path,
            ),
            seen="" if self.more else self.seen(),
            code=codes.DOWNLOAD_FAILED,
        )
