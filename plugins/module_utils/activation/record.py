# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The record of an activation below a stack root. Whoever reads it to act, or writes it, must hold the lease's lock.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import errno
import json
import os
import re
import stat

from ..host.errors import StackError
from ..host.files import is_own_file, leads_nowhere, remove, sync, write_whole
from ..host.texts import as_native, as_text
from ..rules import activation as rules
from ..rules import codes, layout
from . import clock

MAX_READ = 65536
"""The largest number of bytes that are read from a record."""
LONGEST = 4096
"""Characters of a field."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_TEXTS = ("token", "holder", "former", "target", "cuda", "boot", "cause", "problem")
"""The fields that are texts."""


def new(holder, former, target, cuda, restores, limit):
    """A new record, which starts now.

    `former` and `target` are ids of generations; `former` is empty if none is current. `cuda` is the CUDA directory
    whose cuDNN the activation swaps, or empty. `restores` says whether a return restores the cuDNN of that directory.
    `limit` is in seconds. StackError if an id is not the name of a generation.
    """
    record = {
        "state": rules.UNCONFIRMED,
        "token": binascii.hexlify(os.urandom(16)).decode("ascii"),
        "holder": holder,
        "former": former,
        "target": target,
        "cuda": cuda,
        "restores": restores,
        "limit": limit,
        "boot": clock.boot(),
        "start": clock.uptime(),
        "cause": "",
        "problem": "",
        "when": 0,
    }
    if not _is_whole(as_native(record)):
        message = "%s -> %s: these are not ids of generations, or %s is not the path of a directory"
        raise StackError(message % (former or "none", target, cuda or "none"), code=codes.ACTIVATION_TIMER)
    return as_native(record)


def read(root):
    """The record; None if there is none. StackError if another user could have written it, or if it is damaged."""
    path = layout.activation(root)
    text = _read(path)
    if text is None:
        return None
    try:
        record = as_native(json.loads(text))
    except ValueError:
        record = None
    if not _is_whole(record):
        message = "%s is damaged. Check which generation shall be current, then remove the file" % path
        raise StackError(message)
    return record


def _read(path):
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if leads_nowhere(error, path):
            return None
        if error.errno == errno.ELOOP:
            raise StackError("%s is a link, so it is not used: find out who created it, and remove it" % path)
        raise StackError("%s cannot be read: %s" % (path, error.strerror), code=codes.of_errno(error.errno))
    try:
        status = os.fstat(handle)
        if not is_own_file(path, status) or status.st_nlink != 1:
            raise StackError(
                "%s belongs to uid %d with mode %04o: others may have written it, so it is not used. Find out who "
                "created it, and remove it" % (path, status.st_uid, stat.S_IMODE(status.st_mode))
            )
        return os.read(handle, MAX_READ).decode("utf-8", "replace")
    finally:
        os.close(handle)


def _is_whole(record):
    """Whether a value is a record: every field has its type, and ids are names of directories."""
    if not isinstance(record, dict) or record.get("state") not in (rules.UNCONFIRMED, rules.RETURNED):
        return False
    texts = [record.get(name) for name in _TEXTS]
    if any(type(record.get(name)) is not int for name in ("limit", "when")):
        return False
    numbers = [record.get(name) for name in ("limit", "start", "when")]
    if not all(isinstance(text, str) and len(text) <= LONGEST for text in texts) or not isinstance(
        record.get("restores"), bool
    ):
        return False
    if not all(isinstance(number, (int, float)) and 0 <= number < 1 << 40 for number in numbers):
        return False
    if record["cuda"] and not os.path.isabs(record["cuda"]):
        return False
    return bool(_NAME.match(record["target"])) and (not record["former"] or bool(_NAME.match(record["former"])))


def write(root, record):
    """Write the record, so that it survives a power cut. Only its owner can read it."""
    text = json.dumps(record, indent=1, sort_keys=True)
    write_whole(layout.activation(root), as_text(text) + as_text("\n"), mode=0o600)
    sync(root)


def clear(root):
    """Remove the record, also for the time after a power cut."""
    remove(layout.activation(root))
    sync(root)


def cause(record):
    """Why an unconfirmed activation cannot be confirmed any more (rules/activation.py); empty if it still can be."""
    return rules.cause_of(record, clock.boot(), clock.uptime())


def check_armed(root, target):
    """StackError if no activation of that generation is waiting for its confirmation: then it must not become current.

    The caller holds the lease's lock.
    """
    found = read(root)
    if found and found["state"] == rules.RETURNED:
        raise too_late(found)
    if not found or found["target"] != target or cause(found):
        message = "the timer for generation %s is not armed any more" % target
        raise StackError(message, code=codes.ACTIVATION_RETURNED)


def too_late(record):
    """The StackError for an activation that cannot be confirmed, because the host has returned."""
    return StackError(rules.describe(record), code=codes.ACTIVATION_RETURNED)


def facts(root):
    """The record as the module stack_state returns it; `over` says whether it cannot be confirmed any more.

    `cuda` is the CUDA directory whose cuDNN a return restores; empty if it restores none.
    """
    texts, numbers = ("state", "target", "former", "holder", "cause", "problem"), ("limit", "when")
    empty = dict(dict.fromkeys(texts, ""), over=False, log=layout.activation_log(root), **dict.fromkeys(numbers, 0))
    empty["cuda"] = ""
    try:
        found = read(root)
        if found is None:
            return dict(empty, state=rules.NONE)
        over = found["state"] == rules.UNCONFIRMED and bool(cause(found))
    except StackError as error:
        return dict(empty, state=rules.UNREADABLE, problem=str(error))
    cuda = found["cuda"] if found["restores"] else ""
    return dict(empty, over=over, cuda=cuda, **dict((name, found[name]) for name in texts + numbers))
