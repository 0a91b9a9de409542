"""The terminal in which ansible-runner starts ansible-playbook, by pexpect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def closed_at_once() -> Iterator[None]:
    """Without pexpect's pause of 0.1 s before it closes the terminal of a process that has already ended."""
    import pexpect  # type: ignore[import-untyped]

    class Spawn(pexpect.spawn):  # type: ignore[misc]
        def close(self, force: bool = True) -> None:
            if self.flag_eof and not self.isalive():
                self.ptyproc.delayafterclose = 0
            super().close(force)

    usual, pexpect.spawn = pexpect.spawn, Spawn
    try:
        yield
    finally:
        pexpect.spawn = usual
