# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Starts runs on a host: checks first what would make them fail, then starts their supervisor.

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
from .files import LARGEST_LIST, Run, read_object
from .launch import current_generation, interpreter, needs_card, take_card, weights_of
from .leases import taken
from .packaging import packed
from .starts import lock_for_start
from .summary import models
from .unit import start_supervisor, writable
from ..rules import clock

PATIENCE = 30.0
"""Seconds after which it is checked whether the supervisor is still alive."""
REPORT_AFTER = 5.0
"""Seconds after which a start is reported although the run still checks its pictures."""


def start(root, runs, gpu, memory, account):
    """Start the runs; return the status of the first, with the pictures that were set aside."""
    current_generation(root)
    make_places(root, account)
    first = Run(root, runs[0]["id"])
    with lock_for_start(root, account):
        # Read under the lock: no generation is removed, and none becomes current, before the run can be seen.
        generation = current_generation(root)
        plan, remarks = as_account(account, prepare, root, runs, gpu, memory, generation, packed())
        try:
            remark, process = start_supervisor(first, account, writable(root, runs), plan)
            await_file(account, process, first, os.path.join(first.path, rules.STATE))
        except Exception:
            as_account(account, remove_directories, root, runs)
            raise
    await_file(account, process, first, first.process, first.ended, meanwhile=first.log)
    result = as_account(account, result_of_start, root, runs)
    remarks += misleading_settings() if plan["card"] else []
    return dict(result, remarks=[remark] * bool(remark) + remarks)


def prepare(root, runs, gpu, memory, generation, code):
    """Create the directories of the runs; return (plan, remarks). If that fails: StackError, and nothing is created."""
    check(root, runs, gpu, generation)
    first = Run(root, runs[0]["id"])
    card, remarks = take_card(gpu, memory, taken(root), generation)
    plan = {"root": root, "generation": generation, "card": card, "runs": runs, "python": interpreter()}
    admit(root, plan, first.path)
    try:
        write_json(os.path.join(first.path, rules.PLAN), plan)
        with io.open(os.path.join(first.path, CODE), "wb") as file:
            file.write(code)
    except (IOError, OSError) as error:
        remove_directories(root, runs)
        message = "%s cannot be written: %s. Nothing was started" % (first.path, error.strerror)
        raise StackError(message, code=of_errno(error.errno))
    return plan, remarks


def check(root, runs, gpu, generation):
    """StackError if something that the runs need is missing."""
    planned = [request["id"] for request in runs]
    for request in runs:
        arguments = needs_card(generation, request["requested"]) if gpu != "none" else request["requested"]
        if request.get("parent") and request["parent"]["id"] not in planned:
            weights_of(request["parent"], models(Run(root, request["parent"]["id"])))
        refuse(Run(root, request["id"]), request["program"], arguments, request.get("files", []), generation)


def result_of_start(root, runs):
    """Return the result for the first run after it has started. StackError if its supervisor refused it."""
    first = Run(root, runs[0]["id"])
    reason = first.read(first.ended)
    if reason.get("by") == "refused":
        remove_directories(root, runs)
        raise StackError(reason["evidence"])
    process, images = first.read(first.process), read_object(first.images, LARGEST_LIST)
    return dict(
        first.status(),
        effective=process.get("effective") or {},
        set_aside=images.get("set_aside", []),
        images=len(images.get("images", {})),
    )


def await_file(account, process, run, *paths, **options):
    """Wait until one of the files exists. StackError with the supervisor's log if it has ended before that.

    There is no time limit while the supervisor is alive, because it takes minutes to check tens of thousands of
    pictures. After REPORT_AFTER the file `meanwhile`, the log with the progress of the check, is enough.
    """
    began = checked = clock.seconds()
    while not any(os.path.lexists(path) for path in paths):
        meanwhile = options.get("meanwhile")
        if meanwhile and clock.seconds() > began + REPORT_AFTER and os.path.lexists(meanwhile):
            return
        gone = process is not None and process.poll() is not None
        if not gone and clock.seconds() > checked + PATIENCE:
            checked = clock.seconds()
            gone = not as_account(account, is_supervised, run.root, run.name)
        # Check again: it may have written the file and ended since the last check.
        if gone and not any(os.path.lexists(path) for path in paths):
            log = as_account(account, log_excerpt, run.path)
            raise StackError("run %s did not begin within %d s: %s" % (run.name, clock.seconds() - began + 1, log))
        time.sleep(0.05)


def is_supervised(root, name):
    """Return whether the supervisor of a run is alive."""
    state = Run(root, name).supervisor()
    return is_alive(state.get("pid"), state.get("start"))


def log_excerpt(directory):
    """Return the last lines of the supervisor's log."""
    log = os.path.join(directory, rules.SUPERVISOR_LOG)
    return " | ".join(log_tail(log)) if os.path.exists(log) else "there is no log"


def remove_directories(root, runs):
    """Remove the directories of runs that were not started."""
    for request in runs:
        shutil.rmtree(Run(root, request["id"]).path, ignore_errors=True)
