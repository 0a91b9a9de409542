# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The end of a run that somebody asks for.

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

PATIENCE = 20.0
"""Seconds that a supervisor gets to end a run before it is killed with it."""


def stop(run, dry):
    """End the run and whatever it started; (whether there was something to end, its status).

    Its supervisor ends it and goes on with what does not depend on it. One that does not is killed with it. A run
    whose turn has not come is passed over then.
    """
    run.asked()
    status = run.status()
    active = status["running"] or (status["waiting"] and not status["stopped"])
    if not active or dry:
        return active, status
    write_whole(run.stopped, "by provision\n")
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        if not run.status()["running"]:
            return True, run.status()
        time.sleep(0.1)
    for process in (run.supervisor(), run.told(run.process)):
        if is_alive(process.get("pid"), process.get("start")):
            signalled(process["pid"], signal.SIGKILL)
    return True, run.status()


def signalled(group, number):
    """Send a signal to a process group; whether there was one to send it to."""
    try:
        os.killpg(group, number)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
