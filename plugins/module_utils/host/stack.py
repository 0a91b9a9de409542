# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What the modules share on a host: files written whole, stamps, logged commands, Lua that must load.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import hashlib
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

# What a host builds is for all its users, whatever umask its root logs in with (sudoers may say 0077). Every module
# that writes or runs programs imports this file, and its children inherit the umask. What must be private says so.
UMASK = 0o022
os.umask(UMASK)

LOG_TAIL_LINES = 25
# Bytes. A compiler that failed for want of space has removed its temporary files when anybody looks.
FULL_DISK = 16 << 20
TEXT = type(b"".decode("utf-8"))
"""What JSON gives for text; a literal would be bytes under Python 2.7, and the formatter takes its u away."""
MOST = 256 << 20
"""Bytes of a file that are read at once at most."""
_INTERESTING = re.compile(r"(?i)\b(error|fatal|cannot|undefined|not found|no such|denied|no space)\b|\*\*\*")


class StackError(Exception):
    """Something on the host that a person has to know; `details` go into the module's result.

    str() of it is the message; under Python 2.7 that are bytes in UTF-8.
    """

    def __init__(self, message, **details):
        super(StackError, self).__init__(as_native(message))
        self.details = details


def make_directory(path, mode=0o755):
    """`path` is a directory afterwards; what was not there, its parents too, gets `mode` whatever the umask."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_directory(parent, mode)
    try:
        os.mkdir(path, mode)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise
    else:
        os.chmod(path, mode)


def as_text(value):
    """A text, also where Python 2.7 hands out bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def redact(text):
    """`text` without the user and password of any URL in it."""
    return re.sub(r"://[^/\s\"'<>]*@", "://***@", text)


def write_whole(path, text, mode=0o644):
    """Write `text` beside `path`, make it durable, then rename it there."""
    make_directory(os.path.dirname(path))
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(as_text(text).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        os.rename(beside, path)
    except Exception:
        os.unlink(beside)
        raise


def remove(path):
    """There is no file `path` afterwards, whoever removed it."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def read_text(path, most=MOST):
    """The text of `path`, up to `most` bytes of it; None where there is no such file.

    A process that ended between the opening of its file in /proc and the reading is no such file either (ESRCH). What
    is no ordinary file (a pipe that would never end, a device) is an error, and nobody waits for it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH):
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EISDIR, "it is a directory, a pipe or a device and no ordinary file", path)
    try:
        with os.fdopen(handle, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno == errno.ESRCH:
            return None
        raise


def file_size(path):
    """The bytes of a file, 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def lines_since(path, offset):
    """The lines of a log from byte `offset` on."""
    with io.open(path, "rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace").splitlines()


def read_json(path):
    """The object in `path`, None where the file is missing or was cut short."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def read_native(path):
    """As `read_json`, with its texts as this Python hands them to programs: bytes in UTF-8 for 2.7."""
    return as_native(read_json(path))


def as_native(value):
    """What JSON gave, with its texts as this Python hands them to programs: bytes in UTF-8 for 2.7."""
    if str is not bytes:
        return value
    if isinstance(value, dict):
        return dict((as_native(key), as_native(entry)) for key, entry in value.items())
    if isinstance(value, list):
        return [as_native(entry) for entry in value]
    if isinstance(value, TEXT):
        return value.encode("utf-8")
    return value


def write_json(path, value):
    """Write `value` to `path` as a whole, keys sorted."""
    write_whole(path, as_text(json.dumps(value, indent=1, sort_keys=True)) + "\n")


def file_sha256(path):
    """The hex digest of a file."""
    digest = hashlib.sha256()
    with io.open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def stamp_path(generation, component):
    """Where the stamp of a component lies."""
    return os.path.join(generation, "stamps", component + ".json")


def read_stamps(generation):
    """{component: digest} of all that was built whole in a generation."""
    directory = os.path.join(generation, "stamps")
    stamps = {}
    if os.path.isdir(directory):
        for name in sorted(os.listdir(directory)):
            stamp = read_json(os.path.join(directory, name)) if name.endswith(".json") else None
            if stamp and "digest" in stamp:
                stamps[name[: -len(".json")]] = stamp["digest"]
    return stamps


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


def start_of(pid):
    """When a process started, in clock ticks since boot: a number used again is another process. Empty if gone."""
    fields = (read_text("/proc/%s/stat" % pid) or "").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else ""


def is_alive(pid, start):
    """Whether the process of that number and start still runs and is no zombie."""
    return bool(start) and start_of(pid) == start


def log_tail(log, lines=LOG_TAIL_LINES):
    """The last lines of a log, after the first lines that look like the true cause."""
    text = redact(read_text(log) or "")
    all_lines = text.splitlines()
    tail = all_lines[-lines:]
    causes = [line for line in all_lines[:-lines] if _INTERESTING.search(line)][:5]
    return (causes + ["..."] if causes else []) + tail + _full_disk(os.path.dirname(log))


def _full_disk(directory):
    """A line that says so where the disk is full: a program's own words did not fit into its log then."""
    stat = os.statvfs(directory)
    free = stat.f_bavail * stat.f_frsize
    return ["No space left on device: %s has %d bytes free" % (directory, free)] if free < FULL_DISK else []


def with_stack(generation, argv):
    """`argv` as it runs in the generation's environment."""
    return [os.path.join(generation, "bin", "with-stack")] + list(argv)


def try_part(generation, part, log, card=True, environment=None):
    """Evidence that a part does what it is for: [{module, seconds, version}].

    Its libraries have all their symbols, its modules load, its programs run. Without a `card`, what needs one is
    only seen to be in its place.
    """
    evidence = resolve_libraries(generation, part.get("libraries") or [], log, environment)
    if not card:
        return evidence + find_modules(generation, part["loads"], log)
    evidence += load_modules(generation, part["loads"], log, environment)
    return evidence + try_programs(generation, part["loads"], part.get("tries") or [], log, environment)


def resolve_libraries(generation, libraries, log, environment=None):
    """Open each library with all its symbols resolved at once, as the loader would when it is used."""
    evidence = []
    for library in libraries:
        path = os.path.join(generation, library)
        program = "local ok, why = package.loadlib([[%s]], '*'); if not ok then error(why) end print('resolved')" % path
        start = file_size(log)
        argv = with_stack(generation, ["luajit", "-e", program])
        outcome = run_logged(argv, log, timeout=600, append=True, environment=environment)
        if outcome["rc"] != 0 or "resolved" not in lines_since(log, start):
            raise StackError("%s was built, and cannot be opened" % path, log=log, tail=log_tail(log))
        version = "%d bytes, all symbols there" % os.path.getsize(path)
        evidence.append({"module": os.path.basename(library), "seconds": outcome["seconds"], "version": version})
    return evidence


def find_modules(generation, modules, log):
    """See that each Lua module is where `require` looks and can be parsed, without running it."""
    evidence = []
    for module in modules:
        program = (
            "local file, why = package.searchpath('%s', package.path); if not file then error(why) end "
            "assert(loadfile(file)); print('found ' .. file)" % module
        )
        start = file_size(log)
        outcome = run_logged(with_stack(generation, ["luajit", "-e", program]), log, timeout=600, append=True)
        if outcome["rc"] != 0 or not any(line.startswith("found ") for line in lines_since(log, start)):
            raise StackError("%s was installed, and is not found" % module, log=log, tail=log_tail(log))
        evidence.append({"module": module, "seconds": outcome["seconds"], "version": "not loaded: no card here"})
    return evidence


def try_programs(generation, modules, programs, log, environment=None):
    """Run each Lua program with the modules loaded; [{module, seconds, version}] with the program as module.

    TMPDIR names a directory of theirs alone while they run.
    """
    if not programs:
        return []
    private = tempfile.mkdtemp(prefix=".trial-", dir=os.path.dirname(log))
    try:
        return run_trials(generation, modules, programs, log, dict(environment or {}, TMPDIR=private))
    finally:
        shutil.rmtree(private, ignore_errors=True)


def run_trials(generation, modules, programs, log, environment):
    """As `try_programs`, in an environment that has a TMPDIR."""
    evidence = []
    requires = "".join("require '%s'; " % module for module in modules)
    for number, program in enumerate(programs, 1):
        words = "%sdo %s end; print('\\ntried program %d')" % (requires, program, number)
        start = file_size(log)
        argv = with_stack(generation, ["luajit", "-e", words])
        outcome = run_logged(argv, log, timeout=600, append=True, environment=environment)
        if outcome["rc"] != 0 or "tried program %d" % number not in lines_since(log, start):
            raise StackError(
                "%s loads, but does not do what it is for (rc %s)" % (modules[-1], outcome["rc"]),
                log=log,
                tail=log_tail(log),
            )
        evidence.append({"module": "a trial", "seconds": outcome["seconds"], "version": "-"})
    return evidence


def load_modules(generation, modules, log, environment=None):
    """Load each Lua module in a process of its own; [{module, seconds, version}].

    A line of its own is printed at the end, for some modules (cudnn) leave one unfinished.

    `th -e` returns 0 whatever happens, so this asks luajit itself, and looks for the line that it
    prints when it got to the end.
    """
    evidence = []
    for module in modules:
        program = (
            "local m = require '%s'; local v = type(m) == 'table' and (m._VERSION or m.version) or nil; "
            "print('\\nloaded %s ' .. (type(v) == 'string' and v or '-'))" % (module, module)
        )
        start = file_size(log)
        argv = with_stack(generation, ["luajit", "-e", program])
        outcome = run_logged(argv, log, timeout=600, append=True, environment=environment)
        loaded = [line for line in lines_since(log, start) if line.startswith("loaded %s " % module)]
        if outcome["rc"] != 0 or not loaded:
            raise StackError(
                "%s was installed, but `require '%s'` fails (rc %s)" % (module, module, outcome["rc"]),
                log=log,
                tail=log_tail(log),
            )
        version = loaded[-1].split(" ", 2)[2]
        evidence.append({"module": module, "seconds": outcome["seconds"], "version": version})
    return evidence


def fail_with(module, error):
    """End the module with what a StackError says."""
    details = dict(error.details)
    message = str(error)
    if details.get("log"):
        message += ". The whole log: %s" % details["log"]
    if details.get("tail"):
        message += "\n" + "\n".join(details["tail"])
    module.fail_json(msg=message, **details)
