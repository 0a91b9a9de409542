# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""States of Slurm's jobs, for hosts and the controller.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")
"""The job is waiting, running or just ending."""
GONE = "GONE"
"""The state that we report for a job that Slurm no longer knows."""
SILENT = "SILENT"
"""The state that we report if Slurm does not answer."""
CANCELLED = "CANCELLED"
OVER = (
    "BOOT_FAIL", CANCELLED, "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING", "PREEMPTED",
    "REVOKED", "TIMEOUT",
)  # fmt: skip
"""The job has ended, or has no node yet. In any other state, also an unknown one, it uses its nodes."""
DRAIN, DOWN = "DRAIN", "DOWN"
"""Words in the state of a node: no new job is started on it; it is out of service."""
WORKS = ("ALLOCATED", "MIXED", "COMPLETING")
"""Words in the state of a node on which a job is running or just ending."""
RESTS = ("IDLE", "DOWN", "FUTURE", "RESERVED")
"""Words in the state of a node on which no job is running, if there is none of WORKS."""
TITLE = "neuraltalk-provision: "
"""The beginning of the reason of each node that we drain. The id of the rollout follows."""
ROLLOUT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""The pattern of the id of a rollout."""
LONGEST_REASON = 200


def reason_of(rollout, text):
    # type: (str, str) -> str
    """The reason for a drain of ours: our title, the id of the rollout, and a text, in printable ASCII."""
    plain = re.sub(r"[^ -~]|[\"\\=]", "?", text)
    return ("%s%s %s" % (TITLE, rollout, plain)).strip()[:LONGEST_REASON]


def rollout_of(reason):
    # type: (str) -> str
    """The id of the rollout in the reason of a drained node; empty if the reason is not ours."""
    found = re.match(r"%s(%s)(?: |\Z)" % (TITLE, ROLLOUT), reason)
    return found.group(1) if found else ""
