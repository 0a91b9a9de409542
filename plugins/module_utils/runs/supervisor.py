# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The supervisor: the process on a host that executes the runs of a plan, one after the other, on one card.

It continues after the command that started it has ended. It starts each program, records samples of it (CPU time,
card), ends a stage at a plateau or an iteration, and starts the next stage from its model. It is packed into one file
with all that it imports: the directory of a run contains the code that supervised it, and a Slurm job can contain it.

A failure to observe a run never ends the run: what cannot be read or written is recorded, and the program continues.

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

from . import launch
from ..captioning.decoder import Stopped
from .launch import needs_card, weights_of
from .summary import models, succeeded
from ..programs.processes import end_with_parent
from ..programs.dispatch import command, lay_out, refuse
from ..rules import run as rules
from .control import signalled
from .files import Run
from .locks import write_holder
from ..host.disk import is_full, left_on
from ..host.errors import StackError
from ..host.files import write_json, write_whole
from ..host.origin import origin
from ..host.processes import start_of
from .sampling import Sampler, append_sample, last_iteration, attempt
from .stage_end import end_of_stage
from ..rules import clock
from ..host.texts import text_of

POLL = 0.5
PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL when a program is ended."""
WRITE_TIMEOUT = 600.0
"""Seconds during which the end of a run is written again and again if the disk is full."""


class Supervisor(object):
    """Executes the runs of a plan."""

    def __init__(self, root, plan, directory, unit=""):
        self.root, self.plan, self.directory, self.unit = root, plan, directory, unit
        self.card = plan.get("card")
        self.signal = None  # the number of the signal that ends this supervisor
        self.locks, self.places = {}, {}
        self.has_begun = False

    def begin(self):
        """Lock the names of all runs, and write the state of this supervisor: from then on, the runs are active."""
        self.has_begun = True
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGINT, self.on_signal)
        state = dict(
            origin(), id=self.plan["runs"][0]["id"], pid=os.getpid(), start=start_of(os.getpid()), card=self.card,
            unit=self.unit, job=os.environ.get("SLURM_JOB_ID", "")
        )  # fmt: skip
        for request in self.plan["runs"]:
            run = Run(self.root, request["id"])
            self.places[run.name] = attempt(open_directory, run.path)
            self.locks[run.name] = run.hold()
            write_holder(self.locks[run.name], "pid %d on %s" % (os.getpid(), state["node"]))
        write_json(os.path.join(self.directory, rules.STATE), state)

    def supervise_all(self):
        """Execute all runs of the plan, in order. If one fails, the runs that do not need it are still executed."""
        if not self.has_begun:
            self.begin()
        for request in self.plan["runs"]:
            run = Run(self.root, request["id"])
            try:
                self.supervise(run, request)
            finally:
                os.close(self.locks.pop(run.name))
                attempt(os.close, self.places.pop(run.name))

    def on_signal(self, number, _frame):
        self.signal = number

    def has_directory(self, run):
        """Return whether a run's directory is still the one that was created for it."""
        try:
            return os.path.samestat(os.lstat(run.path), os.fstat(self.places[run.name]))
        except (OSError, TypeError):  # it is gone, or was already gone when the supervisor started
            return False

    def write(self, run, path, value):
        """Write a file about the end of a run; return False if that fails. Writes nothing if its directory is gone."""
        try:
            if self.has_directory(run):
                write_whole(path, value) if path == run.exit else write_json(path, value)
            return True
        except (IOError, OSError):
            return False

    def write_until_success(self, run, path, value):
        """As `write`, but try again for WRITE_TIMEOUT: a run without a recorded end looks as if it was killed."""
        deadline = clock.seconds() + WRITE_TIMEOUT
        while not self.write(run, path, value) and clock.seconds() < deadline:
            time.sleep(POLL)

    def supervise(self, run, request):
        """Execute one run, and record how it ended."""
        if not self.has_directory(run):
            return
        try:
            reason = self.reason_not_to_start(run, request)
            if reason:
                self.write_until_success(run, run.ended, reason)
                return
            process = self.start(run, request)
        except Stopped:
            self.write_until_success(run, run.ended, self.reason_not_to_start(run, request))
            return
        except Exception as error:
            message = str(error) if isinstance(error, StackError) else "%s: %s" % (type(error).__name__, text_of(error))
            self.write_until_success(run, run.ended, {"by": "refused", "evidence": message})
            return
        self.watch(run, request, process)

    def reason_not_to_start(self, run, request):
        """Return the reason why a run must not be started, as {by, evidence}, or None."""
        if os.path.exists(run.stopped):
            return {"by": "stopped", "evidence": "before its program was started"}
        if self.signal:
            return {"by": "signal", "evidence": "its supervisor was ended by signal %d" % self.signal}
        if request.get("needs"):
            if not succeeded(Run(self.root, request["needs"])):
                return {
                    "by": "skipped",
                    "evidence": "%s, which it continues, did not end successfully" % request["needs"],
                }
        return None

    def is_cancelled(self, run):
        """Return whether a run that has not started yet must not be started."""
        return bool(self.signal) or os.path.exists(run.stopped) or not self.has_directory(run)

    def start(self, run, request):
        """Start the program of a run; return (process, time of its start)."""
        generation, program = self.plan["generation"], request["program"]
        arguments = needs_card(generation, request["requested"]) if self.card else dict(request["requested"])
        begins = 0
        if request.get("parent") and program == "train.lua":
            model = weights_of(request["parent"], models(Run(self.root, request["parent"]["id"])))
            arguments["start_from"], begins = model["file"], model["iteration"]
        refuse(run, program, arguments, request.get("files", []), generation)
        effective, images, set_aside = lay_out(run, arguments, program, generation, lambda: self.is_cancelled(run))
        # Its stdin is the lock file of its name, so that the name stays locked while any process of the run is alive.
        lock = self.locks[run.name]
        os.lseek(lock, 0, os.SEEK_END)
        with io.open(run.log, "ab") as log:
            process = subprocess.Popen(
                command(run, program, effective, generation, self.directory),
                cwd=run.work,
                env=launch.environment(run, self.card),
                preexec_fn=start_session,
                close_fds=True,
                stdin=lock,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            write_json(
                run.process,
                {
                    "pid": process.pid, "start": start_of(process.pid), "started": time.time(), "card": self.card,
                    "effective": effective, "images": len(images), "set_aside": len(set_aside), "begins": begins,
                },
            )  # fmt: skip
        except (IOError, OSError):
            signalled(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return process

    def watch(self, run, request, process):
        """Wait until a run ends. End it on a signal, on request, after its stage, or if its directory is gone."""
        spent = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        sampler, reason = Sampler(run, process.pid, self.card), None
        while process.poll() is None:
            try:
                reason = self.reason_to_end(run, request, sampler)
            except Exception as error:
                sampler.problem = "%s: %s" % (type(error).__name__, text_of(error))
            if reason:
                end(process)
            else:
                time.sleep(POLL)
        total = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - spent
        last = {"time": round(time.time(), 1), "pids": [], "cpu": round(total, 2)}
        attempt(append_sample, sampler.samples, dict(last, iteration=attempt(last_iteration, run)))
        sampler.close()
        if process.returncode and not reason and self.has_directory(run):
            full = attempt(full_disk, run)
            if full:
                self.write_until_success(run, run.ended, {"by": "disk", "evidence": full})
        self.write_until_success(run, run.exit, "%d\n" % process.returncode)

    def reason_to_end(self, run, request, sampler):
        """Return the reason why a run must end now, or None. Writes ended.json before, if it is needed."""
        if not self.has_directory(run):
            return "gone"
        if self.signal:
            self.write(run, run.ended, self.reason_not_to_start(run, request))
            return "signal"
        if os.path.exists(run.stopped):
            return "stopped"
        if not sampler.due():
            return None
        sampler.take()
        reached_end = end_of_stage(run, request.get("until"))
        # If ended.json cannot be written, the training continues, because nobody could see why it was ended.
        return "over" if reached_end and self.write(run, run.ended, reached_end) else None


def open_directory(path):
    """Open a directory, so that its inode number is not used again: a new directory of this name is recognised."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return handle


def full_disk(run):
    """Return a message about a disk of the run that is full, or "" if none is."""
    for path in (run.path, run.folder()):
        if is_full(path):
            return "no space left on the disk of %s: %s" % (path, left_on(path))
    return ""


def start_session():
    """In the child: start a new session that ends when the supervisor has ended."""
    os.setsid()
    end_with_parent(signal.SIGTERM)


def end(process):
    """End a program and all processes that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = clock.seconds() + PATIENCE
        signalled(process.pid, number)
        while process.poll() is None and clock.seconds() < deadline:
            time.sleep(0.1)
    signalled(process.pid, signal.SIGKILL)  # the processes that it has left
    process.wait()
