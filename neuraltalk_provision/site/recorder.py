"""Writes what a playbook does to the command's log while it runs, and shows it if -v was given."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from neuraltalk_provision import command_log, redaction
from neuraltalk_provision.host_names import named
from neuraltalk_provision.site import transcript
from neuraltalk_provision.site.events import Event


class Recorder:
    """Records one run of a playbook in the log of the current command; does nothing if no command is running."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._log = command_log.current()
        # stderr is redirected while the playbook runs (playbook.py).
        self._stderr = sys.stderr
        if self._log:
            self._log.hide(redaction.known(variables))

    def begin(self, playbook: str, limit: Sequence[str], *, check: bool) -> None:
        """Record the start of a playbook and its hosts."""
        mode = ", in check mode" if check else ""
        self._note(f"== {time.strftime('%H:%M:%S')} {playbook} on {named(limit) or 'all hosts'}{mode}\n")

    def trying_again(self, hosts: Sequence[str], pause: float, forks: int) -> None:
        """Record that hosts whose connection was closed before the login are tried again."""
        self._note(
            f"== the SSH server closed the connection before the login on {named(hosts)}: trying again in "
            f"{pause:.0f} s, at most {forks} at once\n"
        )

    def once(self, text: str) -> None:
        """Record a remark about this machine, and show it; not again in the same command."""
        if self._log:
            with contextlib.redirect_stderr(self._stderr):
                self._log.write_once(text)

    def event(self, event: Event) -> None:
        """Record an event of Ansible."""
        if self._log:
            self._note(transcript.of_event(event, max(transcript.TASKS, self._log.verbosity)))

    def result(self, host: str, result: Mapping[str, Any]) -> None:
        """Record a result that came in a file instead of an event; only with -vv."""
        if self._log and self._log.verbosity >= transcript.RESULTS:
            self._note(transcript.of_result(host, result))

    def end(self, playbook: str, status: str, rc: int, *, failed: bool) -> None:
        """Record the end of a playbook."""
        if self._log:
            self._log.host_failed = self._log.host_failed or failed
        self._note(f"== {playbook} ended: {status}, rc {rc}\n")

    def _note(self, text: str) -> None:
        if self._log:
            with contextlib.redirect_stderr(self._stderr):
                self._log.write(text, shown=text if self._log.verbosity else "")
