"""`provision runs score`: what it asks of the host, prints and refuses."""

from __future__ import annotations

import json

import pytest

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.results.one_run import ScoredRun
from neuraltalk_provision.runs import hosts as runs_of_hosts
from tests.unit.test_cli import Capture, provision, site
from tests.unit.test_cli_runs import Hosts, hosts, told

__all__ = ["hosts", "site"]
SCORED = ScoredRun(
    scores={"Bleu_4": 0.22, "METEOR": 0.208, "CIDEr": 0.695},
    used=1070,
    of=3200,
    annotations="/a.json",
    generation="g",
    source="/vis.json",
    file="/r/base/scores.json",
    remarks=("generation x is gone",),
)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """(run, host, annotations) of what is scored."""
    asked: list[tuple[str, str, str]] = []

    def score(run_id: str, host: str, settings: object, annotations: str = "") -> ScoredRun:
        asked.append((run_id, host, annotations))
        return SCORED

    monkeypatch.setattr(runs_of_hosts, "score", score)
    return asked


def test_scores_are_printed_with_how_many_captions_they_are_of(
    capsys: Capture, hosts: Hosts, scored: list[tuple[str, str, str]]
) -> None:
    hosts(told())
    code, out, _ = provision(capsys, "runs", "score", "base", "--annotations", "/my.json")
    assert (code, scored) == (0, [("base", "one", "/my.json")])
    assert "base on one: 1070 of 3200 captions were compared with /a.json" in out
    assert "Bleu_4 0.220, METEOR 0.208, CIDEr 0.695" in out
    assert "generation x is gone" in out
    code, out, _ = provision(capsys, "runs", "score", "base", "--json")
    assert json.loads(out)["scores"]["CIDEr"] == 0.695


def test_scorers_words_are_the_error(capsys: Capture, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> ScoredRun:
        raise HostError("one, Start, stop or score the run: run base could not be scored: none of the 3 predictions")

    hosts(told())
    monkeypatch.setattr(runs_of_hosts, "score", fail)
    code, _, err = provision(capsys, "runs", "score", "base")
    assert code == 1
    assert "run base could not be scored: none of the 3 predictions" in err


def test_run_that_goes_on_and_a_relative_path_are_refused_and_a_plan_asks_nothing(
    capsys: Capture, hosts: Hosts, scored: list[tuple[str, str, str]]
) -> None:
    hosts(told(running=True, exit_code=None))
    code, _, err = provision(capsys, "runs", "score", "base")
    assert (
        code,
        "base on one is running (pid 7, its log grew 1 s ago): only a run that has ended can be scored" in err,
    ) == (2, True)
    hosts(told())
    code, _, err = provision(capsys, "runs", "score", "base", "--annotations", "my.json")
    assert (code, "--annotations my.json: must be an absolute path on the host" in err) == (2, True)
    code, out, _ = provision(capsys, "runs", "score", "base", "--plan")
    assert (code, "base on one would be scored" in out) == (0, True)
    assert scored == []
