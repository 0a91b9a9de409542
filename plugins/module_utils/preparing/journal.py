# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The journal of a data set that is being prepared: a file beside it with one line of JSON for each step done.

The first line identifies the file. The others are: `run` (a command starts), `plan` (the rows are laid out; earlier
lines are void), `block` (rows are written), `synced` (this number of blocks since the plan is safely on the disk),
`finishing` (only the files are still to be renamed). After a reboot only synced blocks count, because the disk may have
lost the others.

The process that has locked the file works on the data set. Runs under Python 2.7 and 3 with the standard library alone.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import io
import json
import os
import socket
import stat
import time

from ..host.errors import StackError
from ..host.files import naming, read_text
from ..host.texts import TEXT, as_text
from ..rules.holder import BOOT
from ..rules.texts import moment
from ..rules import clock

FIRST = {"journal": "provision data prepare", "format": 1}
PATIENCE = 1.0
"""Seconds to wait for the lock: a command that was just killed may still be ending."""
KINDS = {"run": dict, "plan": dict, "block": int, "synced": int, "finishing": dict}  # type: dict[str, type]
"""{key that identifies a kind of line: type of its value}."""
BLOCK = {"stamp": TEXT, "bad": list, "converted": int, "other": int}  # type: dict[str, type]
"""{key: type} of the other fields of a line `block`."""


class State(object):
    """The content of a journal: `plan`, `blocks` {number: its last line}, `finishing` (or None), `run` (the last one).

    `good` is the number of bytes up to the end of the last whole line.
    """

    def __init__(self):
        self.plan, self.finishing, self.run, self.good = None, None, None, 0
        self.lines, self.synced = [], 0

    @property
    def blocks(self):
        return dict((line["block"], line) for line in self.lines)

    def take(self, line):
        """Add one line."""
        if "run" in line:
            if self.run and self.run.get("boot") != line["run"].get("boot"):
                self.lines = self.lines[: self.synced]
            self.run = line["run"]
        elif "plan" in line:
            self.plan, self.lines, self.synced, self.finishing = line["plan"], [], 0, None
        elif "block" in line:
            self.lines.append(line)
        elif "synced" in line:
            self.synced = min(line["synced"], len(self.lines))
        else:
            self.finishing = line["finishing"]


def replay(data):
    """Return the State from the bytes of a journal, or None if it is none. Ignores all after a damaged line."""
    state = State()
    for number, text in enumerate(data.split(b"\n")[:-1]):
        try:
            line = json.loads(text.decode("utf-8"))
        except ValueError:
            line = None
        if number == 0:
            if line != FIRST:
                return None
        elif not is_line(line):
            break
        else:
            state.take(line)
        state.good += len(text) + 1
    return state if state.good or not data.strip(b"\0") or FIRST_TEXT.startswith(data) else None


def is_line(line):
    """Return whether this is a valid line of a journal."""
    if not isinstance(line, dict):
        return False
    kinds = [key for key in KINDS if key in line]
    if len(kinds) != 1 or not isinstance(line[kinds[0]], KINDS[kinds[0]]) or isinstance(line[kinds[0]], bool):
        return False
    if kinds == ["block"]:
        return all(isinstance(line.get(key), kind) for key, kind in BLOCK.items()) and all(map(is_bad, line["bad"]))
    if kinds == ["finishing"]:
        return all(isinstance(line["finishing"].get(key), dict) for key in ("asked", "result"))
    excluded = line["plan"].get("excluded", {}) if kinds == ["plan"] else {}
    return isinstance(excluded, dict) and all(isinstance(entry, list) for entry in excluded.values())


def is_bad(entry):
    """Whether this is [row, reason, fault]."""
    return isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], int)


def text_of(line):
    """Return a line as bytes."""
    return as_text(json.dumps(line, sort_keys=True)).encode("utf-8") + b"\n"


FIRST_TEXT = text_of(FIRST)


class Journal(object):
    """The journal of a data set, locked until `close`. StackError if it is locked already, or if it is no journal."""

    def __init__(self, path, shown):
        self.path, self.shown = path, shown
        self.handle = self.lock()
        try:
            with io.open(path, "rb") as file:
                self.state = replay(file.read())
            if self.state is None:
                words = (
                    "%s is not a journal of this command: look at what it is, then move it away, or choose "
                    "another output_h5"
                )
                raise StackError(words % shown)
            os.ftruncate(self.handle, self.state.good)
        except Exception:
            self.close()
            raise

    def lock(self):
        """Open and lock the file, and create it if it is missing; return its descriptor."""
        deadline = clock.seconds() + PATIENCE
        while True:
            try:
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)
            except (IOError, OSError) as error:
                raise StackError("%s cannot be opened: %s" % (self.shown, error.strerror))
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise StackError("%s is no ordinary file: move it away, or choose another output_h5" % self.shown)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), os.lstat(self.path)):
                    return handle  # otherwise the command that had it locked has just ended and removed it
            except (IOError, OSError) as error:
                if error.errno == errno.ENOENT:
                    pass
                elif error.errno in (errno.EAGAIN, errno.EACCES):
                    if clock.seconds() > deadline:
                        os.close(handle)
                        raise StackError(self.taken())
                    time.sleep(0.1)
                else:
                    os.close(handle)
                    raise StackError("%s cannot be locked: %s" % (self.shown, error.strerror))
            except StackError:
                os.close(handle)
                raise
            os.close(handle)

    def taken(self):
        """Return a message about the command that has locked it."""
        with io.open(self.path, "rb") as file:
            state = replay(file.read())
        run = state.run if state and state.run else {}
        when = moment(run.get("began"))
        who = "pid %s on %s, since %s" % (run.get("pid"), run.get("host"), when) if run else "which has just started"
        return "another command is already preparing this data set (%s): wait for it, or end it" % who

    def empty(self):
        """Return whether nothing was written yet."""
        return self.state.good == 0

    def begin(self):
        """Write a line about the start of this command."""
        if self.empty():
            self.add(FIRST)
        run = {
            "pid": os.getpid(), "host": socket.gethostname(), "began": int(time.time()),
            "boot": (read_text(BOOT, 64) or "").strip(),
        }  # fmt: skip
        self.add({"run": run}, durable=True)

    def add(self, line, durable=False):
        """Write one line; with `durable`, sync the file, so that the line survives a crash of the machine."""
        data = text_of(line)
        with naming(self.path):
            while data:
                data = data[os.write(self.handle, data) :]
        if line is not FIRST:
            self.state.take(json.loads(text_of(line).decode("utf-8")))
        if durable:
            with naming(self.path):
                os.fsync(self.handle)

    def remove(self):
        """Remove the file, and close it."""
        os.unlink(self.path)
        self.close()

    def close(self):
        """Close the file, which releases the lock."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
