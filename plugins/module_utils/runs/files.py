# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The runs of a host: the files of one, whether it runs, and who holds its name.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library. What a run writes of itself is
listed in rules/run.py. All of it belongs to the account of the runs. Whoever reads here does so as that account.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import io
import json
import os
import re
import stat

from ..host.errors import StackError
from ..host.files import make_directory, read_native, read_text
from ..host.processes import is_alive
from ..rules import run as rules
from .locks import open_own
from ..rules import layout


def node():
    """What this host calls itself."""
    return os.uname()[1]


class Run(object):
    """The files of one run."""

    def __init__(self, root, name):
        if not rules.is_id(name):
            raise StackError(
                "%r is no id of a run: letters, digits and . _ - only, and not .last or .new at its end" % name
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

    def asked(self):
        """What was asked of it. StackError where there is no such run, or nobody can tell any more."""
        record = read_native(self.record)
        if record is None and not os.path.exists(self.record):
            raise StackError("there is no run called %s on this host" % self.name)
        if not isinstance(record, dict) or not isinstance(record.get("generation"), str):
            raise StackError("run %s: %s is damaged: it does not say what was asked" % (self.name, self.record))
        return record

    def told(self, path):
        """What stands in a file of it; empty where it is not there, or damaged."""
        found = read_native(path)
        return found if isinstance(found, dict) else {}

    def supervisor(self, record=None):
        """{pid, start, card, unit, job} of the process that supervises it, empty before that began."""
        place = rules.supervisor(record or self.told(self.record))
        return self.told(os.path.join(place if isinstance(place, str) else self.path, rules.STATE))

    def damaged(self, record, process, ended, code):
        """The names of its files that are there and say nothing; given is what they say."""
        files = ((self.record, record), (self.process, process), (self.ended, ended), (self.exit, code is not None))
        return [os.path.basename(path) for path, said in files if not said and os.path.exists(path)]

    def exit_code(self):
        """Its exit code; None before its end, and where what stands there is none."""
        try:
            return int((read_text(self.exit, 64) or "").strip()[:12])
        except ValueError:
            return None

    def status(self, record=None):
        """What can be said of it now. Begun, not running and without an exit code means that it was killed.

        `record` is what it was asked, where that is known already.
        """
        record = record or self.told(self.record)
        leader = self.supervisor(record)
        process, ended = self.told(self.process), self.told(self.ended)
        # Where hosts share a disk, only the one that computes can tell whether it does.
        elsewhere = leader.get("node", node()) != node()
        # Asked before the code is read: a run that ends in between is not taken for a killed one.
        led = not elsewhere and is_alive(leader.get("pid"), leader.get("start"))
        alive = not elsewhere and is_alive(process.get("pid"), process.get("start"))
        code = self.exit_code()
        over = os.path.exists(self.exit) or os.path.exists(self.ended)
        return {
            "id": self.name,
            "path": self.path,
            "log": self.log,
            "pid": process.get("pid"),
            "begun": bool(process),
            "exit_code": code,
            "running": bool(process) and not over and (led or alive),
            "waiting": not process and not over and led,
            "ended": ended or None,
            "card": process.get("card") or leader.get("card"),
            "elsewhere": leader["node"] if elsewhere else "",
            "unit": leader.get("unit"),
            "job": leader.get("job"),
            "stopped": os.path.exists(self.stopped),
            "parent": record.get("parent"),
            "stage": record.get("stage"),
            "until": record.get("until"),
            "needs": record.get("needs"),
            "sweep": record.get("sweep"),
            "supervisor": rules.supervisor(record),
            "damaged": self.damaged(record, process, ended, code),
        }

    def over(self):
        """Whether it has ended, by the least that tells so."""
        return os.path.exists(self.exit) or os.path.exists(self.ended)

    def idle(self):
        """Whether it never began and never will: its place can be taken."""
        status = self.status()
        told = ("begun", "waiting", "running", "elsewhere", "damaged")
        return status["exit_code"] is None and not any(status[word] for word in told)

    def folder(self):
        """Where it writes its models."""
        for options in (rules.effective(self.told(self.process)), rules.requested(self.told(self.record))):
            if isinstance(options, dict) and isinstance(options.get("checkpoint_path"), str):
                return options["checkpoint_path"] or self.checkpoint
        return self.checkpoint

    def place(self, name):
        """Where a file is that is named below its directory; its report may lie elsewhere. None for any other."""
        if name == self.report():
            return os.path.join(self.folder(), name)
        path = os.path.normpath(os.path.join(self.path, name))
        return path if path.startswith(self.path + os.sep) else None

    def report(self):
        """The name of what train.lua writes beside its model."""
        return rules.report(self.name)

    def hold(self):
        """Hold its name: a file whose lock lives as long as whoever has it open, the program among them.

        StackError where something of a run of that name lives still, whose directory may be gone.
        """
        make_directory(os.path.dirname(self.lock))
        handle = open_own(self.lock)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            holder = os.read(handle, 200).decode("utf-8", "replace").strip() or "a process that left no number"
            os.close(handle)
            raise StackError(
                "something of a run called %s lives still (%s): wait until it has ended, or choose another id"
                % (self.name, holder)
            )
        return handle


def names(root):
    """The ids of all runs of a host."""
    directory = layout.runs(root)
    listed = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    named = [name for name in listed if rules.is_id(name)]
    return [name for name in named if os.path.exists(os.path.join(directory, name, rules.RECORD))]


def active(root):
    """[(run, its status)] of the runs of a host that compute now, or wait for their turn.

    One whose files cannot be read keeps nobody from what is done for the others.
    """
    found = []
    for run in (Run(root, name) for name in names(root)):
        try:
            status = {} if run.over() else run.status()
        except (IOError, OSError, TypeError, ValueError, AttributeError):
            continue
        if status.get("running") or status.get("waiting"):
            found.append((run, status))
    return found


def active_generations(root):
    """The generations that runs compute with now, or wait for."""
    told = [run.told(run.record).get("generation") for run, _status in active(root)]
    return set(name for name in told if isinstance(name, str))


def end_of(log, size):
    """The last bytes of a log as text: what is being written may end in the middle of a line."""
    try:
        with io.open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read(size).decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno == errno.ENOENT:
            return ""
        raise


def sampled(run, size=16 << 20):
    """What was sampled of a run, as far as its last bytes tell; a line that was cut short is left out."""
    found = []
    for line in end_of(run.samples, size).splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("time"), (int, float)):
            found.append(entry)
    return found


def checkpoints(run):
    """[{file, bytes, modified}] of what stands where the run writes its models, by exactly its names."""
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
            continue  # a training replaces its models while one looks
        if stat.S_ISREG(status.st_mode):
            found.append({"file": path, "bytes": status.st_size, "modified": status.st_mtime})
    return found


def report_of(run):
    """What train.lua wrote beside its model; None before it did."""
    found = read_native(os.path.join(run.folder(), run.report()))
    return found if isinstance(found, dict) else None
