# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The uid and the gid of the account of the runs, which hosts that share a stack root need to have in common.

A file below the stack root contains them, so that the next host creates the account with the same numbers.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..host.errors import StackError
from ..host.files import read_json, write_json
from ..rules import layout
from .account import PLACES, find, in_the_way, ready

MOST = 4294967294


def recorded(root, name):
    """Return (uid, gid) that the account has on the host that created it; None if that is not known."""
    try:
        found = read_json(layout.account(root))
    except (IOError, OSError):
        return None
    if not isinstance(found, dict) or found.get("name") != name:
        return None
    numbers = (found.get("uid"), found.get("gid"))
    ours = all(isinstance(number, int) and not isinstance(number, bool) and 0 < number < MOST for number in numbers)
    return numbers if ours else None


def record(root, account):
    """Record the numbers of the account if they are not recorded. Without an account, nothing is done."""
    if account is not None and recorded(root, account.name) is None:
        write_json(layout.account(root), {"name": account.name, "uid": account.uid, "gid": account.gid})


def usable(root, name):
    """Return whether the account exists with its directories and with the recorded numbers, or none is needed."""
    return ready(root, name) and not mismatches(root, name)


def obstacles(root, name):
    """Return [why runs of this account cannot be in the stack root], each with what to do; empty if they can."""
    as_root = os.geteuid() == 0 and name not in ("", "root")
    found = [in_the_way(os.path.join(root, place), as_root) for place in PLACES]
    return [problem for problem in found if problem][:1] + mismatches(root, name)


def mismatches(root, name):
    """Return [why this host cannot use the runs of the stack root], with what to do; empty if it can."""
    wanted = recorded(root, name)
    if wanted is None or os.geteuid() != 0:
        return []
    try:
        account = find(name)
    except StackError:
        return []
    if account is None or wanted == (account.uid, account.gid):
        return []
    return [
        "the account %s has uid %d and gid %d on this host, but uid %d and gid %d on the one that created %s. Hosts "
        "that share this directory need equal numbers: change them here (usermod -u, groupmod -g), or choose another "
        "run_user. If no other host uses the directory, remove %s"
        % ((name, account.uid, account.gid) + wanted + (layout.runs(root), layout.account(root)))
    ]
