"""A start of which nobody knows whether it happened: the user is told to look, and not to start a second run."""

from __future__ import annotations

import json

import pytest

from neuraltalk_provision.results.run import RunsResult
from neuraltalk_provision.runs import hosts as runs_of_hosts
from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.runs import started_run
from tests.unit.test_cli import Capture, provision, site

__all__ = ["site"]
GIVEN = ("--", "-input_h5", "/a", "-input_json", "/b")


@pytest.fixture(params=["interrupted", "lost"])
def unsure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A command that is interrupted, or whose connection is lost, while the host starts a run."""

    def run(_request: playbook.Request) -> playbook.Outcome:
        if request.param == "interrupted":
            raise KeyboardInterrupt
        lost = Failure("node1", "Start the run", "Connection reset", unreachable=True, code="host.unreachable")
        return playbook.Outcome(4, PlayResults(failures=(lost,)))

    monkeypatch.setattr(playbook, "run", run)
    return str(request.param)


@pytest.mark.parametrize("launcher", ["ssh", "slurm"])
def test_start_that_may_have_happened_is_to_be_looked_for(capsys: Capture, unsure: str, launcher: str) -> None:
    words = ("train", "--host", "node1", "--id", "base", "--launcher", launcher, *GIVEN)
    code, _, err = provision(capsys, *words)
    assert code == (130 if unsure == "interrupted" else 1)
    assert "next: `provision runs show base --host node1` tells whether it was started" in err
    assert "continues where it stopped" not in err


def test_host_that_refuses_a_run_has_not_started_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = PlayResults(failures=(Failure("node1", "Start the run", "there is no such file"),))
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(2, refused))
    code, _, err = provision(capsys, "train", "--host", "node1", *GIVEN)
    assert (code, "whether it was started" in err) == (1, False)


def test_sweep_that_is_interrupted_names_what_it_has_started(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, site: object
) -> None:
    with open("s.yml", "w") as file:  # noqa: PTH123
        file.write("id: s\ngpu: none\noptions: {input_h5: /a, input_json: /b}\ngrid: {seed: [1, 2, 3]}\n")
    told = RunsResult(runs=(), queued=(), free=())
    where = runs_of_hosts.Site((), dict.fromkeys(["one", "two", "three"], told))
    monkeypatch.setattr(runs_of_hosts, "query", lambda *given, **more: where)

    def start(runs: object, host: str, settings: object, **_more: object) -> object:
        if host == "two":
            raise KeyboardInterrupt
        return started_run("/log")

    monkeypatch.setattr(runs_of_hosts, "start", start)
    code, _, err = provision(capsys, "sweep", "s.yml")
    assert (code, "continues where it stopped" in err) == (130, False)
    assert "of 3 runs of the sweep s, 1 was started before the interruption: s-1; one more may" in err
    code, out, _ = provision(capsys, "sweep", "s.yml", "--json")
    assert [share["runs"] for share in json.loads(out)["started"]] == [["s-1"]]
