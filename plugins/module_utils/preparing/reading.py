# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads the pictures of a data set into its HDF5, block by block on all cores, without those that were read before.

This process distributes the blocks and records what was done. It stores a line for each block and nothing for each
picture, so its memory hardly depends on the size of the data set.

Runs under Python 2.7 and 3. Needs Pillow, and numpy for grey of more than 8 bits.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import array
import io
import json
import os

from .blocks import as_seen, sync, without_crash, work
from ..host.texts import PY2
from ..pictures.files import as_bytes, as_name
from ..pictures.pixels import BYTES, import_early
from ..programs.processes import Pool, Process, readable
from ..programs.progress import Progress
from ..rules import clock

DURABLE = 30.0
"""Seconds between two syncs of the HDF5."""


class Crew(object):
    """The processes of a command: a pool that reads pictures, and one process that syncs the HDF5."""

    def __init__(self, jobs):
        import_early()
        self.pool = Pool(jobs, work)
        self.syncer = Process(sync)

    def end(self):
        """End them all."""
        self.pool.end()
        self.syncer.end()


class Reading(object):
    """The pictures of one plan. `kept` are the blocks that were read before, {number: its rows that were bad}.

    crew, journal and spool as they are while a command runs; part: the path of the HDF5 that is being made.
    """

    def __init__(self, crew, journal, spool, part, say):
        self.crew, self.journal, self.spool, self.part, self.say = crew, journal, spool, part, say
        self.plan = journal.state.plan
        self.kept, self.found, self.other, self.memory = {}, [], {}, 0
        self.syncing, self.synced = None, clock.seconds()
        self.lines = array.array(str("L") if PY2 else "Q", [0])
        with io.open(os.dup(spool), "rb") as file:
            file.seek(0)
            for line in file:
                self.lines.append(self.lines[-1] + len(line))
        self.blocks = len(self.lines) - 1

    def paths(self, block):
        """The paths of a block's pictures, each of bytes as latin-1."""
        os.lseek(self.spool, self.lines[block], os.SEEK_SET)
        length, parts = self.lines[block + 1] - self.lines[block], []
        while length:
            parts.append(os.read(self.spool, length))
            length -= len(parts[-1])
        return json.loads(b"".join(parts).decode("ascii"))

    def pictures(self, blocks):
        """How many pictures these blocks have."""
        return sum(self.length(block) for block in blocks)

    def length(self, block):
        """How many pictures a block has."""
        return min(self.plan["block"], self.plan["rows"] - block * self.plan["block"])

    def all(self, tasks, done, progress):
        """Execute tasks, with lines of progress."""

        def tick():
            progress.tick()
            self.make_durable()

        self.crew.pool.run(tasks, done, without_crash, tick)

    def verify(self):
        """Find the blocks that were read before and whose files are unchanged; return the number of their pictures."""
        lines = dict((block, line) for block, line in self.journal.state.blocks.items() if block < self.blocks)
        bad = dict((block, [row for row, _reason, _fault in line["bad"]]) for block, line in lines.items())
        progress = Progress(self.say, "compared", self.pictures(lines))

        def done(task, answer):
            block = task["block"]
            progress.add(self.length(block))
            if answer["stamp"] == lines[block]["stamp"]:
                self.kept[block] = bad[block]

        tasks = (
            {"do": "stamp", "block": block, "paths": self.paths(block), "bad": bad[block]} for block in sorted(lines)
        )
        self.all(tasks, done, progress)
        return self.already_read()

    def already_read(self):
        """Return the number of pictures that an earlier command has read, without those that it could not read."""
        return self.pictures(self.kept) - sum(len(rows) for rows in self.kept.values())

    def look(self):
        """Look at the headers of all pictures that are still to be read; [(path, reason, fault)] of what is none."""
        rest = [block for block in range(self.blocks) if block not in self.kept]
        progress = Progress(self.say, "looked at", self.pictures(rest))
        self.found = []

        def done(task, answer):
            progress.add(len(task["paths"]))
            self.other[task["block"]] = answer["other"]
            self.found += [self.named(task, each) for each in answer["bad"]]

        self.all(({"do": "look", "block": block, "paths": self.paths(block)} for block in rest), done, progress)
        return sorted(self.found)

    def named(self, task, bad):
        """(path, reason, fault) of a row of a task."""
        row, reason, fault = bad
        return as_name(task["paths"][row].encode("latin-1")), reason, fault

    def read(self):
        """Read all pictures that were not read; [(path, reason, fault)] of those that cannot be."""
        self.progress = Progress(self.say, "read", self.plan["rows"], self.already_read())
        self.found = []
        before = self.journal.state.blocks

        def done(task, answer):
            block, again = task["block"], before[task["block"]] if "only" in task else {}
            line = {"block": block, "stamp": answer["stamp"], "bad": answer["bad"], "decoded": answer["decoded"]}
            line["converted"] = answer["converted"] + again.get("converted", 0)
            line["other"] = self.other.get(block, again.get("other", 0))
            self.journal.add(line)
            self.memory = max(self.memory, answer["memory"])
            self.progress.add(len(task.get("only", task["paths"])), answer["bytes"])
            self.found += [self.named(task, each) for each in answer["bad"]]

        self.all(self.tasks(), done, self.progress)
        self.rate = self.progress.rate()
        return sorted(self.found)

    def tasks(self):
        """What is to be read: whole blocks, and of those that were read before the rows that were bad."""
        part, place = as_latin(self.part), self.plan["place"]
        for block in range(self.blocks):
            if self.kept.get(block) == []:
                continue
            first = place + block * self.plan["block"] * BYTES
            task = {"do": "read", "block": block, "paths": self.paths(block), "part": part, "place": first}
            yield dict(task, only=self.kept[block]) if block in self.kept else task

    def make_durable(self):
        """Sync the HDF5 every DURABLE seconds in a separate process, and then record the number of synced blocks."""
        if self.syncing is not None and readable([self.crew.syncer.answers], 0):
            if self.crew.syncer.answer() is not None:
                self.journal.add({"synced": self.syncing}, durable=True)
                self.syncing, self.synced = None, clock.seconds()
        lines = len(self.journal.state.lines)
        if self.syncing is None and lines > self.journal.state.synced and clock.seconds() - self.synced >= DURABLE:
            self.crew.syncer.give({"part": as_latin(self.part)})
            self.syncing = lines

    def break_off(self):
        """End the reading, and sync and record what was read."""
        self.crew.pool.end()
        sync({"part": as_latin(self.part)}, None)
        self.journal.add({"synced": len(self.journal.state.lines)}, durable=True)

    def count(self, what):
        """How many pictures were `converted`, or are of `other` kinds than their names say."""
        return sum(line[what] for line in self.journal.state.blocks.values())


def as_latin(path):
    """Return a path as text for JSON: each byte as one latin-1 character."""
    return as_bytes(path).decode("latin-1")


def unchanged(excluded):
    """Of pictures that were set aside, {path: [reason, fault, size, time]}, those whose files are as they were."""
    kept = {}
    for path, entry in excluded.items():
        if list(as_seen(as_name(path.encode("latin-1")))) == entry[2:]:
            kept[path] = entry
    return kept
