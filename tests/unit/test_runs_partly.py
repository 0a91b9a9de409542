"""Runs of a site of which some hosts do not answer: the others are shown, and the advice can be typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.runs import detail, row
from tests.unit.test_cli import Capture, provision, site

__all__ = ["site"]
DEAD = Failure("node2", "List the runs", "No route to host", unreachable=True, code="host.unreachable")
Asked = list[playbook.Request]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """node1 has the run `base`, which was killed; node2 cannot be reached."""
    seen: Asked = []

    def run(request: playbook.Request) -> playbook.Outcome:
        seen.append(request)
        made = detail if "provision_ids" in request.variables else row
        result: dict[str, Any] = {"runs": [made("base", exit_code=-9)], "queued": [], "free": []}
        return playbook.Outcome(4, PlayResults((("node1", "stack_run_info", result),), (DEAD,)))

    monkeypatch.setattr(playbook, "run", run)
    return seen


def test_list_shows_the_runs_of_the_hosts_that_answer(capsys: Capture, asked: Asked) -> None:
    code, out, err = provision(capsys, "runs", "list")
    assert (code, "base on node1 is killed" in out) == (1, True)
    assert "node2: the host cannot be reached" in err
    assert "--limit '!HOST'" in err
    code, out, _ = provision(capsys, "runs", "list", "--json")
    document = json.loads(out)
    assert (code, [run["id"] for run in document["runs"]], document["unwell"]) == (1, ["base"], ["base"])
    assert [failure["host"] for failure in document["failures"]] == ["node2"]


@pytest.mark.parametrize(
    ("verb", "advice"),
    [("stop", "base was found on node1: --host node1 asks only this host."), ("resume", "--host HOST in place of it.")],
)
def test_advice_names_an_option_of_the_verb(capsys: Capture, asked: Asked, verb: str, advice: str) -> None:
    code, _, err = provision(capsys, "runs", verb, "base")
    assert (code, advice in err) == (1, True)


@pytest.mark.parametrize("verb", ["show", "logs", "stop", "resume", "watch", "verify", "score", "report"])
@pytest.mark.parametrize("run_id", ["../x", "a b", "x.new"])
def test_id_that_no_run_can_have_is_refused_before_a_host_is_asked(
    capsys: Capture, asked: Asked, verb: str, run_id: str
) -> None:
    code, _, err = provision(capsys, "runs", verb, run_id)
    assert (code, asked) == (2, [])
    assert f"{run_id!r} is not the id of a run" in err


def test_host_that_says_it_is_another_machine_hides_no_run_of_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, site: object
) -> None:
    """`alias` is another name of `node1`, and `a-liar` only says that it is that machine."""
    listed = {"a-liar": ["x"], "alias": ["base", "tune"], "node1": ["base", "tune"], "node2": ["base"]}

    def run(request: playbook.Request) -> playbook.Outcome:
        made = detail if "provision_ids" in request.variables else row
        results = tuple(
            (host, "stack_run_info", {"runs": [made(one) for one in ids], "queued": [], "free": [], "machine": machine})
            for host, ids in listed.items()
            for machine in ("a" * 32 if host != "node2" else "b" * 32,)
        )
        return playbook.Outcome(0, PlayResults(results))

    monkeypatch.setattr(playbook, "run", run)
    out = provision(capsys, "runs", "list", "--json")[1]
    rows = sorted((one["host"], one["id"]) for one in json.loads(out)["runs"])
    assert rows == [("a-liar", "x"), ("alias", "base"), ("alias", "tune"), ("node2", "base")]
