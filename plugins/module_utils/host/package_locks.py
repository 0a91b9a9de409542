# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Who uses the package manager of a host now, and waiting until nobody does.

apt-get fails at once if another program holds its lock, and dnf waits for ever without a word. Both are often used by
timers (unattended-upgrades, dnf-automatic) for some minutes. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import struct
import time

from . import process_info
from .errors import StackError
from .files import read_text
from .processes import output_is_read, start_of
from ..rules import clock, codes

LIMIT = 600
"""Seconds to wait for others."""
LOCKS = {
    "apt": (
        "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock",
    ),
    "dnf": ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"),
    "yum": ("/var/lib/rpm/.rpm.lock",),
}  # fmt: skip
"""The files that each package manager locks with fcntl."""
PID_FILES = {
    "apt": (),
    "dnf": (
        "/var/cache/dnf/metadata_lock.pid", "/var/cache/dnf/download_lock.pid", "/var/lib/dnf/rpmdb_lock.pid",
        "/var/run/dnf_metadata_lock.pid",
    ),
    "yum": ("/var/run/yum.pid",),
}  # fmt: skip
"""The files in which each package manager writes its process id as its lock."""
FLOCK = "hhqqi"
"""The C struct flock of 64-bit Linux: type, whence, start, length, pid."""


def holders(manager):
    """[{pid, command, file}] of the processes that hold a lock of the package manager apt, dnf or yum.

    The pid is 0 if the process cannot be seen from here, because it belongs to another container.
    """
    found = {}  # type: dict[int, str]
    for path in LOCKS[manager]:
        pid = _locked_by(path)
        if pid is not None:
            found.setdefault(pid, path)
    for path in PID_FILES[manager]:
        text = (_text(path) or "").strip()
        if text.isdigit() and int(text) != os.getpid() and start_of(text):
            found.setdefault(int(text), path)
    return [{"pid": pid, "command": command_of(pid), "file": found[pid]} for pid in sorted(found)]


def wait(manager, limit=LIMIT, pause=1.0):
    """Return when nobody holds a lock of the package manager. StackError with the holder after `limit` seconds.

    Also a StackError if the connection to the controller has ended: nothing may be installed for a controller that is
    no longer there.
    """
    deadline = clock.seconds() + limit
    while True:
        ended_with_controller()
        held = holders(manager)
        if not held:
            return
        if clock.seconds() > deadline:
            raise StackError(
                "%s is in use by another program, and %d s of waiting were not enough: %s. Wait until it ends, or end "
                "it on that host%s; then run the same command again"
                % (manager, limit, described(held), _how(held[0]["pid"])),
                code=codes.BUSY,
            )
        time.sleep(pause)


def described(held):
    """The holders in words."""
    return ", ".join(
        "pid %(pid)d (%(command)s) holds %(file)s" % entry
        if entry["pid"]
        else "%(file)s is locked by a process that is not visible here" % entry
        for entry in held
    )


def _how(pid):
    return " with `kill %d`" % pid if pid else ""


def ended_with_controller():
    """StackError if nobody reads the output of this module any more."""
    if not output_is_read():
        raise StackError("the connection to the controller has ended: nothing more is installed")


def command_of(pid):
    """The command line of a process, or what is known of it instead; empty without a pid."""
    return (process_info.command_of(pid) or "of another namespace") if pid else ""


def _text(path):
    try:
        return read_text(path, 4096)
    except (IOError, OSError):
        return None


def _locked_by(path):
    """The process that has locked the file with fcntl; None if none has, or if the file cannot be opened."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EROFS, errno.ELOOP, errno.EPERM):
            return None
        raise
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
        kind, _whence, _start, _length, pid = struct.unpack(FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    finally:
        os.close(handle)
    return max(pid, 0) if kind != fcntl.F_UNLCK else None
