# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A clock for durations, which a step of the time of day does not move.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os


def seconds():
    # type: () -> float
    """Seconds since a fixed moment, the same for all threads of a process; only differences mean something.

    In steps of 0.01 s. Python 2.7 has no time.monotonic, and both have this.
    """
    return os.times()[4]
