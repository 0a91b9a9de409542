# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The account that runs belong to, and work that is done as that account where Ansible is root.

A model is a program, and a data set's names come from strangers: what a run reads, writes and executes must never be
root's. So whatever touches a run's directory is done in a child that has given up root for good.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import json
import os
import pwd
import stat
import sys
import traceback

from ..host.errors import StackError
from ..host.texts import as_native, as_text
from ..rules import codes
from ..rules import layout

PR_SET_NO_NEW_PRIVS = 38
PLACES = (layout.RUNS, layout.locks(""), layout.QUEUE)
"""Where below the stack root the account makes directories and files of its own."""
DEVICES = "/dev/nvidia"
"""How the names of the devices begin that a run on a card has to open."""


class Account(object):
    """An account of the host: name, uid, gid and the groups of the cards' devices."""

    def __init__(self, name, uid, gid, groups=()):
        self.name, self.uid, self.gid, self.groups = name, uid, gid, tuple(groups)


def find(name):
    """The account that runs belong to; None where they belong to whoever Ansible is. StackError where it is missing.

    That is so without a name, for root by name, and where Ansible is not root, who alone could become another.
    """
    if not name or name == "root" or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            "the account %s, to which runs belong, is not on this host: run `provision site`, which makes it, or "
            "choose another run_user in provision.yml" % name
        )
    if entry.pw_uid == 0:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid, device_groups())


def device_groups():
    """The groups by which the cards' devices can be opened, where not everybody can."""
    found = set()
    for name in sorted(os.listdir("/dev")):
        path = os.path.join("/dev", name)
        if path.startswith(DEVICES):
            status = os.stat(path)
            if stat.S_ISCHR(status.st_mode) and not status.st_mode & 0o006 and status.st_gid:
                found.add(status.st_gid)
    return sorted(found)


def become(account):
    """Give up root for good, in a child; files that it makes are its own alone. Nothing but the mask without one."""
    os.umask(0o077)
    if account is None:
        return
    os.setgroups(list(account.groups))
    os.setgid(account.gid)
    os.setuid(account.uid)
    if 0 in os.getresuid() if hasattr(os, "getresuid") else os.geteuid() == 0:
        os._exit(126)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def as_account(account, work, *given):
    """What `work(*given)` returns, done in a child as the account; it has to be JSON. A StackError passes through.

    Without an account it is done here.
    """
    if account is None:
        return work(*given)
    sys.stdout.flush()
    sys.stderr.flush()
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        answer(account, send, work, given)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        text = pipe.read().decode("utf-8", "replace")
    status = os.waitpid(child, 0)[1]
    if not text:
        words = "what was done as %s ended without an answer (status %d): run the same command again; if that does not "
        words += "help, the host's system log may say who killed it"
        raise StackError(words % (account.name, status))
    told = as_native(json.loads(text))
    if "result" in told:
        return told["result"]
    raise StackError(told["error"], **told["details"])


def answer(account, send, work, given):
    """In the child: do the work and write its outcome to the pipe. Never returns."""
    code = 1
    try:
        try:
            become(account)
            os.chdir("/")
            text = json.dumps({"result": work(*given)})
        except StackError as error:
            text = json.dumps({"error": as_text(str(error)), "details": error.details})
        except Exception as error:
            words = "%s as %s: %s" % (type(error).__name__, account.name, error)
            cause = codes.of_errno(getattr(error, "errno", None), codes.BUG)
            details = {"exception": as_text(traceback.format_exc()), "code": cause}
            text = json.dumps({"error": as_text(words), "details": details})
        with os.fdopen(send, "wb") as pipe:
            pipe.write(as_text(text).encode("utf-8"))
        code = 0
    finally:
        os._exit(code)


def owner_of(path, account):
    """The account to work on a run's directory as: its owner. StackError where that is neither ours nor root.

    Root's are those of versions that ran everything as root, and of sites that still choose so.
    """
    if account is None:
        return None
    try:
        status = os.lstat(path)
    except OSError:
        return account
    if not stat.S_ISDIR(status.st_mode):
        raise StackError("%s is no directory: somebody has put something else there" % path)
    if status.st_uid == account.uid:
        return account
    if status.st_uid == 0:
        return None
    words = (
        "%s belongs to uid %d and not to %s: choose that account as run_user in provision.yml, or chown the directory"
    )
    raise StackError(words % (path, status.st_uid, account.name))


def ready(root, name):
    """Whether the account is there and has the directories for its runs; so where none is needed."""
    try:
        account = find(name)
    except StackError:
        return False
    if account is None:
        return True
    return all(is_place(os.path.join(root, place), account) for place in PLACES)


def is_place(path, account):
    """Whether a directory is such that the account can make its own there, and touch nobody else's."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    owned = (status.st_uid, status.st_gid) == (0, account.gid)
    return stat.S_ISDIR(status.st_mode) and owned and stat.S_IMODE(status.st_mode) == 0o1770


def make_places(root, account):
    """The directories that runs are made in: the account makes its own there and cannot touch what is root's."""
    for name in PLACES:
        path = os.path.join(root, name)
        try:
            os.mkdir(path, 0o755)
        except OSError:
            if not os.path.isdir(path) or os.path.islink(path):
                raise StackError("%s is not a directory, or cannot be made: see what it is, then remove it" % path)
        if account is not None:
            status = os.lstat(path)
            if status.st_uid != 0:
                raise StackError(
                    "%s belongs to uid %d and not to root: look into it, then remove it" % (path, status.st_uid)
                )
            os.chown(path, 0, account.gid)
            os.chmod(path, 0o1770)


def account_for(root, user):
    """The account of runs where those of a host belong to one: then it has to be there also for who only asks."""
    try:
        belong = os.lstat(layout.runs(root)).st_gid != 0
    except OSError:
        belong = False
    return find(user) if belong else None
