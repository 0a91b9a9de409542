# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Refuses the start of runs on a host for a limited time, while its stack is changed.

The file `starts.json` below the stack root says so. It counts only as long as the controller that wrote it holds the
lease of the host, until the host boots again, and until its time is over, by a clock that nobody can set. So a
controller that was lost never blocks a host, and the release of the lease ends the refusal.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import os
import time

from ..host.errors import StackError
from ..host.files import read_json, read_text, remove, write_json
from ..host.lease import read_lease
from ..rules import clock, codes, layout
from ..rules.holder import BOOT, describe
from ..host.origin import origin
from .leases import Leases

LONGEST = 6 * 3600
"""Seconds for which starts can be refused."""
PATIENCE = 60.0
"""Seconds for which the start of a run waits until starts are allowed again."""
POLL = 1.0
UPTIME = "/proc/uptime"


def path_of(root):
    """The path of the file."""
    return os.path.join(root, layout.STARTS)


def refuse(root, holder, seconds):
    """Refuse the start of runs for so many seconds. StackError if `holder` does not hold the lease of the host."""
    lease = read_lease(root)
    if not holder or lease is None or lease["holder"] != holder:
        raise StackError("%s: the start of runs can be refused only while the lease is held" % root, code=codes.BUSY)
    seconds = max(1, min(int(seconds), LONGEST))
    ends = {"boot": boot(), "uptime": uptime() + seconds, "node": origin()["node"], "time": int(time.time()) + seconds}
    write_json(path_of(root), {"holder": holder, "seconds": seconds, "ends": ends})


def allow(root, holder):
    """Allow the start of runs again. Returns whether it was refused. StackError if another controller refuses it."""
    found = refusal(root)
    if found and found["holder"] != holder:
        raise StackError("%s: another controller refuses the start of runs: %s" % (root, describe(found)))
    remove(path_of(root))
    return found is not None


def refusal(root):
    """The refusal that counts now: the lease {holder, host, what, since} and `left`, in seconds; None if none does."""
    content = _content(path_of(root))
    lease = read_lease(root) if content else None
    if content is None or lease is None or lease["holder"] != content["holder"]:
        return None
    left = _left(content["ends"])
    return dict(lease, left=left) if 0 < left <= content["seconds"] else None


def _content(path):
    """The content of the file; None if there is none, or it is not as we write it."""
    try:
        content = read_json(path)
        ends = dict(content["ends"])
        numbers = [content["seconds"], ends["uptime"], ends["time"]]
        known = content["holder"] and ends["node"] and "boot" in ends
        fits = known and all(isinstance(number, (int, float)) for number in numbers)
        return {"holder": content["holder"], "seconds": content["seconds"], "ends": ends} if fits else None
    except (IOError, OSError, KeyError, TypeError, ValueError):
        return None


def _left(ends):
    """Seconds that are left. On another host that shares the disk only the time of day can be compared."""
    if ends["boot"] and ends["boot"] == boot():
        return ends["uptime"] - uptime()
    return 0 if ends["node"] == origin()["node"] else ends["time"] - time.time()


def boot():
    """The id of this boot; empty if the kernel does not report it."""
    return (read_text(BOOT, 100) or "").strip()


def uptime():
    """Seconds since the boot. Nobody can set this clock."""
    return float((read_text(UPTIME, 100) or "0").split()[0])


@contextlib.contextmanager
def lock_for_start(root, account=None, patience=PATIENCE):
    """The lock under which a run is started. Waits while starts are refused; StackError after `patience` seconds."""
    began = clock.seconds()
    while True:
        with Leases(root, account):
            found = refusal(root)
            if not found:
                yield
                return
        if clock.seconds() - began >= patience:
            raise StackError(
                "the stack on this host is being changed, so no run is started now: %s. Try again when that command "
                "has ended; starts are refused for at most %d more minutes"
                % (describe(found), found["left"] // 60 + 1),
                code=codes.BUSY,
            )
        time.sleep(POLL)
