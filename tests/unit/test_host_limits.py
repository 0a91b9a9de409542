"""Limits of processes, and what is said of a command that a signal ended."""

from __future__ import annotations

import copy
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.obstacles import obstacles
from neuraltalk_provision.site.plan import plan
from plugins.module_utils.host import commands, limits
from tests.unit.plans import HOSTS, RECIPE, part


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
        ({"fsize": 550_000_000, "as": 1 << 30, "cpu": 600, "nofile": 128}, ""),
        ({"fsize": None, "as": 1 << 40, "cpu": None, "nofile": 1024, "nproc": 4096}, ""),
    ],
)
def test_limits_that_are_too_small_are_refused(given: dict[str, Any], words: str) -> None:
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["limits"] = given
    refusals = plan("node1", HostState.model_validate(state), RECIPE).refusals
    assert len(refusals) == bool(words)
    assert all(words in refusal for refusal in refusals)


def test_limits_count_for_users_other_than_root_and_where_something_is_built() -> None:
    state = copy.deepcopy(HOSTS["converged"]["state"]) | {"user": {"uid": 1000}, "limits": {"nproc": 63, "cpu": 1}}
    del state["stack"]["generations"][RECIPE.id]["stamps"]["nn"]
    first, second = plan("node1", HostState.model_validate(state), RECIPE).refusals
    assert "the time of a process" in first and "the number of processes (ulimit -u) is limited to 63" in second
    account = replace(RECIPE, parts=(*RECIPE.parts, part("account", 0)))
    state["stack"]["generations"][RECIPE.id]["stamps"]["nn"] = "d-nn"
    state["user"] = {"uid": 0}
    assert list(obstacles(HostState.model_validate(state), account, ("account",), pushed=True)) == []
