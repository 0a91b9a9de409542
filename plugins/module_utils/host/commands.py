# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The two ways in which commands are run: with their output in a log, or with it as the answer to a question.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import io
import os
import re
import select
import signal
import subprocess
import time

from .errors import StackError
from .files import make_directory, read_text, remove, write_whole
from .processes import is_alive, start_of
from .texts import as_text
from ..rules.texts import without_users
from ..rules import codes
from ..rules import layout

LOG_TAIL_LINES = 25
PATIENCE = 60
"""Seconds. A driver in trouble can hang nvidia-smi for good, and a full queue systemctl."""
MOST_PRINTED = 16 << 20
"""Bytes of an answer that are kept."""
# Bytes. A compiler that failed for want of space has removed its temporary files when anybody looks.
FULL_DISK = 16 << 20
_INTERESTING = re.compile(r"(?i)\b(error|fatal|cannot|undefined|not found|no such|denied|no space)\b|\*\*\*")


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
        output.write(("$ %s\n" % without_users(" ".join(as_text(word) for word in argv))).encode("utf-8"))
        output.flush()
        try:
            process = subprocess.Popen(
                argv, cwd=chdir, env=env, stdin=nothing, stdout=output, stderr=output, preexec_fn=os.setsid
            )
        except OSError as error:
            words = "%s cannot be started: %s" % (argv[0], error.strerror)
            raise StackError(words, log=log, code=codes.of_errno(error.errno))
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


def output_of(argv, patience=PATIENCE, chdir=None, environment=None, errors=True):
    """(what a command printed, its code); ('', None) where there is no such command.

    126 where it is there and cannot be started, 124 where it has not ended after `patience` seconds (None: it may take
    any time). What it writes on its stderr counts as printed, unless `errors` is False. It has no standard input, and
    a process group of its own; children that go on when it has ended are not waited for.
    """
    env = dict(os.environ, LC_ALL="C")
    env.update(environment or {})
    with io.open(os.devnull, "r+b") as nothing:
        try:
            process = subprocess.Popen(
                argv,
                cwd=chdir,
                env=env,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if errors else nothing,
                preexec_fn=os.setsid,
            )
        except OSError as error:
            if error.errno == errno.ENOENT and not _is_there(argv[0], env.get("PATH", "")):
                return "", None
            return "%s cannot be started: %s" % (argv[0], error.strerror), 126
    try:
        printed = _printed(process, time.time() + patience if patience else None)
    finally:
        process.stdout.close()  # type: ignore[union-attr]
    if printed is None:
        return "%s does not answer: it has not ended after %d s" % (argv[0], patience), 124
    return printed.decode("utf-8", "replace"), process.wait()


def _is_there(program, path):
    folders = [""] if os.sep in program else path.split(os.pathsep)
    return any(os.path.lexists(os.path.join(folder, program)) for folder in folders)


def _printed(process, deadline):
    """What a process prints until it ends; None, and it is killed, where it has not ended by then."""
    pieces, size = [], 0
    while True:
        if deadline and time.time() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.2)
            process.poll()
            return None
        if select.select([process.stdout], [], [], 0.05)[0]:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece and process.poll() is not None:
                break
            if not piece:
                time.sleep(0.01)
            if size < MOST_PRINTED:
                pieces.append(piece)
                size += len(piece)
        elif process.poll() is not None:
            break
    return b"".join(pieces)


def running_builds(root):
    """[{log, pid}] of commands that run below a stack root now, started by whatever controller."""
    running = []
    for place in (root, layout.generation(root, "*")):
        for path in sorted(glob.glob(os.path.join(place, layout.LOGS, "*.pid"))):
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
    text = without_users(read_text(log) or "")
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
