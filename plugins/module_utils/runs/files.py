# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The runs of a host: the files of a run, its status, and the lock on its name.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library. rules/run.py lists the files that a run
writes. All of them belong to the account of the runs, and the functions here are called as this account.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import re
import stat
import time

from ..host.errors import StackError
from ..host.files import end_of, make_directory, parse_json, read_json, read_text
from ..host.origin import is_here
from ..host.processes import is_alive
from ..host.texts import as_native
from ..rules import run as rules
from .locks import holder_of, open_own
from ..rules import layout

LARGEST_RECORD = 4 << 20
LARGEST_LIST = 64 << 20
"""Bytes of a file that describes a run, and of one that lists its pictures, its captions or its losses."""
DEEPEST = 100
"""Levels of lists and objects in a file of a run. Its results must still be writable as JSON."""


class Run(object):
    """The files of one run."""

    def __init__(self, root, name):
        if not rules.is_id(name):
            raise StackError(
                "%r is not a valid run id: use only letters, digits and . _ -, and no .last or .new at the end" % name
            )
        self.root = root
        self.name = name
        self.path = os.path.join(layout.runs(root), name)
        self.work = os.path.join(self.path, "work")
        self.checkpoint = os.path.join(self.path, "checkpoint")
        self.temporary = os.path.join(self.path, "tmp")
        self.log = os.path.join(self.path, rules.LOG)
        self.record = os.path.join(self.path, rules.RECORD)
        self.process = os.path.join(self.path, rules.PROCESS)
        self.images = os.path.join(self.path, rules.IMAGES)
        self.samples = os.path.join(self.path, rules.SAMPLES)
        self.exit = os.path.join(self.path, rules.EXIT)
        self.ended = os.path.join(self.path, rules.ENDED)
        self.stopped = os.path.join(self.path, rules.STOPPED)
        self.lock = os.path.join(layout.locks(root), name)

    def read_request(self):
        """Return the record of its request. StackError if there is no such run, or the record is damaged."""
        record = read_object(self.record)
        if not record and not os.path.exists(self.record):
            raise StackError("there is no run called %s on this host" % self.name)
        if not isinstance(record.get("generation"), str):
            raise StackError("run %s: %s is damaged: it does not contain the request" % (self.name, self.record))
        return record

    def read(self, path):
        """Return the JSON object in one of the files that describe it, or {} if the file is missing or damaged."""
        return read_object(path)

    def supervisor(self, record=None):
        """Return {pid, start, card, unit, job} of its supervisor, or {} before the supervisor has started."""
        place = (record or self.read(self.record)).get("supervisor")
        return self.read(os.path.join(place if isinstance(place, str) else self.path, rules.STATE))

    def present(self):
        """Return the paths of its records that exist at this moment."""
        return [path for path in (self.record, self.process, self.ended, self.exit) if os.path.exists(path)]

    def exit_code(self):
        """Return its exit code, or None before its end or if the file contains no number."""
        try:
            return int((read_text(self.exit, 64) or "").strip()[:12])
        except ValueError:
            return None

    def status(self, record=None):
        """Return its status. A run that has begun, is not running and has no exit code was killed.

        `record` is the record of its request, if the caller has read it already.
        """
        # The run can end, and its supervisor can write, between any two of these steps. What was written after the
        # first of them does not count as damaged.
        present = self.present()
        record = record or self.read(self.record)
        supervisor, process = self.supervisor(record), self.read(self.process)
        # If hosts share a disk, only the host of the run knows whether the run is active.
        elsewhere = not is_here(supervisor)
        # The processes first, then whether there is an end, then its contents: in the other order, a run that ends in
        # between would look killed, because its end was looked for too early.
        supervised = not elsewhere and is_alive(supervisor.get("pid"), supervisor.get("start"))
        alive = not elsewhere and is_alive(process.get("pid"), process.get("start"))
        has_ended = self.has_ended()
        code, ended = self.exit_code(), self.read(self.ended)
        contents = {self.record: record, self.process: process, self.ended: ended, self.exit: code is not None}
        return {
            "id": self.name,
            "path": self.path,
            "log": self.log,
            "pid": process.get("pid"),
            "begun": bool(process),
            "exit_code": code,
            "running": bool(process) and not has_ended and (supervised or alive),
            "waiting": not process and not has_ended and supervised,
            "ended": ended or None,
            "card": process.get("card") or supervisor.get("card"),
            "elsewhere": (supervisor["node"] or "another host") if elsewhere else "",
            "unit": supervisor.get("unit"),
            "job": supervisor.get("job"),
            "stopped": os.path.exists(self.stopped),
            "parent": record.get("parent"),
            "stage": record.get("stage"),
            "until": record.get("until"),
            "needs": record.get("needs"),
            "sweep": record.get("sweep"),
            "supervisor": record.get("supervisor"),
            "damaged": [os.path.basename(path) for path in present if not contents[path]],
        }

    def has_ended(self):
        """Return whether it has ended, with as few reads as possible."""
        return os.path.exists(self.exit) or os.path.exists(self.ended)

    def silent(self):
        """Return the seconds since a file of it changed: a supervisor writes a sample at least every few minutes."""
        files = [path for path in (self.record, self.process, self.samples, self.log) if os.path.exists(path)]
        return time.time() - max([os.path.getmtime(path) for path in files] or [0])

    def idle(self):
        """Return whether it never started and never will, so that its name can be used again."""
        status = self.status()
        states = ("begun", "waiting", "running", "elsewhere", "damaged")
        return status["exit_code"] is None and not any(status[state] for state in states)

    def folder(self):
        """Return the directory to which it writes its models."""
        for options in (self.read(self.process).get("effective"), self.read(self.record).get("requested")):
            if isinstance(options, dict) and isinstance(options.get("checkpoint_path"), str):
                return options["checkpoint_path"] or self.checkpoint
        return self.checkpoint

    def place(self, name):
        """Return the path of a file by its name below the run's directory, or of its report. None for other names."""
        if name == self.report():
            return os.path.join(self.folder(), name)
        path = os.path.normpath(os.path.join(self.path, name))
        return path if path.startswith(self.path + os.sep) else None

    def report(self):
        """Return the name of the report that train.lua writes beside its model."""
        return rules.report(self.name)

    def hold(self):
        """Lock its name and return the descriptor. The lock lasts until all processes have closed it, also the program.

        StackError if a process of a run of this name is still running, even if the directory of that run is gone.
        """
        make_directory(os.path.dirname(self.lock))
        handle = open_own(self.lock)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            holder = holder_of(handle)
            os.close(handle)
            raise StackError(
                "a process of a run called %s is still running (%s): wait until it has ended, or choose another id"
                % (self.name, holder)
            )
        return handle


def read_object(path, limit=LARGEST_RECORD):
    """Return the JSON object in a file of a run, or {} if the file is missing, damaged, too large or too deep.

    The only reader of these files. The account of the runs can write anything into them, and root reads them: so
    nothing in them is an error. OSError if the file cannot be read or is not an ordinary file.
    """
    found = read_json(path, limit)
    return as_native(found) if isinstance(found, dict) and is_flat(found) else {}


def is_flat(value):
    """Return whether a value from JSON has at most DEEPEST levels of lists and objects."""
    level = [value]
    for _depth in range(DEEPEST + 1):
        if not level:
            return True
        inner = [entry.values() if isinstance(entry, dict) else entry for entry in level]
        level = [entry for entries in inner for entry in entries if isinstance(entry, (dict, list))]
    return False


def names(root):
    """Return the ids of all runs of a host."""
    directory = layout.runs(root)
    listed = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    named = [name for name in listed if rules.is_id(name)]
    return [name for name in named if os.path.exists(os.path.join(directory, name, rules.RECORD))]


def active(root):
    """Return [(run, status)] of the runs of a host that are running, or waiting for an earlier run to end.

    A run whose files cannot be read is left out.
    """
    found = []
    for run in (Run(root, name) for name in names(root)):
        try:
            status = {} if run.has_ended() else run.status()
        except Exception:  # whatever the files of a run contain, the other runs can be started
            continue
        if status.get("running") or status.get("waiting"):
            found.append((run, status))
    return found


def sampled(run, size=16 << 20):
    """Return the samples of a run in the last `size` bytes of the file. Incomplete lines are left out."""
    found = []
    for line in end_of(run.samples, size).splitlines():
        entry = parse_json(line)
        if isinstance(entry, dict) and isinstance(entry.get("time"), (int, float)):
            found.append(entry)
    return found


def checkpoints(run):
    """Return [{file, bytes, modified}] of the models and reports that the run has written."""
    folder = run.folder()
    mine = re.compile(r"model_id%s(\.last)?\.(t7|json)$" % re.escape(run.name))
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for path in [os.path.join(folder, name) for name in entries if mine.match(name)]:
        try:
            status = os.stat(path)
        except OSError:
            continue  # a training may replace its models meanwhile
        if stat.S_ISREG(status.st_mode):
            found.append({"file": path, "bytes": status.st_size, "modified": status.st_mtime})
    return found


def report_of(run):
    """Return the report that train.lua writes beside its model, or None before there is one."""
    return read_object(os.path.join(run.folder(), run.report()), LARGEST_LIST) or None
