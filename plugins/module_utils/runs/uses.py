# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which runs of a host are active, which programs of the stack run there, and which generations they use.

A run holds the lock on its name as long as one of its processes lives, whatever happened to its files. So the locks
are the evidence here, and the files of a run only describe it.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import re
import stat

from ..host import process_info
from ..host.errors import StackError
from ..host.texts import as_text, text_of
from ..rules import layout
from ..rules import run as rules
from .account import account_for, as_account
from .files import Run, names
from .leases import Leases

QUIET = 3600.0
"""Seconds. A run on another host that shares the disk is active if one of its files changed within this time."""
KEEPS = 7 * 86400
"""Seconds after which a run of another host, of which nobody knows the end, no longer keeps its generation."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
INTERPRETERS = ("luajit", "th", "qlua")
"""The names of processes that run programs of Torch."""
NOTHING = (errno.ENOENT, errno.ENOTDIR)


def active_runs(root, user):
    """[{id, state, pid, user, since, generation}] of the active runs of this host.

    `state` is running, waiting (for an earlier run), elsewhere (on another host that shares the disk), process (the
    run has ended or its files are gone, but a process of it lives), or unreadable. Without a run nothing is written.
    StackError if it cannot be determined.
    """
    if not os.path.isdir(layout.runs(root)):
        return []
    account = account_for(root, user)
    # While a run is being started, its files and its lock are not complete.
    with NoStart(root, account):
        locked = held_names(root)
        return as_account(account, described, root, locked)


def held_names(root):
    """{id: pid or None} of the runs whose lock is held by a process. StackError if that cannot be determined."""
    found = {}
    folder = layout.locks(root)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if rules.is_id(name):
            held, pid = _is_held(os.path.join(folder, name))
            if held:
                found[name] = pid
    return found


def _is_held(path):
    """(whether the lock is held, the pid that the lock file names or None)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in NOTHING:
            return False, None
        raise StackError("%s cannot be opened: %s. Look at what it is (ls -l)" % (path, error.strerror))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False, None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False, None
        except (IOError, OSError) as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StackError("%s cannot be locked: %s" % (path, error.strerror))
        named = re.search(r"pid (\d{1,10})\b", os.read(handle, 200).decode("ascii", "replace"))
        return True, int(named.group(1)) if named else None
    finally:
        os.close(handle)


def described(root, locked):
    """The active runs, each as `active_runs` returns it. Called as the account that the runs belong to."""
    listed = set(names(root)) | set(locked)
    found = [use_of(Run(root, name), name in locked, locked.get(name)) for name in sorted(listed)]
    return [entry for entry in found if entry]


def use_of(run, held, pid):
    """A run as `active_runs` returns it; None if it is not active. `pid` is the one that its lock file names."""
    entry = {"id": run.name, "state": "process", "pid": pid, "user": "", "since": None, "generation": ""}
    try:
        if not held and run.has_ended():
            return None
        record = run.read(run.record)
        status = run.status(record)
        entry.update(pid=_number(status["pid"]) or _number(run.supervisor(record).get("pid")) or pid)
        entry.update(since=_number(record.get("started")), generation=generation_of(record))
        entry["state"] = _state_of(run, status, held)
    except Exception as error:
        entry.update(state="unreadable", problem=as_text("%s: %s" % (type(error).__name__, text_of(error)))[:500])
    if entry["pid"]:
        entry["user"] = process_info.user_of(entry["pid"])
    return entry if entry["state"] else None


def _state_of(run, status, held):
    """The state of a run whose files could be read; empty if it is not active."""
    if status["running"] or status["waiting"]:
        return "running" if status["running"] else "waiting"
    if held:
        return "process"
    return "elsewhere" if status["elsewhere"] and run.silent() < QUIET else ""


def _number(value):
    """A number that can be a pid or a time; None for anything else. Files of a run can contain any JSON."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else None


def generation_of(record):
    """The id of the generation in the record of a run; empty if it is missing or is no name."""
    name = record.get("generation")
    return name if isinstance(name, str) and NAME.match(name) else ""


def programs(root):
    """[{pid, name, user, since, generation}] of the processes whose program belongs to a generation.

    Only root sees the programs of all users.
    """
    found = []
    folder = os.path.realpath(layout.generations(root)) + os.sep
    for pid in process_info.pids():
        path = process_info.program_of(pid)
        if path.startswith(folder) and process_info.runs_file(pid, path):
            generation = path[len(folder) :].split(os.sep)[0]
            entry = {"pid": pid, "name": process_info.name_of(pid), "user": process_info.user_of(pid)}
            found.append(dict(entry, since=process_info.started(pid), generation=generation))
    return found


def sessions_of(runs):
    """The sessions of active runs: the program of a run leads one, to which the processes that it starts belong.

    A run on another host has the pid of a process there.
    """
    return set(run["pid"] for run in runs if run["pid"] and run["state"] != "elsewhere")


def hidden_programs(sessions):
    """The pids of processes, outside of these sessions, of which root may not see whether they belong to the stack.

    These are the processes with the name of an interpreter of the stack.
    """
    found = process_info.pids() if os.geteuid() == 0 else []
    found = [pid for pid in found if process_info.name_of(pid) in INTERPRETERS and process_info.is_hidden(pid)]
    return [pid for pid in found if pid not in sessions and process_info.session_of(pid) not in sessions]


def use_of_generation(root, name):
    """How runs or programs use a generation, in words; empty if none uses it."""
    in_use = generations_in_use(root)
    if in_use is None:
        return "may be used by a run or another program, which cannot be determined"
    return "is used by a run or another program" if name in in_use else ""


def generations_in_use(root):
    """The ids of the generations that runs or programs use, or None if that cannot be determined.

    Then any generation may be in use. Called with the rights of whoever removes generations.
    """
    found = set(entry["generation"] for entry in programs(root))
    try:
        with NoStart(root):
            locked = held_names(root)
            if hidden_programs(sessions_of(described(root, locked))):
                return None
            for name in sorted(set(names(root)) | set(locked)):
                generation = _generation_in_use(Run(root, name), name in locked)
                if generation is None and name in locked:
                    return None
                found.add(generation or "")
    except Exception:
        return None
    return found - {""}


def _generation_in_use(run, held):
    """The generation that a run uses, empty if it uses none; None if its files do not say it."""
    try:
        record = run.read(run.record)
        if not held and (run.has_ended() or not _may_run(run, run.status(record))):
            return ""
        return generation_of(record) or None
    except Exception:  # whatever its files contain
        return None


def _may_run(run, status):
    """Whether the run may be active. Of a run on another host only its files show it: it counts while they change."""
    return status["running"] or status["waiting"] or (status["elsewhere"] and run.silent() < KEEPS)


class NoStart(object):
    """While this is held, no run is being started that has not looked for a refusal (starts.py) after this was taken.

    Writes nothing on the host. On one that never had a run, the first start makes the file of the lock before it looks.
    """

    def __init__(self, root, account=None):
        has_lock = os.path.lexists(os.path.join(layout.runs(root), ".leases"))
        self.lock = Leases(root, account, looks=True) if has_lock else None

    def __enter__(self):
        return self.lock and self.lock.__enter__()

    def __exit__(self, *error):
        if self.lock:
            self.lock.__exit__(*error)
