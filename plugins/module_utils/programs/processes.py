# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Child processes that answer tasks, as many at once as there are cores; they end with their parent, however it ends.

Tasks and answers are JSON, one line each, over pipes. A child is forked early, when its parent is small still.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import ctypes
import errno
import json
import mmap
import os
import select
import signal
import struct
import sys
import traceback
import warnings

from ..host.errors import StackError
from ..host.texts import as_text

PR_SET_PDEATHSIG = 1
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
"""Signals by which a library ends that was given something it cannot take."""
CELL = struct.Struct("=q")


class DeathError(Exception):
    """A child ended without an answer; `signal` 0 where it was none."""

    def __init__(self, status):
        super(DeathError, self).__init__(status)
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0


def cores():
    """How many processes can run at once here: the cores that this one may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    try:
        return max(1, os.sysconf("SC_NPROCESSORS_ONLN"))
    except (ValueError, OSError):
        return 1


def untiring(call, *given):
    """What a system call gives; it is made again where a signal that changes nothing broke it off (Python 2.7)."""
    while True:
        try:
            return call(*given)
        except (IOError, OSError, select.error) as error:
            if getattr(error, "errno", None) != errno.EINTR and error.args[0] != errno.EINTR:
                raise


def write_all(handle, data):
    """Write all of the bytes."""
    view = memoryview(data)
    while len(view):
        view = view[untiring(os.write, handle, view) :]


class Process(object):
    """A child that answers one task after the other with `work(task, note)`.

    `note(number)` says where in its task it is: `at()` tells that, also after it crashed.
    """

    def __init__(self, work):
        self.work = work
        self.cell = mmap.mmap(-1, CELL.size)
        self.start()

    def start(self):
        """Fork a child, in the place of one that has died too."""
        tasks, self.tasks = os.pipe()
        self.answers, answers = os.pipe()
        self.unread = b""
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; numpy's do nothing here.
            warnings.simplefilter("ignore")
            self.pid = os.fork()  # type: int | None
        if self.pid == 0:
            try:
                die_with(parent)
                for handle in (self.tasks, self.answers):
                    os.close(handle)
                serve(tasks, answers, self.work, self.note)
            finally:
                os._exit(70)
        os.close(tasks)
        os.close(answers)

    def note(self, number):
        CELL.pack_into(self.cell, 0, number)

    def at(self):
        """The number of the child's last note."""
        return CELL.unpack_from(self.cell, 0)[0]

    def give(self, task):
        """Hand a task to a child that has none. One that has died says so when it is listened to."""
        try:
            write_all(self.tasks, as_text(json.dumps(task)).encode("utf-8") + b"\n")
        except (IOError, OSError) as error:
            if error.errno != errno.EPIPE:
                raise

    def answer(self):
        """The child's answer, None while it is not whole; for when `answers` can be read. DeathError, StackError."""
        data = untiring(os.read, self.answers, 1 << 16)
        if not data:
            raise DeathError(self.end())
        self.unread += data
        if not self.unread.endswith(b"\n"):
            return None
        answer, self.unread = json.loads(self.unread.decode("utf-8")), b""
        if "failed" in answer:
            raise StackError(answer["failed"], **answer.get("details", {}))
        return answer["done"]

    def end(self):
        """End the child now; how it ended, as waitpid tells it."""
        if self.pid is None:
            return 0
        try:
            os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass
        status = untiring(os.waitpid, self.pid, 0)[1]
        os.close(self.tasks)
        os.close(self.answers)
        self.pid = None
        return status


def end_with_parent(number):
    """In a child: get this signal when the parent is gone, whatever ended it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with(parent):
    """End as soon as the parent has, whatever ended it. Interrupts from the terminal are the parent's to hear."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def serve(tasks, answers, work, note):
    """Answer tasks until there are no more. Libraries that print to stderr (libtiff does) print into nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    with os.fdopen(tasks, "rb") as file:
        for line in iter(file.readline, b""):
            note(-1)
            try:
                answer = {"done": work(json.loads(line.decode("utf-8")), note)}
            except StackError as error:
                answer = {"failed": as_text(error.args[0]), "details": error.details}
            except MemoryError:
                answer = {"failed": "there is not enough memory for this"}
            except Exception as error:
                words = "%s: %s" % (type(error).__name__, as_text(str(error)))
                answer = {"failed": words, "details": {"exception": as_text(traceback.format_exc())}}
            write_all(answers, as_text(json.dumps(answer)).encode("utf-8") + b"\n")
    os._exit(0)


class Pool(object):
    """Processes that share tasks."""

    def __init__(self, jobs, work):
        self.members = [Process(work) for _ in range(jobs)]

    def run(self, tasks, done, crashed, tick):
        """Have all tasks done, in their order, and call `done(task, answer)` for each.

        `tick()` is called after every answer and at least once a second. Where a library crashes, `crashed(task,
        number, signal)` gives the task that is to be done in its place; `number` is the last note. StackError where a
        child fails or is killed; the others go on until `end`.
        """
        tasks = iter(tasks)
        again = collections.deque()  # type: collections.deque[object]
        idle, busy = list(self.members), {}
        while True:
            while idle:
                task = again.popleft() if again else next(tasks, None)
                if task is None:
                    break
                member = idle.pop()
                member.give(task)
                busy[member.answers] = (member, task)
            if not busy:
                return
            for handle in readable(list(busy), 1.0):
                member, task = busy[handle]
                try:
                    answer = member.answer()
                    if answer is None:
                        continue
                    done(task, answer)
                except DeathError as death:
                    again.append(crashed(task, member.at(), crash_of(death)))
                    member.start()
                del busy[handle]
                idle.append(member)
            tick()

    def end(self):
        """End all children."""
        for member in self.members:
            member.end()


def crash_of(death):
    """The signal by which a library crashed. StackError where it was no crash."""
    if death.signal in CRASHES:
        return death.signal
    if death.signal == signal.SIGKILL:
        words = "a working process was killed (signal 9), probably by the out-of-memory killer: run the same command "
        words += "again with fewer processes (`--jobs`) or more memory"
        raise StackError(words)
    words = "a working process ended (%s): run the same command again"
    raise StackError(words % ("signal %d" % death.signal if death.signal else "exit code %d" % death.code))


def readable(handles, seconds):
    """Those of the handles that can be read, or are closed; waits so long at most."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN | select.POLLHUP | select.POLLERR)
    return [handle for handle, _event in untiring(poll.poll, int(seconds * 1000))]


def apart(work):
    """What `work()` returns, done in a child of its own, whose memory is free again afterwards. A StackError passes."""
    child = Process(lambda _task, _note: work())
    try:
        child.give({})
        while True:
            answer = child.answer()
            if answer is not None:
                return answer
    except DeathError as death:
        if death.signal == signal.SIGKILL:
            raise StackError("the captions need more memory than there is: the process that read them was killed")
        raise StackError(
            "the process that read the captions ended (signal %d, exit code %d)" % (death.signal, death.code)
        )
    finally:
        child.end()
