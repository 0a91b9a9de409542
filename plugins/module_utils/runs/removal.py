# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Removes generations that nothing uses.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import time

from ..activation.record import read
from ..host.errors import StackError
from ..host.files import remove, remove_any
from ..host.texts import text_of
from ..rules import activation, codes, layout
from .uses import generations_in_use, use_of_generation

ABANDONED = 7 * 86400
"""Seconds. An incomplete generation is kept for this long, so that its build can be continued."""
UNCONFIRMED = "the activation of generation %s is not confirmed, so the host may still return"
UNKNOWN = "it cannot be determined which generations the runs and programs of this host use"


def prune(stack, keep, dry=False):
    """Remove the oldest sealed generations beyond `keep`, and abandoned incomplete ones. Never raises an Exception.

    Returns their ids, and [{id, problem}] of those that had to be removed and are still there. The current generation,
    the previous one and those that runs or other programs use are never removed. Nothing is removed if it cannot be
    determined what is in use, or while the host may return from an activation. With `dry`, nothing is removed.
    """
    removed, kept = [], []
    try:
        found = read(stack.root)
        if found and found["state"] == activation.UNCONFIRMED:
            return [], [{"id": "", "problem": UNCONFIRMED % found["target"]}]
        in_use = generations_in_use(stack.root)
        spared = {stack.current(), stack.history.get("previous")} | (in_use or set())
        for name in [name for name in _superfluous(stack, keep) if name not in spared]:
            problem = UNKNOWN if in_use is None else "" if dry else _problem_of(erase, stack, name)
            kept += [{"id": name, "problem": problem}] if problem else []
            removed += [] if problem else [name]
    except Exception as error:
        kept.append({"id": "", "problem": text_of(error)})
    return removed, kept


def _superfluous(stack, keep):
    """The ids of the sealed generations beyond `keep`, the oldest one last, and of abandoned incomplete ones."""
    sealed = stack.sealed()
    incomplete = [name for name in sorted(os.listdir(stack.path(""))) if name not in sealed]
    return sealed[max(keep, 1) :] + [name for name in incomplete if _idle(stack.path(name)) > ABANDONED]


def _idle(path):
    """Seconds since a log or a stamp of a generation was last created; 0 if it is no directory."""
    times = [os.path.getmtime(place) for place in _dated(path)]
    return time.time() - max(times) if times else 0


def _dated(path):
    """The directories whose times say when a build was last at work in a generation."""
    places = [os.path.join(path, name) for name in ("", layout.LOGS, layout.STAMPS)]
    return [place for place in places if os.path.isdir(place)]


def _problem_of(function, *args):
    """Why a call failed; empty if it succeeded."""
    try:
        function(*args)
    except Exception as error:
        return text_of(error)
    return ""


def _abandon(path):
    """Let a generation look as if no build had been at work in it for long, so that its removal is tried again."""
    for place in _dated(path):
        os.utime(place, (0, 0))


def erase(stack, name):
    """Remove a generation, its seal first, and its sources. What is left after an error counts as abandoned.

    The sources go before the generation, because only a generation that is there is removed again after a kill.
    Stamps without the list of what was installed say that nothing of it can be used, so the stamps are removed last.
    """
    path, sources = stack.path(name), os.path.join(stack.root, layout.BUILD, name)
    remove(layout.seal(path))
    remove(os.path.join(path, layout.INSTALLED))
    try:
        if os.path.isdir(sources):
            shutil.rmtree(sources)
        for entry in sorted(set(os.listdir(path)) - {layout.STAMPS}):
            remove_any(os.path.join(path, entry))
        shutil.rmtree(path)
    except Exception:
        _problem_of(_abandon, stack.path(name))
        raise


def refuse_used(stack, name):
    """StackError if a generation is current, or the previous one, or used, or if that cannot be determined."""
    if name == stack.current():
        reason = "is current"
    elif name == stack.history.get("previous"):
        reason = "is the one to which `provision rollback` returns"
    else:
        reason = use_of_generation(stack.root, name)
    if reason:
        raise StackError("generation %s is not removed: it %s" % (name, reason), code=codes.BUSY)
