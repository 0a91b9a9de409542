"""A callback of Ansible: kills ansible-playbook after a task that it was not killed after before.

KILL_NOTES names the file of the tasks that were met, KILL_EVERY says after how many of them one is fatal.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill_after
type: aggregate
short_description: Kills ansible-playbook after a task that it was not killed after before
description: [For tests alone.]
"""
SHARED = "/roles/artifact/tasks/main.yml"
"""Its tasks are the same for every artifact: once is enough."""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Notes each task that did something, and dies after some."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_after"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended well on the host."""
        task = result._task
        if "include" in task.action:
            return
        place = task.get_path()
        key = place if SHARED in place else f"{result.task_name} {place}"
        with Path(os.environ["KILL_NOTES"]).open("a+", encoding="utf-8") as notes:
            notes.seek(0)
            met = notes.read().splitlines()
            if key in met:
                return
            notes.write(key + "\n")
        if (len(met) + 1) % int(os.environ["KILL_EVERY"]) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
