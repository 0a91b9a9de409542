# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The account that runs belong to, and functions that are called as this account if Ansible is root.

A model is a program, and the names in a data set come from other people: a run must never read, write or execute
anything as root. So everything that touches a run's directory is done in a child process that has given up root.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import errno
import json
import os
import pwd
import select
import signal
import stat
import sys
import traceback

from ..host.errors import StackError
from ..host.texts import as_native, as_text, text_of
from ..rules import clock, codes, layout

PR_SET_NO_NEW_PRIVS = 38
PLACES = (layout.RUNS, layout.locks(""), layout.QUEUE)
"""Directories below the stack root in which the account creates directories and files."""
DEVICES = "/dev/nvidia"
"""The common prefix of the devices that a run on a card has to open."""
LONGEST = 2 * 3600
"""Seconds that a call as the account may take. The check of a large data set takes minutes for each run of a sweep."""


class Account(object):
    """An account of the host: its name, uid and gid, and the groups that may open the cards' devices."""

    def __init__(self, name, uid, gid, groups=()):
        self.name, self.uid, self.gid, self.groups = name, uid, gid, tuple(groups)


def find(name):
    """Return the account that runs belong to, or None if they belong to the user that Ansible runs as.

    That is the case without a name, if the name is that of root, and if Ansible is not root, because only root can
    become another user. StackError if there is no such account.
    """
    if not name or name == "root" or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            "the account %s, which owns the runs, does not exist on this host: run `provision site`, which "
            "creates it, or choose another run_user in provision.yml" % name
        )
    if entry.pw_uid == 0:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid, device_groups())


def device_groups():
    """Return the groups that may open the cards' devices, without devices that everybody may open."""
    found = set()
    for name in sorted(os.listdir("/dev")):
        path = os.path.join("/dev", name)
        if path.startswith(DEVICES):
            status = os.stat(path)
            if stat.S_ISCHR(status.st_mode) and not status.st_mode & 0o006 and status.st_gid:
                found.add(status.st_gid)
    return sorted(found)


def become(account):
    """In a child: set umask 077 and, if there is an account, become this account permanently."""
    os.umask(0o077)
    if account is None:
        return
    os.setgroups(list(account.groups))
    os.setgid(account.gid)
    os.setuid(account.uid)
    if 0 in os.getresuid() if hasattr(os, "getresuid") else os.geteuid() == 0:
        os._exit(126)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def as_account(account, work, *args):
    """Return `work(*args)`, called in a child process as the account. The result has to be JSON.

    A StackError of the child is raised here. Without an account, `work` is called in this process.
    """
    if account is None:
        return work(*args)
    sys.stdout.flush()
    sys.stderr.flush()
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        work_in_child(account, send, work, args)
    os.close(send)
    try:
        text = received(receive, child).decode("utf-8", "replace")
    finally:
        os.close(receive)
    status = os.waitpid(child, 0)[1]
    if not text:
        message = (
            "the process of the account %s ended without a result (status %d): run the same command again; if that "
            "does not help, the host's system log may show what killed it"
        )
        raise StackError(message % (account.name, status))
    answer = as_native(json.loads(text))
    if "result" in answer:
        return answer["result"]
    raise StackError(answer["error"], **answer["details"])


def received(pipe, child):
    """Return all that the child writes. StackError, and the child is killed, if that takes longer than LONGEST."""
    end, pieces = clock.seconds() + LONGEST, []  # type: float, list[bytes]
    while select.select([pipe], [], [], max(0, end - clock.seconds()))[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    os.kill(child, signal.SIGKILL)
    message = (
        "reading or checking what belongs to runs took longer than %d s and was ended. Perhaps a disk of this host "
        "does not answer: try `ls` in the directory of the runs and of the data"
    )
    raise StackError(message % LONGEST)


def work_in_child(account, send, work, args):
    """In the child: call `work(*args)` and write its result or error to the pipe. Never returns."""
    code = 1
    try:
        try:
            become(account)
            os.chdir("/")
            text = json.dumps({"result": work(*args)})
        except StackError as error:
            text = json.dumps({"error": as_text(str(error)), "details": error.details})
        except Exception as error:
            message = "%s as %s: %s" % (type(error).__name__, account.name, text_of(error))
            cause = codes.of_errno(getattr(error, "errno", None), codes.BUG)
            details = {"exception": as_text(traceback.format_exc()), "code": cause}
            text = json.dumps({"error": as_text(message), "details": details})
        with os.fdopen(send, "wb") as pipe:
            pipe.write(as_text(text).encode("utf-8"))
        code = 0
    finally:
        os._exit(code)


def owner_of(path, account):
    """Return the account to use for a run's directory: its owner. StackError if that is neither `account` nor root.

    Runs of root come from older versions, which ran everything as root, and from sites that still choose root.
    """
    if account is None:
        return None
    try:
        status = os.lstat(path)
    except OSError:
        return account
    if not stat.S_ISDIR(status.st_mode):
        raise StackError("%s is not a directory: look at what it is, then move it away" % path)
    if status.st_uid == account.uid:
        return account
    if status.st_uid == 0:
        return None
    message = (
        "%s belongs to uid %d and not to %s: choose that account as run_user in provision.yml, or chown the directory"
    )
    raise StackError(message % (path, status.st_uid, account.name))


def ready(root, name):
    """Return whether the account and its directories for runs exist, or none is needed."""
    try:
        account = find(name)
    except StackError:
        return False
    if account is None:
        return True
    return all(is_place(os.path.join(root, place), account) for place in PLACES)


def is_place(path, account):
    """Return whether the account can create directories in this directory and cannot change those of others."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    owned = (status.st_uid, status.st_gid) == (0, account.gid)
    return stat.S_ISDIR(status.st_mode) and owned and stat.S_IMODE(status.st_mode) == 0o1770


def in_the_way(path, as_root):
    """Return why a directory for runs cannot be here, with what to do; empty if it can. `as_root`: for an account."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    if stat.S_ISLNK(status.st_mode):
        return (
            "%s is a link, and runs need a directory there: remove the link. If runs shall be on another disk, mount a "
            "directory of it there (mount --bind DIRECTORY %s)" % (path, path)
        )
    if not stat.S_ISDIR(status.st_mode):
        return "%s is a file, and runs need a directory there: look at what it is, then remove it" % path
    if as_root and status.st_uid != 0:
        return "%s belongs to uid %d and not to root: look at what is in it, then remove it, or give it to root" % (
            path, status.st_uid
        )  # fmt: skip
    return ""


def make_places(root, account):
    """Create the directories for runs. The account can create its own there and cannot change those of root."""
    for name in PLACES:
        path = os.path.join(root, name)
        try:
            os.mkdir(path, 0o755)
        except OSError as error:
            problem = in_the_way(path, account is not None)
            if problem or error.errno != errno.EEXIST:
                raise StackError(problem or "%s cannot be created: %s" % (path, error.strerror))
        if account is not None:
            os.chown(path, 0, account.gid)
            os.chmod(path, 0o1770)


def account_for(root, user):
    """Return the account if the runs of this host belong to one, else None. StackError if the account is missing."""
    try:
        have_account = os.lstat(layout.runs(root)).st_gid != 0
    except OSError:
        have_account = False
    return find(user) if have_account else None
