# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Finds the pictures that the stack can read, by its own image.load in separate processes.

One picture that image.load cannot read ends eval.lua, and the captions of all others are lost. Some pictures crash the
process (libpng jumps out of Lua, a PPM may divide by zero), and some make it hang. So each picture is read here first,
with one process per core. If a process ends or hangs, the picture that it was reading is reported as unusable.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import errno
import os
import re
import resource
import select
import signal
import subprocess
import time

from ..pictures.files import as_bytes, printed
from ..pictures.headers import Unusable
from ..rules.texts import without_colours
from ..programs.processes import cores, end_with_parent
from ..runs.control import signalled
from ..host.commands import with_stack
from ..host.errors import StackError
from ..host.limits import signal_name
from ..host.texts import as_native
from ..rules import clock

PROGRAM = r"""
require 'torch'
require 'image'
local function say(words)
  io.stdout:write('\nneuraltalk: ', words, '\n')
  io.stdout:flush()
end
local function read(path)
  local img = image.load(path, 3, 'byte')
  if img == nil then error('image.load gave nothing', 0) end
  image.scale(img, 256, 256) -- as DataLoaderRaw does
  return img:size(1) * img:size(2) * img:size(3)
end
local held = 0
say('ready')
for line in io.lines() do
  say('begin')
  local path = line:gsub('%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
  local went, told = pcall(read, path)
  if went then
    held = held + told
    say('ok')
  else
    say('bad ' .. tostring(told):sub(1, 2000):gsub('.', function(one) return string.format('%02x', one:byte()) end))
  end
  if held > 64 * 1024 * 1024 then -- Lua does not see how large tensors are
    collectgarbage()
    held = 0
  end
end
"""
PATIENCE = 60.0
"""Seconds that image.load may take for one picture."""
LOADING = 300.0
"""Seconds that a process may take to load torch and image."""
MEMORY = 8 << 30
"""Limit of a process's address space, in bytes. The largest picture that is allowed needs about 2 GB."""
MOST_PROCESSES = 32
FEW = 8
"""For so few pictures no additional process is started."""
PAUSE = 0.5
"""Seconds between two calls of `stopped`."""
DYING = 5.0
"""Seconds to wait for a process to end after it was killed."""
HOPELESS = 20
"""Processes that may end one after the other without any result."""
LINE = 1 << 14
_ANSWER = re.compile(r"neuraltalk: (ready|begin|ok|bad)(?: ([0-9a-f]*))?$")
_PLACE = re.compile(r"^(?:\S*/)?[^/:\s]+:\d+: ")


class Stopped(Exception):  # noqa: N818  (not an error)
    """`stopped()` returned True."""


def decode_all(generation, paths, environment, stopped=lambda: False):
    """Yield (index in `paths`, None or an Unusable) for each picture, by image.load of this generation.

    In the order in which the results arrive. `stopped` is called every half second. If it returns True, all processes
    are ended and Stopped is raised. StackError if the module image cannot be loaded.
    """
    pool = Pool(generation, environment, min(cores(), MOST_PROCESSES, 1 + len(paths) // FEW))
    try:
        for answer in pool.work(iter(enumerate(paths)), len(paths), stopped):
            yield answer
    finally:
        pool.end()


class Pool(object):
    """Processes that read pictures. A process that ends is replaced."""

    def __init__(self, generation, environment, size):
        self.argv = with_stack(generation, ["luajit", "-e", PROGRAM])
        self.environment = dict(environment, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
        self.size = size
        self.processes = []
        self.ready = self.well = False  # whether one could load image, and read a picture, ever
        self.lost = 0  # processes that ended since the last answer
        self.retries = []  # pictures that were given to a process which had just ended

    def work(self, pictures, left, stopped):
        """Yield the results of the `left` pictures."""
        asked = clock.seconds()
        while left:
            while len(self.processes) < min(self.size, left):
                self.processes.append(Process(self.argv, self.environment))
            for process in self.processes:
                picture = (self.retries.pop() if self.retries else next(pictures, None)) if process.idle() else None
                if picture and not process.give(*picture):
                    self.retries.append(picture)
            readable = wait_for([process.handle for process in self.processes])
            if clock.seconds() - asked >= PAUSE:
                asked = clock.seconds()
                if stopped():
                    raise Stopped()
            for process in list(self.processes):
                for answer in self.answers(process, process.handle in readable):
                    left -= 1
                    yield answer

    def answers(self, process, readable):
        """Yield the results of a process, or the result that follows from its end."""
        if readable and not process.read():
            reason = self.ended(process)
        elif process.late():
            process.kill()
            if not process.ready:
                message = "image of this stack cannot be loaded in %d s: %s. Run `provision verify`"
                raise StackError(message % (LOADING, process.last_output()))
            self.processes.remove(process)
            process.began = True
            reason = "image.load has not read it within %d s" % PATIENCE
        else:
            for answer in process.answers():
                self.lost, self.well = 0, self.well or answer[1] is None
                yield answer
            self.ready = self.ready or process.ready
            return
        for answer in process.answers():
            yield answer
        if process.has and process.began:
            yield process.has[0], Unusable(reason)
        elif process.has:
            self.retries.append(process.has)

    def ended(self, process):
        """Return how a process ended unexpectedly, as text. StackError if it is useless to start more of them."""
        self.processes.remove(process)
        code = process.kill(DYING)
        if code < 0:
            reason = "image.load was ended by %s while it read it" % signal_name(-code)
            reason += ", probably by the kernel because of too little memory" if code == -signal.SIGKILL else ""
        else:
            reason = "image.load ended its process with code %d while it read it" % code
        self.lost += 1
        if not process.ready and self.ready and self.size > 1:
            self.size -= 1  # there is not enough memory for so many
        elif not process.ready or (self.lost > HOPELESS and not (self.well and process.began)):
            what = "reads no picture" if process.ready else "cannot be loaded"
            message = "image of this stack %s (%s): %s. Run `provision verify`, which loads all modules"
            raise StackError(message % (what, reason, process.last_output()))
        return reason

    def end(self):
        """Kill all processes."""
        while self.processes:
            self.processes.pop().kill()


class Process(object):
    """One luajit process that reads one picture after the other."""

    def __init__(self, argv, environment):
        try:
            self.process = subprocess.Popen(
                argv,
                cwd="/",
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=limit_process,
                close_fds=True,
            )
        except OSError as error:
            raise StackError("%s cannot be started: %s" % (argv[0], error.strerror))
        self.handle = self.process.stdout.fileno()  # type: ignore[union-attr]
        self.ready, self.began, self.has = False, False, None
        self.since = clock.seconds()
        self.text, self.lines = b"", []

    def idle(self):
        """Return whether it waits for a picture."""
        return self.ready and not self.has

    def late(self):
        """Return whether it has exceeded its time limit."""
        return not self.idle() and clock.seconds() - self.since > (PATIENCE if self.ready else LOADING)

    def give(self, place, path):
        """Let it read a picture. Return False if it has ended; its output shows how."""
        try:
            os.write(self.process.stdin.fileno(), binascii.hexlify(as_bytes(path)) + b"\n")  # type: ignore[union-attr]
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            return False
        self.has, self.began, self.since = (place, path), False, clock.seconds()
        return True

    def read(self):
        """Read its output; return False at the end of the output."""
        try:
            data = os.read(self.handle, 1 << 16)
        except OSError:
            return False
        lines = (self.text + (data or b"\n")).split(b"\n")
        self.text = lines.pop()[-LINE:]
        self.lines = (self.lines + [line.decode("utf-8", "replace") for line in lines if line.strip()])[-20:]
        return bool(data)

    def answers(self):
        """Yield (index of its picture, None or an Unusable) if there is a result."""
        for match in [match for match in map(_ANSWER.match, self.lines) if match]:
            word, encoded = match.groups()
            if word == "ready":
                self.ready, self.since = True, clock.seconds()
            elif word == "begin":
                self.began = True
            elif self.has:
                (place, _path), self.has = self.has, None
                yield place, (None if word == "ok" else Unusable("image.load: %s" % error_message(encoded or "")))
        self.lines = [line for line in self.lines if not _ANSWER.match(line)]

    def last_output(self):
        """Return the last lines of its output that are not results."""
        return printed(" | ".join(as_native(self.lines[-5:])) or "it printed nothing")

    def kill(self, patience=0.0):
        """Kill it with all processes that it started; return its exit code, or the negative number of its signal.

        It may take `patience` seconds to end by itself. After that it is killed, and this waits up to DYING seconds: a
        process that waits for a hanging disk cannot be killed.
        """
        began = clock.seconds()
        while self.process.poll() is None and clock.seconds() - began < patience + DYING:
            if clock.seconds() - began >= patience:
                signalled(self.process.pid, signal.SIGKILL)
            time.sleep(0.002)
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()  # type: ignore[union-attr]
            except (IOError, OSError):
                pass
        return -signal.SIGKILL if self.process.returncode is None else self.process.returncode


def error_message(encoded):
    """Return the message of a Lua error in one line, without the position in the program and without colours."""
    text = without_colours(binascii.unhexlify(encoded[: len(encoded) // 2 * 2]).decode("utf-8", "replace"))
    message = _PLACE.sub("", " ".join(text.split()))
    return printed(as_native(message[:300])) or "it printed nothing"


def limit_process():
    """In the child: start a new session that ends with the parent, and limit the memory."""
    os.setsid()
    end_with_parent(signal.SIGKILL)
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def wait_for(handles):
    """Return those of the handles that are readable, after PAUSE at most."""
    try:
        return select.select(handles, [], [], PAUSE)[0]
    except (OSError, select.error) as error:
        if error.args[0] != errno.EINTR:
            raise
        return []
