# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs commands: either with their output in a log file, or with their output as the return value.

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

from .disk import is_full, left_on
from .environment import clean
from .errors import StackError
from .files import end_of, make_directory, naming, read_text, remove, write_whole
from .origin import is_here, origin
from .processes import is_alive, start_of
from .texts import as_text
from ..rules.texts import without_users
from ..rules import clock, codes, layout

LONGEST_LINE = 4000
"""Characters of a line of a log that are shown."""
LOG_TAIL_LINES = 25
TIMEOUT = 60
"""Seconds. With a broken driver nvidia-smi may never end, and with a full queue systemctl may not."""
MAX_OUTPUT = 16 << 20
"""Bytes of a command's output that are kept."""
NEUTRAL = "/"
"""Where commands run that need no directory of their own. The directory in which a login begins can contain a json.py,
which Python would load in place of its own, or an nn.lua, and root would execute it."""
_ERROR = re.compile(r"(?i)\b(error|fatal|cannot|undefined|not found|no such|denied|no space)\b|\*\*\*")

_NOISE = re.compile(r"^(?:ERROR: ld\.so: object .*: ignored\.|.*: warning: setlocale: .*)(?:\n|\Z)", re.M)
"""What every program prints where /etc/ld.so.preload names a library that is gone, and every shell of a host without
the locale C.UTF-8, such as EL 7."""


def run_logged(argv, log, chdir=None, environment=None, timeout=None, append=False):
    """Run a command with its output in the file `log`. Returns {'rc', 'seconds'}; rc 124 after `timeout` seconds.

    The command has the environment of `environment.clean`, its own process group and no standard input. At the timeout
    it is killed with its children. While it runs, the file `log`.pid contains its process group, so that a later call
    can find it and kill it if the connection was lost.
    """
    make_directory(os.path.dirname(log))
    env = clean(environment)
    started = clock.seconds()
    with io.open(os.devnull, "rb") as nothing, io.open(log, "ab" if append else "wb") as output:
        with naming(log):
            output.write(("$ %s\n" % without_users(" ".join(as_text(argument) for argument in argv))).encode("utf-8"))
            output.flush()
        try:
            process = subprocess.Popen(
                argv, cwd=chdir or NEUTRAL, env=env, stdin=nothing, stdout=output, stderr=output, preexec_fn=os.setsid
            )
        except OSError as error:
            message = "%s cannot be started: %s" % (argv[0], error.strerror)
            raise StackError(message, log=log, code=codes.of_errno(error.errno))
        try:
            write_whole(log + ".pid", _pid_line(process.pid))
            rc = _wait(process, started + timeout if timeout else None)
        except Exception:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            remove(log + ".pid")
    return {"rc": rc, "seconds": round(clock.seconds() - started, 1)}


def _wait(process, deadline):
    while process.poll() is None:
        if deadline and clock.seconds() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 124
        time.sleep(0.05)
    return process.returncode


def output_of(argv, timeout=TIMEOUT, chdir=None, environment=None, errors=True, login=False):
    """Run a command. Returns (its output, its exit code); ('', None) if the command does not exist.

    The exit code is 126 if the command exists but cannot be started, and 124 if it has not ended after `timeout`
    seconds (None: no limit). The output contains stderr unless `errors` is False. The command has no standard input
    and its own process group. Children that are still running when it ends are not waited for. It has the environment
    of `environment.clean`, or with `login` that of the login, which runs have, with English messages and `environment`.
    """
    more = dict({"LC_ALL": "C"}, **(environment or {}))
    env = dict(os.environ, **more) if login else clean(more)
    with io.open(os.devnull, "r+b") as nothing:
        try:
            process = subprocess.Popen(
                argv,
                cwd=chdir or NEUTRAL,
                env=env,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if errors else nothing,
                preexec_fn=os.setsid,
            )
        except OSError as error:
            if error.errno == errno.ENOENT and not _exists(argv[0], env.get("PATH", "")):
                return "", None
            return "%s cannot be started: %s" % (argv[0], error.strerror), 126
    try:
        output = _read_output(process, clock.seconds() + timeout if timeout else None)
    finally:
        process.stdout.close()  # type: ignore[union-attr]
    if output is None:
        return "%s does not answer: it has not ended after %d s" % (argv[0], timeout), 124
    return _NOISE.sub("", output.decode("utf-8", "replace")), process.wait()


def _exists(program, path):
    folders = [""] if os.sep in program else path.split(os.pathsep)
    return any(os.path.lexists(os.path.join(folder, program)) for folder in folders)


def _read_output(process, deadline):
    """The output of a process until it ends. If it has not ended at the deadline, it is killed; returns None."""
    pieces, size, patience = [], 0, 0.05
    while True:
        if deadline and clock.seconds() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.2)
            process.poll()
            return None
        if select.select([process.stdout], [], [], patience)[0]:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece and process.poll() is not None:
                break
            if not piece:
                time.sleep(0.01)
            if size < MAX_OUTPUT:
                pieces.append(piece)
                size += len(piece)
        elif not patience:
            break
        elif process.poll() is not None:
            patience = 0  # once more: it may have written and ended between the two looks
    return b"".join(pieces)


ORIGIN = ("node", "boot", "space", "machine")
"""What follows pid and start in the file LOG.pid."""


def _pid_line(pid):
    started = origin()
    return " ".join(["%d" % pid, start_of(pid) or "0"] + [started[key] for key in ORIGIN]) + "\n"


def all_builds(root):
    """[{log, pid, host}] of the commands that run below a stack root, started by any controller.

    `host` is empty for those of this machine, which are running now. Those of another machine that shares the disk may
    have ended, which can be determined only there.
    """
    found = []
    for directory in (root, layout.generation(root, "*")):
        for path in sorted(glob.glob(os.path.join(directory, layout.LOGS, "*.pid"))):
            fields = (read_text(path, 4096) or "").split()
            started = dict(zip(ORIGIN, fields[2:]))
            if len(fields) not in (2, 2 + len(ORIGIN)) or not fields[0].isdigit():
                continue
            here = is_here(started)
            if not here or is_alive(*fields[:2]):
                host = "" if here else started["node"]
                found.append({"log": path[: -len(".pid")], "pid": int(fields[0]), "host": host})
    return found


def running_builds(root):
    """[{log, pid}] of the commands of this machine that are running below a stack root now."""
    return [{"log": build["log"], "pid": build["pid"]} for build in all_builds(root) if not build["host"]]


def end_builds(root):
    """Kill the commands that are running below a stack root. Returns their [{log, pid}]."""
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


def log_tail(log):
    """The last lines of a log; before them, the first lines that look like the cause of the failure."""
    text = _NOISE.sub("", without_users(end_of(log)))
    all_lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    tail = all_lines[-LOG_TAIL_LINES:]
    causes = [line for line in all_lines[:-LOG_TAIL_LINES] if _ERROR.search(line)][:5]
    folder = os.path.dirname(log)
    full = ["No space left on device: %s has %s" % (folder, left_on(folder))] if is_full(folder) else []
    return (causes + ["..."] if causes else []) + tail + full


def with_stack(generation, argv):
    """The command line that runs `argv` in the environment of the generation."""
    return [os.path.join(generation, "bin", "with-stack")] + list(argv)
