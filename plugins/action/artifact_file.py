# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Sends a file of the mirror to the host, if the host does not have it yet.

One task where Ansible's copy, with a check before and after it, would need three.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ..plugin_utils.plain_action import PlainAction


class ActionModule(PlainAction):
    """Asks the module whether the host has the file. If not, sends it, and lets the module verify and place it."""

    def run(self, tmp=None, task_vars=None):
        known = super(ActionModule, self).run(tmp, task_vars)
        src = self._task.args.get("src") or ""
        bad = known.get("failed") or known.get("unreachable")
        if bad or known.get("whole") or not src or self._task.check_mode:
            return known
        if not os.access(src, os.R_OK):
            message = "artifact %s: %s is missing on the controller, or it cannot be read"
            return dict(known, failed=True, msg=message % (self._task.args["artifact"], src))
        sent = self._connection._shell.join_path(self._make_tmp_path(), "sent")
        self._transfer_file(src, sent)
        args = dict(self._task.args, sent=sent)
        return self._execute_module(module_name=self._task.action, module_args=args, task_vars=task_vars)
