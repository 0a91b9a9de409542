"""A run outlives its controller, is found again, and is called what became of it: stopped or killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import engine
from tests.site.host import ROOT
from tests.site.sites import Site
from tests.site.test_runs import HOST, data, options, run

__all__ = ["data", "run"]  # the fixtures of the runs that end by themselves
PATIENCE = 60


def told(site: Site, run_id: str) -> dict[str, Any]:
    """What `runs list` says of a run."""
    done = site.directory.provision("runs", "list", "--json")
    runs: list[dict[str, Any]] = done.document["runs"]
    return next((run for run in runs if run["id"] == run_id), {})


def pid_of(run_id: str) -> int:
    """The process group of a run."""
    return int(json.loads(engine.docker("exec", HOST, "cat", f"{ROOT}/runs/{run_id}/run.json"))["pid"])


def alive(run_id: str) -> bool:
    """Whether a process of the run still runs on its host."""
    said = engine.docker("exec", HOST, "sh", "-c", f"pgrep -g {pid_of(run_id)} || true")
    return bool(said.strip())


@pytest.fixture
def endless(converged: Site, data: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A training without an end, whose controller was killed by SIGKILL as soon as it had begun; its id."""
    run_id = f"endless-{request.node.name[-12:].strip('_')}"
    words = ("train", "--host", HOST, "--id", run_id, "--", *options(max_iters="-1"))
    with converged.directory.start(*words) as controller:
        deadline = time.monotonic() + PATIENCE
        while "iter 2:" not in (told(converged, run_id).get("tail") or ""):
            assert time.monotonic() < deadline, "it did not begin"
        controller.kill()
        controller.communicate()
    yield run_id
    engine.docker("exec", HOST, "sh", "-c", f"pkill -KILL -g {pid_of(run_id)} || true")


def test_run_outlives_its_controller_and_ends_when_it_is_stopped(converged: Site, endless: str) -> None:
    before = told(converged, endless)
    assert before["health"]["state"] == "running"
    assert told(converged, endless)["progress"]["losses"][-1][0] > before["progress"]["losses"][-1][0]
    provision = converged.directory.provision
    provision("runs", "stop", endless, "--plan").ended_with(0).says("would be stopped")
    assert alive(endless)
    provision("runs", "stop", endless).ended_with(0).says(f"{endless} on {HOST} stopped")
    assert not alive(endless)
    provision("runs", "show", endless).ended_with(0).says("stopped", "train.lua -", "the end of its log:", "iter ")
    provision("runs", "logs", endless).ended_with(0).says("iter 0:", "validation loss:")
    provision("runs", "stop", endless).ended_with(0).says("was not running")


def test_run_that_somebody_killed_is_called_killed_and_is_not_well(converged: Site, endless: str) -> None:
    engine.docker("exec", HOST, "sh", "-c", f"kill -9 -{pid_of(endless)}")
    converged.directory.provision("runs", "list").ended_with(1).says(f"{endless} on {HOST} is killed: pid ")
    converged.directory.provision("runs", "show", endless).ended_with(1).says("left no exit code")


def test_run_that_is_none(converged: Site) -> None:
    converged.directory.provision("runs", "show", "nosuch").ended_with(2).says("no host has a run called nosuch")
