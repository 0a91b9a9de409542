"""How programs are run: nothing that they wrote is lost."""

from __future__ import annotations

import os
import subprocess

import pytest

from neuraltalk_provision.mirror import programs


def test_all_that_a_program_wrote_just_before_its_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program writes and ends between the moment when nothing was there and the question whether it ended."""
    poll = subprocess.Popen.poll

    def late(process: subprocess.Popen[bytes]) -> int | None:
        process.wait(timeout=20)
        return poll(process)

    monkeypatch.setattr(subprocess.Popen, "poll", late)
    found = bytearray()
    ended = programs.run(["sh", "-c", "sleep 0.4; echo page; echo last >&2"], os.environ, sink=found.extend)
    assert (bytes(found), ended.code, ended.errors) == (b"page\n", 0, "last")
