# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What /proc reports about a process: its user, when it was started, its program and its session.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import pwd
import re

from .files import read_text


def pids():
    """The ids of all processes that can be seen from here."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def exists(pid):
    """Whether a process can be seen from here."""
    return os.path.isdir("/proc/%d" % pid)


def is_in_container(pid, kind="pid"):
    """Whether a process is in another namespace of that kind than this one, as in a container on this host."""
    try:
        return os.readlink("/proc/%d/ns/%s" % (pid, kind)) != os.readlink("/proc/self/ns/%s" % kind)
    except OSError:
        return False


def runs_file(pid, path):
    """Whether the program of a process is the file that this host has at `path`, and not one of a container."""
    try:
        return os.path.samestat(os.stat("/proc/%d/exe" % pid), os.stat(path))
    except OSError:
        return not is_in_container(pid, "mnt")


def user_of(pid):
    """The name of the user of a process, or its uid if it has no name; empty if the process cannot be seen."""
    try:
        uid = os.stat("/proc/%d" % pid).st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name[:64]
    except KeyError:
        return "%d" % uid


def name_of(pid):
    """The name of the program of a process, in one line; empty if the process cannot be seen."""
    return _one_line(_text("/proc/%d/comm" % pid))[:64]


def command_of(pid):
    """The command line of a process in one line, at most 200 characters; its name if it has none.

    Its user chooses every character: with a line break, he could let a message seem to give advice.
    """
    return _one_line((_text("/proc/%d/cmdline" % pid) or "").replace("\0", " "))[:200] or name_of(pid)


def _one_line(text):
    return " ".join((text or "").split())


def program_of(pid):
    """The path of the program of a process; empty if it cannot be seen, or belongs to another user."""
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def is_hidden(pid):
    """Whether the system does not show which program a process runs. In a container, root can lack CAP_SYS_PTRACE.

    A process that has ended runs none, although it is listed until its parent asks for its exit code.
    """
    try:
        os.readlink("/proc/%d/exe" % pid)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM) and fields_of(pid)[:1] != ["Z"]
    return False


def session_of(pid):
    """The session of a process; 0 if the process cannot be seen."""
    fields = fields_of(pid)
    return int(fields[3]) if len(fields) > 3 else 0


def started(pid):
    """When a process was started, in seconds since 1970; None if the process cannot be seen."""
    fields = fields_of(pid)
    booted = re.search(r"^btime (\d+)$", _text("/proc/stat") or "", re.M)
    if len(fields) < 20 or not booted:
        return None
    return int(booted.group(1)) + int(fields[19]) // os.sysconf("SC_CLK_TCK")


def fields_of(pid):
    """The fields of a process's stat after its name: state, parent, group, session, ...; empty if it cannot be seen."""
    return (_text("/proc/%d/stat" % pid) or "").rpartition(")")[2].split()


def _text(path):
    try:
        return read_text(path, 1 << 20)
    except (IOError, OSError):
        return None
