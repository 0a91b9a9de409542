# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Stops a run on request.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import signal
import time

from ..host.files import write_whole
from ..host.processes import is_alive
from ..rules import clock

PATIENCE = 20.0
"""Seconds that a supervisor gets to end a run before both are killed."""


def stop(run, dry):
    """End a run and all its processes; return (whether it was active, its status). With `dry`, nothing is changed.

    Its supervisor ends it, and continues with the runs that do not need it. If the supervisor does not do so within
    PATIENCE, it is killed together with the run. A run that is still waiting will be skipped.
    """
    run.read_request()
    status = run.status()
    active = status["running"] or (status["waiting"] and not status["stopped"])
    if not active or dry:
        return active, status
    write_whole(run.stopped, "by provision\n")
    deadline = clock.seconds() + PATIENCE
    while clock.seconds() < deadline:
        if not run.status()["running"]:
            return True, run.status()
        time.sleep(0.1)
    for process in (run.supervisor(), run.read(run.process)):
        if is_alive(process.get("pid"), process.get("start")):
            signalled(process["pid"], signal.SIGKILL)
    return True, run.status()


def signalled(group, number):
    """Send a signal to a process group; return whether the group exists."""
    try:
        os.killpg(group, number)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
