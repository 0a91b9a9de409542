# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Commands: with their output as a text or in a log, and those with a log that still run.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import io
import os
import re
import signal
import subprocess
import tempfile
import time

from .errors import StackError
from .files import make_directory, read_text, remove, write_whole
from .processes import is_alive, start_of
from .texts import as_text, redact

LOG_TAIL_LINES = 25
# Bytes. A compiler that failed for want of space has removed its temporary files when anybody looks.
FULL_DISK = 16 << 20
PATIENCE = 60
"""Seconds that a short command may take. A driver in trouble can hang nvidia-smi for ever."""
MOST_OUTPUT = 1 << 20
"""Bytes of a short command's output that are read."""
_INTERESTING = re.compile(r"(?i)\b(error|fatal|cannot|undefined|not found|no such|denied|no space)\b|\*\*\*")


def output_of(argv, patience=PATIENCE, errors=True, environment=None):
    """(what a short command printed, its return code); ('', None) where there is no such command.

    The return code is 126 where the command is there and cannot be started, 124 where it has not ended after `patience`
    seconds. Without `errors` what it prints to stderr is left out.
    """
    with tempfile.TemporaryFile() as output, io.open(os.devnull, "r+b") as nothing:
        try:
            process = subprocess.Popen(
                argv,
                stdin=nothing,
                stdout=output,
                stderr=output if errors else nothing,
                env=dict(os.environ, LC_ALL="C", **(environment or {})),
                preexec_fn=os.setsid,
            )
        except OSError as error:
            if error.errno == errno.ENOENT and not _is_there(argv[0]):
                return "", None
            return "%s cannot be started: %s" % (argv[0], error.strerror), 126
        deadline = time.time() + patience
        while process.poll() is None:
            if time.time() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                time.sleep(0.2)
                process.poll()
                return "%s does not answer: it has not ended after %d s" % (argv[0], patience), 124
            time.sleep(0.01)
        output.seek(0)
        return output.read(MOST_OUTPUT).decode("utf-8", "replace"), process.returncode


def _is_there(program):
    """Whether there is a file for a command, even one that cannot be started."""
    directories = os.environ.get("PATH", "").split(os.pathsep)
    return os.sep in program or any(os.path.lexists(os.path.join(directory, program)) for directory in directories)


def run_logged(argv, log, chdir=None, environment=None, timeout=None, append=False):
    """Run a command with its output in the file `log`; {'rc', 'seconds'}, rc 124 after `timeout` seconds.

    The command has its own process group, no standard input and TERM=dumb, and dies with its children. While it
    runs, `log`.pid names its process group, so that whoever comes after a lost connection can see and end it.
    """
    make_directory(os.path.dirname(log))
    env = dict(os.environ, TERM="dumb", LC_ALL="C")
    env.update(environment or {})
    started = time.time()
    with io.open(os.devnull, "rb") as nothing, io.open(log, "ab" if append else "wb") as output:
        output.write(("$ %s\n" % redact(" ".join(as_text(word) for word in argv))).encode("utf-8"))
        output.flush()
        try:
            process = subprocess.Popen(
                argv, cwd=chdir, env=env, stdin=nothing, stdout=output, stderr=output, preexec_fn=os.setsid
            )
        except OSError as error:
            raise StackError("%s cannot be started: %s" % (argv[0], error.strerror), log=log)
        try:
            write_whole(log + ".pid", "%d %s\n" % (process.pid, start_of(process.pid)))
            rc = _wait(process, started + timeout if timeout else None)
        except Exception:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            remove(log + ".pid")
    return {"rc": rc, "seconds": round(time.time() - started, 1)}


def _wait(process, deadline):
    while process.poll() is None:
        if deadline and time.time() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 124
        time.sleep(0.05)
    return process.returncode


def running_builds(root):
    """[{log, pid}] of commands that run below a stack root now, started by whatever controller."""
    running = []
    for pattern in ("logs/*.pid", "generations/*/logs/*.pid"):
        for path in sorted(glob.glob(os.path.join(root, pattern))):
            words = (read_text(path) or "").split()
            if len(words) == 2 and is_alive(*words):
                running.append({"log": path[: -len(".pid")], "pid": int(words[0])})
    return running


def end_builds(root):
    """End the commands that run below a stack root; [{log, pid}] of them."""
    ended = running_builds(root)
    for build in ended:
        start = start_of(build["pid"])
        try:
            os.killpg(build["pid"], signal.SIGKILL)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
        while is_alive(build["pid"], start):
            time.sleep(0.05)
        remove(build["log"] + ".pid")
    return ended


def log_tail(log, lines=LOG_TAIL_LINES):
    """The last lines of a log, after the first lines that look like the true cause."""
    text = redact(read_text(log) or "")
    all_lines = text.splitlines()
    tail = all_lines[-lines:]
    causes = [line for line in all_lines[:-lines] if _INTERESTING.search(line)][:5]
    folder = os.path.dirname(log)
    full = ["No space left on device: %s has %d bytes free" % (folder, free_bytes(folder))] if is_full(folder) else []
    return (causes + ["..."] if causes else []) + tail + full


def is_full(directory):
    """Whether the disk of a directory is full: a program's own words did not fit into its log then."""
    return free_bytes(directory) < FULL_DISK


def free_bytes(directory):
    """How many bytes the disk of a directory has left for an ordinary user."""
    stat = os.statvfs(directory)
    return stat.f_bavail * stat.f_frsize


def with_stack(generation, argv):
    """`argv` as it runs in the generation's environment."""
    return [os.path.join(generation, "bin", "with-stack")] + list(argv)
