# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Fetches the pieces of a file from the host before this one; from an earlier one, or the controller, if that fails.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import time

from ..host.errors import StackError
from ..rules import clock, codes, pieces
from . import asking
from .connection import CHANGED, REFUSED, SLOW, STALLED, UNREACHABLE, WRONG, Connection, LostError
from .part_file import WrongPieceError

SILENT_SECONDS = 5
"""After so many seconds without an answer or a byte, a server counts as lost. It says each second that it is alive."""
ASK_SECONDS = 1
"""The same for a question that is asked while a file arrives."""
KEEP_SECONDS = 3
"""How often a host that verifies what it has asks the host before it, which otherwise would end."""
STALLED_SECONDS = 30
"""After so many seconds without a new piece, another server is tried."""
LOOK_SECONDS = 10
"""How often a host compares how far it is with the host before the one from which it receives."""
LEAD = 4
"""So many pieces from look to look say nothing. If that one gets on faster than this, and two times as fast, the one
between them is too slow."""
LOOKS = (2, 3, 4)
"""After so many looks in a row. Neighbours differ, so that the host behind the slow one can act before the others."""
HOPELESS_SECONDS = 120
"""After so many seconds without a new piece from anybody, the transfer has failed, if everybody was asked meanwhile."""
START_SECONDS = 60
"""The same after `patience`, in which other hosts may begin."""
GONE_SECONDS = 30
"""The same, if nobody accepts a connection any more; not before `patience` has passed."""
PAUSE = 0.2
MOST_NOTES = 50


class Receiver(object):
    """Receives one file. `got` is {number of a server: bytes from it}, `notes` are [{number, why}] of those it left.

    `alive()` is asked often; if it returns False the transfer ends. `patience` is the number of seconds in which the
    first server may not listen yet.
    """

    def __init__(self, part, key, number, candidates, patience, alive):
        self.part, self.key, self.number, self.patience, self.alive = part, key, number, patience, alive
        self.candidates = list(candidates)
        self.got = collections.Counter()  # type: collections.Counter[int]
        self.notes = []  # type: list[dict[str, int | str]]
        self.began = self.progress = clock.seconds()
        self.in_round = 0
        self.reminded = self.began
        self.asked = set()  # type: set[int]
        self.looked, self.had, self.looks = self.began, 0, 0
        self.pace = 0
        self.seen = collections.Counter()  # type: collections.Counter[int]
        self.blind = set([pieces.SOURCE])

    def receive(self):
        """Fetch everything that is missing. StackError if nobody has it."""
        at = 0
        while not self._is_complete():
            if not self.candidates:
                raise self._failed("there is nobody who could be asked")
            candidate = self.candidates[at % len(self.candidates)]
            try:
                self._fetch(candidate)
                self._check()
            except LostError as error:
                self._check()
                if self._is_complete():
                    return  # only the word that nothing is missing did not arrive
                if self._waits(candidate, error):
                    time.sleep(PAUSE)
                    continue
                self._note(candidate, error.why)
                at = self._next(at, candidate, error)

    def _meanwhile(self):
        """While what is there is verified: end with the controller, and keep the host before this one serving."""
        if clock.seconds() - self.reminded >= KEEP_SECONDS:
            self._check()
            asking.state(self.candidates[0], self.number, self.key, ASK_SECONDS)
            self.reminded = clock.seconds()

    def _is_complete(self):
        return self.part.list is not None and self.part.have >= self.part.count

    def _waits(self, candidate, error):
        """Whether a server that refused the connection is only not ready: the first one, at the beginning."""
        is_first = candidate is self.candidates[0] and not self.notes
        return is_first and error.why == REFUSED and clock.seconds() - self.began < self.patience

    def _next(self, at, candidate, error):
        """The place of the next server to try. StackError if there is none."""
        if error.why == CHANGED and candidate.number == pieces.SOURCE:
            message = "the file was changed on the controller while it was pushed, or cannot be read there any more"
            raise StackError(message, code=codes.SOURCE_CHANGED)
        if error.why in (WRONG, CHANGED):
            self.candidates.remove(candidate)
            at -= 1
        at += 1
        quiet = clock.seconds() - self.progress
        self.in_round = self.in_round + 1 if error.why in (REFUSED, UNREACHABLE) else 0
        self.asked.add(candidate.number)
        was_everybody_asked = all(one.number in self.asked for one in self.candidates)
        if quiet > max(HOPELESS_SECONDS, self.patience + START_SECONDS) and was_everybody_asked:
            raise self._failed("no new piece for %d s" % quiet)
        if self.candidates and self.in_round >= len(self.candidates) and quiet > max(GONE_SECONDS, self._left()):
            raise self._failed("nobody accepts a connection")
        if at and self.candidates and at % len(self.candidates) == 0:
            time.sleep(1)
        return at

    def _left(self):
        """The seconds after the last progress at which every host must have begun."""
        return self.began + self.patience - self.progress

    def _progressed(self):
        self.progress = clock.seconds()
        self.asked.clear()

    def _failed(self, why):
        tried = ", ".join(
            "%s port %d (%s)" % (one.address, one.port, self._last(one.number)) for one in self.candidates
        )
        message = "%s: %s. Tried: %s. What arrived is kept; repair the network, then run the same command again"
        return StackError(message % (self.part.path, why, tried or "nobody is left"), code=codes.PIECES_LOST)

    def _last(self, number):
        return ([note["why"] for note in self.notes if note["number"] == number] or ["not asked"])[-1]

    def _note(self, candidate, why):
        if len(self.notes) < MOST_NOTES:
            self.notes.append({"number": candidate.number, "why": why})

    def _check(self):
        if not self.alive():
            raise StackError("the controller has ended", code=codes.PIECES_LOST)

    def _fetch(self, candidate):
        """Read from one server until everything is there. LostError if it does not get so far."""
        try:
            if self.part.list is None:
                with self._connected(candidate, pieces.LIST) as server:
                    content = server.answer(self.part.count * pieces.DIGEST)
                self.part.use_list(content, self._meanwhile)
                self._progressed()
            with self._connected(candidate, self.part.have) as server:
                while not self._is_complete():
                    content = server.answer(pieces.length(self.part.size, self.part.have))
                    self.part.add(content)
                    self.got[candidate.number] += len(content)
                    self._progressed()
                    self._look(candidate)
                server.send(pieces.DONE)
        except WrongPieceError:
            raise LostError(WRONG)

    def _look(self, candidate):
        """LostError if the one from which this host receives has been too slow in several looks in a row."""
        if clock.seconds() - self.looked < LOOK_SECONDS:
            return
        self.looked = clock.seconds()
        new, self.had = self.part.have - self.had, self.part.have
        self.looks = self.looks + 1 if self._is_slow(candidate, new) else 0
        if self.looks >= LOOKS[self.number % len(LOOKS)]:
            self.looks = 0
            raise LostError(SLOW)

    def _is_slow(self, candidate, new):
        """Whether the host before this candidate got on more than two times as fast as this one, with `new` pieces.

        What it had from the beginning is no progress: it verifies that faster than any link. If that one has everything
        or is gone, what counts is how fast it was, or how much of it arrived before the first look, and whether what is
        missing here takes more than two times LOOK_SECONDS. The controller has the whole file from the beginning, so it
        says nothing about the host between, but it can be asked instead.
        """
        after = self.candidates[self.candidates.index(candidate) + 1 :]
        takes_long = self.part.count - self.part.have > LEAD + 2 * new
        others = [one for one in after if one.number not in self.blind][:1]
        for one in others:
            other = asking.state(one, self.number, self.key, ASK_SECONDS)
            if other is None:
                self.blind.add(one.number)  # nothing arrives here while somebody who is gone is asked
                break
            arrived = other.have - other.kept
            progress, self.seen[one.number] = arrived - self.seen[one.number], arrived
            if other.have < self.part.count:
                self.pace = progress
                return progress - new > max(LEAD, progress / 2)
            return takes_long and (2 * new < self.pace or (not self.pace and arrived > LEAD + 2 * new))
        return takes_long and 2 * new < self.pace and any(one.number == pieces.SOURCE for one in after)

    def _connected(self, candidate, first):
        """A connection on which `first` was asked. StackError if the controller ends meanwhile.

        LostError if the server sends no piece for STALLED_SECONDS.
        """
        since = clock.seconds()

        def limit():
            self._check()
            if clock.seconds() - max(since, self.progress) > STALLED_SECONDS:
                raise LostError(STALLED)
            return SILENT_SECONDS

        return Connection(candidate, self.number, self.key, first, limit)
