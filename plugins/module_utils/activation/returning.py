# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Returns a host to the generation and the cuDNN from before an activation.

The order makes it safe to kill it at any time and to run it again: cuDNN first, whose own journal finishes what was
interrupted; then the link, by one rename; then the record. So the record stays unconfirmed until everything is done.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat
import time

from ..cudnn.inspection import Tree
from ..cudnn.ldconfig import Loader
from ..cudnn.swap import restore
from ..host.errors import StackError
from ..host.files import make_directory, sync
from ..host.generations import Generations
from ..host.texts import as_text
from ..rules import activation as rules
from ..rules import codes, layout
from ..rules.cudnn import SWAPPED
from ..rules.texts import moment
from . import record as records

MISSING = (
    "%s does not exist, so the cuDNN there cannot be restored, and the return from an activation is not complete. "
    "Mount the disk with the CUDA directory; the host tries again, and so does the next command. If the directory was "
    "removed for good, create it again, with an empty include and lib64 in it"
)
LARGEST_LOG = 1 << 20
"""Bytes. A longer log is started again."""


def restores(cuda):
    """Whether a return from now on has to restore the cuDNN of a CUDA directory: it was not swapped before."""
    return bool(cuda) and (Tree(cuda).journal() or {}).get("phase") != SWAPPED


def give_back(root, record, cause):
    """Return the host and write this into the record. Returns the new record. The caller holds the lease's lock.

    What cannot be returned is a `problem` in the record. Raises a StackError if a swap of cuDNN is running (with the
    code BUSY), or the CUDA directory is missing or cannot be written, and OSError, for example on a full disk. Then it
    must be called again, and the record stays unconfirmed; unless a swap is running, the link is returned nevertheless.
    """
    try:
        problems = [_restore_cudnn(record)]
    except (IOError, OSError, StackError) as error:
        if getattr(error, "details", {}).get("code") != codes.BUSY:
            _return_link(root, record)
        raise
    problems.append(_return_link(root, record))
    problem = "; ".join(text for text in problems if text)[: records.LONGEST]
    done = dict(record, state=rules.RETURNED, cause=cause, problem=problem, when=int(time.time()))
    log(root, rules.describe(done))
    records.write(root, done)
    return done


def _restore_cudnn(record):
    """Restore the cuDNN from before the activation. Returns what went wrong; empty if nothing did.

    StackError if it can perhaps be restored later. The empty directory of a disk that is not mounted counts as missing.
    """
    if not record["restores"]:
        return ""
    tree = Tree(record["cuda"])
    missing = [place for place in (tree.root, tree.include, tree.lib) if not os.path.isdir(place)]
    if missing:
        raise StackError(MISSING % missing[0])
    loader = Loader(tree.root)
    try:
        if os.path.isdir(tree.ours):
            restore(tree, loader)
    except StackError as error:
        if error.details.get("code") in (codes.BUSY, codes.FILE_DENIED):
            raise
        return "cuDNN was not restored: %s" % error if tree.journal() else ""
    return ""


def _return_link(root, record):
    """Make the former generation current. Returns why another one stays current; empty if it succeeded."""
    stack = Generations(root)
    current, former = stack.current(), record["former"]
    if current == former:
        if current:
            stack.repair(record["target"])
        return ""
    if current != record["target"]:
        return "%s was made current since then, and stays" % rules.generation(current)
    if former and former not in stack.sealed():
        return "%s is not complete any more, so that %s stays current" % (rules.generation(former), current)
    try:
        stack.withdraw(former)
    except (IOError, OSError):
        # The history cannot be written, for example on a full disk. The link matters more.
        if former:
            stack.link_to(former)
        else:
            os.unlink(stack.link)
        raise
    finally:
        sync(root)
    return ""


def log(root, text):
    """Add a line to the log of the activation. A log that cannot be written stops nothing."""
    path = layout.activation_log(root)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        make_directory(os.path.dirname(path))
        handle = os.open(path, flags, 0o644)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return
            if status.st_size > LARGEST_LOG:
                os.ftruncate(handle, 0)
            os.write(
                handle,
                as_text("%s: %s\n").encode("utf-8")
                % (_bytes(moment(time.time())), _bytes(" | ".join(as_text(text).splitlines()))),
            )
        finally:
            os.close(handle)
    except (IOError, OSError):
        pass


def _bytes(text):
    return as_text(text).encode("utf-8")
