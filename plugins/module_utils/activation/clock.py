# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The time since boot, and the id of the boot. The time of day is never used, because it can be wrong or jump.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..host.errors import StackError
from ..host.files import read_text
from ..host.processes import start_of
from ..rules import codes
from ..rules.holder import BOOT, UNKNOWN

UPTIME = "/proc/uptime"


def uptime():
    """Seconds since boot, with the time in suspension. StackError if the kernel does not report them."""
    text = read_text(UPTIME, 4096) or ""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        message = "%s does not contain the time since boot: is /proc mounted?" % UPTIME
        raise StackError(message, code=codes.ACTIVATION_TIMER)


def boot():
    """The id of this boot. A container that is started again is a new boot too, although its kernel is the same."""
    try:
        first = start_of(1)
    except (IOError, OSError):
        first = ""  # with hidepid, only root may read it
    return "%s %s" % ((read_text(BOOT, 4096) or "").strip() or UNKNOWN, first or UNKNOWN)
