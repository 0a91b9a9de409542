"""A callback plugin of Ansible: kills ansible-playbook after a task after which it was not killed before.

KILL_NOTES is the path of the file with the finished tasks, KILL_EVERY the number of tasks between two kills.
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
short_description: Kills ansible-playbook after a new task
description: [Only for tests.]
"""
SHARED = "/roles/artifact/tasks/main.yml"
"""The tasks of this file are the same for every artifact, so each is killed only once."""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Records each finished task, and kills the process after some of them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_after"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has succeeded on the host."""
        task = result._task
        if "include" in task.action:
            return
        place = task.get_path()
        key = place if SHARED in place else f"{result.task_name} {place}"
        with Path(os.environ["KILL_NOTES"]).open("a+", encoding="utf-8") as notes:
            notes.seek(0)
            known = notes.read().splitlines()
            if key in known:
                return
            notes.write(key + "\n")
        if (len(known) + 1) % int(os.environ["KILL_EVERY"]) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
