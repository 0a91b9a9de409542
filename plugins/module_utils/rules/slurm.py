# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""States of Slurm's jobs, for hosts and the controller.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")
"""The job is waiting, running or just ending."""
GONE = "GONE"
"""The state that we report for a job that Slurm no longer knows."""
SILENT = "SILENT"
"""The state that we report if Slurm does not answer."""
