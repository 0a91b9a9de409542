# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs the module stack_state without Ansible's libraries (plugin_utils/plain_action.py).

If the variable provision_our_variables is set, the names of the host's variables that match this pattern are passed in
the option O(variables).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ..plugin_utils.plain_action import PlainAction


class ActionModule(PlainAction):
    """Runs the module stack_state on the host."""

    def run(self, tmp=None, task_vars=None):
        pattern = (task_vars or {}).get("provision_our_variables")
        if pattern and "variables" not in self._task.args:
            names = sorted(name for name in task_vars if re.match(pattern, name))
            self._task.args = dict(self._task.args, variables=names)
        return super(ActionModule, self).run(tmp, task_vars)
