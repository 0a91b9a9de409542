# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Ends a transfer that hangs: a disk or a network file system that does not answer blocks every call to it for ever.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import threading

from ..host.errors import StackError
from ..rules import clock, codes

POLL = 0.1


def watched(work, lives, seconds):
    """The result of `work(alive)`, which runs in a thread; what it raises is raised here.

    `alive()` returns what `lives()` returns. StackError if the work has not called it for so many seconds: the thread
    stays blocked, and ends with the process.
    """
    heard, results, errors = [clock.seconds()], [], []

    def alive():
        heard[0] = clock.seconds()
        return lives()

    def run():
        try:
            results.append(work(alive))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()
    while thread.is_alive():
        thread.join(POLL)
        if thread.is_alive() and clock.seconds() - heard[0] > seconds:
            message = "the transfer has not got on for %d s. What arrived is kept: run the same command again when %s"
            raise StackError(message % (seconds, "the disk of this host answers"), code=codes.HOST_HANGS)
    for error in errors:
        raise error
    return results[0]
