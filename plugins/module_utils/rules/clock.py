# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A clock for durations, which a step of the time of day does not move.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import time


def seconds():
    # type: () -> float
    """Seconds since a fixed moment, which is the same for all threads of a process; only differences mean something."""
    monotonic = getattr(time, "monotonic", None)  # Python 2.7 does not have it
    return float(monotonic() if monotonic else os.times()[4])
