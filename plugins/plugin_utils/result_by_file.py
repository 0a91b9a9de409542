# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs a module on the host and writes its result to a file on the controller.

ansible-runner drops results of more than 700,000 characters. A result with thousands of runs, a log or tens of
thousands of captions is larger. So it is written to a file in the command's private directory, which the variable
`provision_answers` names. Without that variable the result is returned as usual.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import uuid

from ansible.plugins.action import ActionBase


class ResultByFile(ActionBase):
    """Returns the path of a file with the module's result if `provision_answers` is set, else the result itself."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super(ResultByFile, self).run(tmp, task_vars)
        module_result = self._execute_module(
            module_name=self._task.action, module_args=self._task.args, task_vars=task_vars, tmp=tmp
        )
        folder = (task_vars or {}).get("provision_answers", "")
        if not folder or module_result.get("failed") or module_result.get("unreachable"):
            result.update(module_result)
            return result
        path = os.path.join(folder, uuid.uuid4().hex + ".json")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(module_result, file)
        result.update(changed=bool(module_result.get("changed")), answer_file=path)
        return result
