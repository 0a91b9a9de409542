# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The start of runs on a host: what can be seen to fail is refused, then their supervisor begins.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import shutil
import time

from ..gpu.cards import misleading_settings
from ..host.commands import log_tail
from ..host.errors import StackError
from ..host.files import write_json
from ..host.processes import is_alive
from ..rules.codes import of_errno
from ..programs.dispatch import CODE, refuse
from ..rules import run as rules
from .account import as_account, make_places
from .admission import admit
from .files import Run
from .launch import interpreter, needs_card, take_card, weights_of
from .leases import Leases, taken
from .packaging import packed
from .summary import models
from .unit import begin, writable
from ..rules import layout

PATIENCE = 30.0
"""Seconds that a supervisor gets to say that it has begun."""
LOOKED = 5.0
"""Seconds after which a start is reported although the run still checks its pictures."""


def start(root, runs, gpu, memory, account):
    """Start the runs; the status of the first, with what was set aside."""
    generation = os.path.realpath(layout.current(root))
    if not os.path.isdir(generation):
        raise StackError("nothing is installed at %s/current: run `provision site` first" % root)
    make_places(root, account)
    first = Run(root, runs[0]["id"])
    with Leases(root, account):
        plan = as_account(account, prepare, root, runs, gpu, memory, generation, packed())
        try:
            remark, process = begin(first, account, writable(root, runs), plan)
            await_file(account, process, first, os.path.join(first.path, rules.STATE))
        except Exception:
            as_account(account, forget, root, runs)
            raise
    await_file(account, process, first, first.process, first.ended, meanwhile=first.log)
    said = as_account(account, begun, root, runs)
    return dict(said, remarks=[remark] * bool(remark) + (misleading_settings() if plan["card"] else []))


def prepare(root, runs, gpu, memory, generation, code):
    """The plan of the runs, once their directories are made. StackError, and nothing made, where it cannot be."""
    check(root, runs, gpu, generation)
    first = Run(root, runs[0]["id"])
    card = take_card(gpu, memory, taken(root))
    plan = {"root": root, "generation": generation, "card": card, "runs": runs, "python": interpreter()}
    admit(root, plan, first.path)
    try:
        write_json(os.path.join(first.path, rules.PLAN), plan)
        with io.open(os.path.join(first.path, CODE), "wb") as file:
            file.write(code)
    except (IOError, OSError) as error:
        forget(root, runs)
        words = "%s cannot be written: %s. Nothing was started" % (first.path, error.strerror)
        raise StackError(words, code=of_errno(error.errno))
    return plan


def check(root, runs, gpu, generation):
    """StackError where something is not there that can be seen before a start."""
    planned = [asked["id"] for asked in runs]
    for asked in runs:
        arguments = needs_card(generation, asked["requested"]) if gpu != "none" else asked["requested"]
        if asked.get("parent") and asked["parent"]["id"] not in planned:
            weights_of(asked["parent"], models(Run(root, asked["parent"]["id"])))
        refuse(Run(root, asked["id"]), asked["program"], arguments, asked.get("files", []), generation)


def begun(root, runs):
    """The result for the first run after it has started. StackError if its supervisor refused it."""
    first = Run(root, runs[0]["id"])
    reason = first.told(first.ended)
    if reason.get("by") == "refused":
        forget(root, runs)
        raise StackError(reason["evidence"])
    process, images = first.told(first.process), first.told(first.images)
    return dict(
        first.status(),
        effective=rules.effective(process) or {},
        set_aside=images.get("set_aside", []),
        images=len(images.get("images", {})),
    )


def await_file(account, process, run, *paths, **also):
    """Wait until one of the files is there. StackError with the supervisor's words where none comes.

    One that lives gets its time: to look at tens of thousands of pictures takes minutes. After a few seconds the file
    `meanwhile` will do, the log in which it says how far it is.
    """
    began = due = time.time()
    while not any(os.path.lexists(path) for path in paths):
        if time.time() > began + LOOKED and also.get("meanwhile") and os.path.lexists(also["meanwhile"]):
            return
        gone = process is not None and process.poll() is not None
        if not gone and time.time() > due + PATIENCE:
            due = time.time()
            gone = not as_account(account, is_led, run.root, run.name)
        # Once more: it may have written the file and ended since we looked.
        if gone and not any(os.path.lexists(path) for path in paths):
            said = as_account(account, last_words, run.path)
            raise StackError("run %s did not begin within %d s: %s" % (run.name, time.time() - began + 1, said))
        time.sleep(0.05)


def is_led(root, name):
    """Whether the supervisor of a run lives."""
    told = Run(root, name).supervisor()
    return is_alive(told.get("pid"), told.get("start"))


def last_words(directory):
    """What a supervisor has left."""
    log = os.path.join(directory, rules.SUPERVISOR_LOG)
    return " | ".join(log_tail(log)) if os.path.exists(log) else "there is no log"


def forget(root, runs):
    """Remove the directories of runs that never began."""
    for asked in runs:
        shutil.rmtree(Run(root, asked["id"]).path, ignore_errors=True)
