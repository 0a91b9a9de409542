"""Limits of processes, and what is said of a command that a signal ended."""

from __future__ import annotations

import copy
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.plan import plan
from plugins.module_utils.host import commands, limits
from tests.unit.plans import HOSTS, RECIPE


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "rc 1"),
        (100, "rc 100"),
        (255, "rc 255"),
        (-signal.SIGXFSZ, "ended by SIGXFSZ: the limit of the size of files was reached (ulimit -f"),
        (128 + signal.SIGXCPU, "ended by SIGXCPU: the limit of processor time was reached"),
        (-signal.SIGKILL, "ended by SIGKILL: if nobody killed it, probably the out-of-memory killer"),
        (-signal.SIGABRT, "ended by SIGABRT"),
        (-99, "ended by signal 99"),
    ],
)
def test_end_of_a_command_is_told_in_words(code: int, words: str) -> None:
    assert limits.ending(code).startswith(words)


def test_file_that_may_not_become_so_large_is_told(tmp_path: Path) -> None:
    argv = ["sh", "-c", f"ulimit -f 1; exec dd if=/dev/zero of={tmp_path}/f bs=1M count=1"]
    rc = commands.run_logged(argv, str(tmp_path / "x.log"))["rc"]
    assert "SIGXFSZ" in limits.ending(rc)


def test_limits_of_this_process_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {resource.RLIMIT_FSIZE: 1000, resource.RLIMIT_AS: resource.RLIM_INFINITY}
    monkeypatch.setattr(limits.resource, "getrlimit", lambda kind: (given.get(kind, 7), 9))
    assert limits.current() == {"fsize": 1000, "as": None, "cpu": 7, "nproc": 7, "nofile": 7}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fsize": 549_999_999}, "the size of a file (ulimit -f, in bytes) is limited to 549999999"),
        ({"as": 300_000_000}, "the memory of a process (ulimit -v, in bytes) is limited to 300000000"),
        ({"cpu": 60}, "the time of a process"),
        ({"nofile": 20}, "the number of open files"),
        ({"nproc": 20}, ""),
        ({"fsize": None, "as": 1 << 40, "cpu": None, "nofile": 1024, "nproc": 4096}, ""),
    ],
)
def test_limits_that_are_too_small_are_refused(given: dict[str, Any], words: str) -> None:
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["limits"] = given
    refusals = plan("node1", HostState.model_validate(state), RECIPE).refusals
    assert len(refusals) == bool(words)
    assert all(words in refusal for refusal in refusals)
