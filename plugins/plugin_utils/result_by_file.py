# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs a module on the host and puts its result into a file of the controller.

ansible-runner drops a result above 700,000 characters. What a host tells of thousands of runs, of a log or of
tens of thousands of captions is larger: it goes by a file in the command's private directory, whose name
`provision_answers` gives. Without that variable the task has the answer itself, as any other.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import uuid

from ansible.plugins.action import ActionBase


class ResultByFile(ActionBase):
    """The module's answer: in a file where a directory for it is named, else as the task's result."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super(ResultByFile, self).run(tmp, task_vars)
        answer = self._execute_module(
            module_name=self._task.action, module_args=self._task.args, task_vars=task_vars, tmp=tmp
        )
        folder = (task_vars or {}).get("provision_answers", "")
        if not folder or answer.get("failed") or answer.get("unreachable"):
            result.update(answer)
            return result
        path = os.path.join(folder, uuid.uuid4().hex + ".json")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(answer, file)
        result.update(changed=bool(answer.get("changed")), answer_file=path)
        return result
