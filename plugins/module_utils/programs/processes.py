# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Child processes that execute tasks, one per core. They end when their parent ends, even if it is killed.

Tasks and results are JSON, one line each, over pipes. Children are forked early, while the parent uses little memory.

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
from ..host.texts import as_text, text_of
from ..pictures.files import printed
from ..rules import codes

PR_SET_PDEATHSIG = 1
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
"""The signals that end a process if a library crashes."""
CELL = struct.Struct("=q")


class DeathError(Exception):
    """A child ended without a result: by `signal` (0 if it was none), or with the exit code `code`."""

    def __init__(self, status):
        super(DeathError, self).__init__(status)
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0


def cores():
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    try:
        return max(1, os.sysconf("SC_NPROCESSORS_ONLN"))
    except (ValueError, OSError):
        return 1


def retry_interrupted(call, *args):
    """Return the result of a system call. It is called again if a signal interrupts it (for Python 2.7)."""
    while True:
        try:
            return call(*args)
        except (IOError, OSError, select.error) as error:
            if getattr(error, "errno", None) != errno.EINTR and error.args[0] != errno.EINTR:
                raise


def write_all(handle, data):
    """Write all of the bytes."""
    view = memoryview(data)
    while len(view):
        view = view[retry_interrupted(os.write, handle, view) :]


class Process(object):
    """A child that executes one task after the other with `work(task, note)`, whose result is the result of the task.

    `note(number)` records the child's position in its task; `at()` returns it in the parent, also after a crash.
    """

    def __init__(self, work):
        self.work = work
        self.cell = mmap.mmap(-1, CELL.size)
        self.start()

    def start(self):
        """Fork the child; also after the previous one has died."""
        tasks, self.tasks = os.pipe()
        self.answers, answers = os.pipe()
        self.unread = b""
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python 3.12 warns about threads; those of numpy are idle.
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
        """Return the number of the child's last note."""
        return CELL.unpack_from(self.cell, 0)[0]

    def give(self, task):
        """Send a task to a child that has none. If the child has died, the next `answer` raises a DeathError."""
        try:
            write_all(self.tasks, as_text(json.dumps(task)).encode("utf-8") + b"\n")
        except (IOError, OSError) as error:
            if error.errno != errno.EPIPE:
                raise

    def answer(self):
        """Return the child's result, or None if incomplete. For when `answers` is readable. DeathError, StackError."""
        data = retry_interrupted(os.read, self.answers, 1 << 16)
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
        """Kill the child, and return its status as waitpid does."""
        if self.pid is None:
            return 0
        try:
            os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass
        status = retry_interrupted(os.waitpid, self.pid, 0)[1]
        os.close(self.tasks)
        os.close(self.answers)
        self.pid = None
        return status


def end_with_parent(number):
    """In a child: get this signal when the parent has ended for whatever reason."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with(parent):
    """In a child: end when the parent has ended. Interrupts from the terminal are ignored; the parent handles them."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def serve(tasks, answers, work, note):
    """In a child: execute tasks until there are no more. Output of libraries (libtiff's on stderr) is discarded."""
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
            except (IOError, OSError) as error:
                answer = {"failed": os_error_in_words(error), "details": {"code": codes.of_errno(error.errno)}}
            except Exception as error:
                message = "%s: %s" % (type(error).__name__, as_text(text_of(error)))
                answer = {"failed": message, "details": {"exception": as_text(traceback.format_exc())}}
            write_all(answers, as_text(json.dumps(answer)).encode("utf-8") + b"\n")
    os._exit(0)


def os_error_in_words(error):
    """Return the file that an OSError names, and its reason."""
    if error.filename and error.strerror:
        return as_text("%s: %s") % (as_text(printed(error.filename)), as_text(error.strerror))
    return as_text(text_of(error))


class Pool(object):
    """Processes that execute tasks in parallel."""

    def __init__(self, jobs, work):
        self.members = [Process(work) for _ in range(jobs)]

    def run(self, tasks, done, crashed, tick):
        """Execute all tasks, started in this order, and call `done(task, result)` for each.

        `tick()` is called after every result and at least once a second. If a library crashes, `crashed(task, number,
        signal)` returns the task to execute instead; `number` is the last note. StackError if a child fails or is
        killed; the other children continue until `end`.
        """
        tasks = iter(tasks)
        retries = collections.deque()  # type: collections.deque[object]
        idle, busy = list(self.members), {}
        while True:
            while idle:
                task = retries.popleft() if retries else next(tasks, None)
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
                    retries.append(crashed(task, member.at(), crash_of(death)))
                    member.start()
                del busy[handle]
                idle.append(member)
            tick()

    def end(self):
        """Kill all children."""
        for member in self.members:
            member.end()


def crash_of(death):
    """Return the signal by which a library crashed. StackError if it was not a crash."""
    if death.signal in CRASHES:
        return death.signal
    if death.signal == signal.SIGKILL:
        message = "a worker process was killed (signal 9), probably by the out-of-memory killer: run the same command "
        message += "again with fewer processes (`--jobs`) or more memory"
        raise StackError(message)
    message = "a worker process ended (%s): run the same command again"
    raise StackError(message % ("signal %d" % death.signal if death.signal else "exit code %d" % death.code))


def readable(handles, seconds):
    """Return those of the handles that are readable or closed, after `seconds` at most."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN | select.POLLHUP | select.POLLERR)
    return [handle for handle, _event in retry_interrupted(poll.poll, int(seconds * 1000))]


def in_child(work):
    """Return `work()`, called in a child process, whose memory is free afterwards. A StackError is raised here too."""
    child = Process(lambda _task, _note: work())
    try:
        child.give({})
        while True:
            answer = child.answer()
            if answer is not None:
                return answer
    except DeathError as death:
        if death.signal == signal.SIGKILL:
            raise StackError("the captions need more memory than is available: the process that read them was killed")
        raise StackError(
            "the process that read the captions ended (signal %d, exit code %d)" % (death.signal, death.code)
        )
    finally:
        child.end()
