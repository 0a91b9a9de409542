# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What leads runs on a host to their end, one after the other on one card, and outlives whoever asked for them.

It starts each program, notes what it takes (its processor time, its card), ends a stage at a plateau or an iteration
and starts the next one from its model. It is packed into one file with all that it imports, so that a run's
directory holds the code that led it, and Slurm can carry it to a node.

Nothing that only observes ends a run: what cannot be seen or written down is noted, and the program goes on.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import io
import os
import resource
import signal
import subprocess
import time

from . import files, launch
from ..captioning.decoder import Stopped
from .launch import needs_card, weights_of
from .summary import models
from ..programs.processes import end_with_parent
from ..programs.dispatch import command, lay_out, refuse
from ..rules import run as rules
from .control import signalled
from .files import Run
from .locks import write_down
from ..host.commands import FULL_DISK
from ..host.errors import StackError
from ..host.files import write_json, write_whole
from ..host.processes import start_of
from .sampling import Look, keep, last_iteration, observed
from .stage_end import reached

POLL = 0.5
PATIENCE = 10.0
"""Seconds that a program gets to end by itself before it is killed."""
UNWRITTEN = 600.0
"""Seconds that an end which finds no room on the disk is tried again."""


class Supervisor(object):
    """One process that leads the runs of a plan."""

    def __init__(self, root, plan, directory, unit=""):
        self.root, self.plan, self.directory, self.unit = root, plan, directory, unit
        self.card = plan.get("card")
        self.told = None  # the signal that ends all of it
        self.locks, self.places = {}, {}

    def lead(self):
        """All runs of the plan, in order. Where one fails, those go on that do not need it."""
        signal.signal(signal.SIGTERM, self.hear)
        signal.signal(signal.SIGINT, self.hear)
        state = {
            "id": self.plan["runs"][0]["id"], "pid": os.getpid(), "start": start_of(os.getpid()), "card": self.card,
            "unit": self.unit, "job": os.environ.get("SLURM_JOB_ID", ""), "node": files.node(),
        }  # fmt: skip
        for asked in self.plan["runs"]:
            run = Run(self.root, asked["id"])
            self.places[run.name] = observed(open_directory, run.path)
            self.locks[run.name] = run.hold()
            write_down(self.locks[run.name], "pid %d" % os.getpid())
        write_json(os.path.join(self.directory, rules.STATE), state)
        for asked in self.plan["runs"]:
            run = Run(self.root, asked["id"])
            try:
                self.supervise(run, asked)
            finally:
                os.close(self.locks.pop(run.name))
                observed(os.close, self.places.pop(run.name))

    def hear(self, number, _frame):
        self.told = number

    def there(self, run):
        """Whether a run's directory is still the one that was made for it."""
        try:
            return os.path.samestat(os.lstat(run.path), os.fstat(self.places[run.name]))
        except (OSError, TypeError):  # it is gone, or was when its supervisor began
            return False

    def write(self, run, path, value):
        """Write down how a run ends; whether it stands there. A directory that is gone is not made again."""
        try:
            if self.there(run):
                write_whole(path, value) if path == run.exit else write_json(path, value)
            return True
        except (IOError, OSError):
            return False

    def insist(self, run, path, value):
        """As `write`, again and again where the disk is full: an end that nobody wrote down looks like a kill."""
        deadline = time.time() + UNWRITTEN
        while not self.write(run, path, value) and time.time() < deadline:
            time.sleep(POLL)

    def supervise(self, run, asked):
        """One run, from its place in the queue to its exit code."""
        if not self.there(run):
            return
        try:
            reason = self.hindrance(run, asked)
            if reason:
                self.insist(run, run.ended, reason)
                return
            process, began = self.begin(run, asked)
        except Stopped:
            self.insist(run, run.ended, self.hindrance(run, asked))
            return
        except Exception as error:
            words = str(error) if isinstance(error, StackError) else "%s: %s" % (type(error).__name__, error)
            self.insist(run, run.ended, {"by": "refused", "evidence": words})
            return
        self.attend(run, asked, process, began)

    def hindrance(self, run, asked):
        """Why a run is not begun; None where it is."""
        if os.path.exists(run.stopped):
            return {"by": "stopped", "evidence": "before its program was started"}
        if self.told:
            return {"by": "signal", "evidence": "its supervisor was ended by signal %d" % self.told}
        if asked.get("needs"):
            if not rules.ended_well(Run(self.root, asked["needs"]).status()):
                return {
                    "by": "skipped",
                    "evidence": "%s, which it continues, did not end successfully" % asked["needs"],
                }
        return None

    def unwanted(self, run):
        """Whether a run is to end that has not begun yet."""
        return bool(self.told) or os.path.exists(run.stopped) or not self.there(run)

    def begin(self, run, asked):
        """(the process of a run, when it began)."""
        generation, program = self.plan["generation"], asked["program"]
        arguments = needs_card(generation, asked["requested"]) if self.card else dict(asked["requested"])
        begins = 0
        if asked.get("parent") and program == "train.lua":
            model = weights_of(asked["parent"], models(Run(self.root, asked["parent"]["id"])))
            arguments["start_from"], begins = model["file"], model["iteration"]
        refuse(run, program, arguments, asked.get("files", []), generation)
        given, images, aside = lay_out(run, arguments, program, generation, lambda: self.unwanted(run))
        # Its input is an empty file whose lock says, as long as any process of the run lives, that its name is taken.
        lock = self.locks[run.name]
        os.lseek(lock, 0, os.SEEK_END)
        with io.open(run.log, "ab") as log:
            process = subprocess.Popen(
                command(run, program, given, generation, self.directory),
                cwd=run.work,
                env=launch.environment(run, self.card),
                preexec_fn=mortal,
                close_fds=True,
                stdin=lock,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        began = time.time()
        try:
            write_json(
                run.process,
                {
                    "pid": process.pid, "start": start_of(process.pid), "started": began, "card": self.card,
                    "effective": given, "images": len(images), "set_aside": len(aside), "begins": begins,
                },
            )  # fmt: skip
        except (IOError, OSError):
            signalled(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return process, began

    def attend(self, run, asked, process, began):
        """Watch a run until it ends, or end it: when told to, where its stage is over or its directory is gone."""
        spent = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        look, reason = Look(run, process.pid, self.card, began), None
        while process.poll() is None:
            try:
                reason = self.reason_to_end(run, asked, look)
            except Exception as error:
                look.problem = "%s: %s" % (type(error).__name__, error)
            if reason:
                end(process)
            else:
                time.sleep(POLL)
        total = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - spent
        last = {"time": round(time.time(), 1), "pids": [], "cpu": round(total, 2)}
        observed(keep, look.samples, dict(last, iteration=observed(last_iteration, run)))
        look.close()
        if process.returncode and not reason and self.there(run):
            full = observed(full_disk, run)
            if full:
                self.insist(run, run.ended, {"by": "disk", "evidence": full})
        self.insist(run, run.exit, "%d\n" % process.returncode)

    def reason_to_end(self, run, asked, look):
        """Why a run is to be ended now; None while it goes on. What ends it by itself is on the disk by then."""
        if not self.there(run):
            return "gone"
        if self.told:
            self.write(run, run.ended, self.hindrance(run, asked))
            return "told"
        if os.path.exists(run.stopped):
            return "stopped"
        if not look.due():
            return None
        look.take()
        reached_end = reached(run, asked.get("until"))
        # Where it cannot be written down that the stage is over, the training is worth more than its end.
        return "over" if reached_end and self.write(run, run.ended, reached_end) else None


def open_directory(path):
    """A directory held open: as long as it is, no other one gets its number, by which the two are told apart."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return handle


def full_disk(run):
    """Which disk of a run is full, in words; empty where none is."""
    for path in (run.path, run.folder()):
        status = os.statvfs(path)
        free = status.f_bavail * status.f_frsize
        if free < FULL_DISK or (status.f_files and not status.f_favail):
            return "no space left on the disk of %s: %d bytes and %d files are free" % (path, free, status.f_favail)
    return ""


def mortal():
    """In the child: a session of its own, that ends when its supervisor is gone."""
    os.setsid()
    end_with_parent(signal.SIGTERM)


def end(process):
    """End a program with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.time() + PATIENCE
        signalled(process.pid, number)
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.1)
    signalled(process.pid, signal.SIGKILL)  # what it left behind
    process.wait()
