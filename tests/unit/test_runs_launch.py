"""Following a run and judging what it left: an exit code alone proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.errors import CheckError, HostError, UsageError
from neuraltalk_provision.results.one_run import Caption
from neuraltalk_provision.results.run import Ending, RunFile
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import ending
from neuraltalk_provision.runs.progress.ending import RunEnd
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.runs import progress_of, row

TRAIN = RunSpec("run-1", "train.lua", {"gpuid": "-1"}, ())
EVAL = RunSpec("run-1", "eval.lua", {"gpuid": "-1"}, ())
END = RunEnd(
    id="run-1",
    host="node1",
    log="/opt/neuraltalk/runs/run-1/log",
    exit_code=0,
    checkpoints=(RunFile(file="/opt/neuraltalk/runs/run-1/checkpoint/model_idrun-1.t7", bytes=10, modified=5.0),),
    captions=(Caption(file="my 'cat'.jpg", caption="a cat", image_id=1, place=""),),
    set_aside=(),
    losses=(),
)
WROTE = {"checkpoints": [file.model_dump() for file in END.checkpoints], "captions": [], "set_aside": []}


STARTED = {
    **row(), "effective": {"seed": "1", "id": "run-1"}, "set_aside": [], "images": 0, "remarks": [],
}  # fmt: skip


def said(text: str, offset: int, *, running: bool, more: bool = False, **rest: Any) -> dict[str, Any]:
    state = {"log": END.log, "exit_code": None, "waiting": False, "ended": None}
    return {"text": text, "offset": offset, "running": running, "more": more, **state, **rest}


@pytest.fixture
def asked() -> list[playbook.Request]:
    """The requests that reach Ansible."""
    return []


def host_says(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request], answers: Sequence[Mapping[str, Any]]
) -> None:
    remaining = iter(answers)

    def run(request: playbook.Request) -> playbook.Outcome:
        asked.append(request)
        module = {"run.yml": "stack_run", "run_info.yml": "stack_run_info"}[request.playbook]
        return playbook.Outcome(0, PlayResults(results=(("node1", module, {"run": next(remaining)}),)))

    monkeypatch.setattr(playbook, "run", run)


def test_run_is_followed_to_its_end_and_its_whole_log_is_shown_once(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request]
) -> None:
    answers = [
        said("", 0, running=False, waiting=True),
        said("iter 1: 9.5\niter ", 16, running=True, more=True),
        said("2: 8.25\n", 24, running=True),
        said("", 24, running=True),
        said("iter 3: 7.0\n", 36, running=False, more=True, exit_code=0),
        said("done\n", 41, running=False, exit_code=0, wrote=WROTE),
    ]
    host_says(monkeypatch, asked, answers)
    shown: list[str] = []
    end = hosts.watch("run-1", "node1", Settings(), shown.append)
    assert "".join(shown) == "iter 1: 9.5\niter 2: 8.25\niter 3: 7.0\ndone\n"
    assert [request.variables["provision_run"]["offset"] for request in asked] == [0, 0, 16, 24, 24, 36]
    assert [request.variables["provision_run"]["wait"] for request in asked] == [2, 4, 0, 2, 4, 0]
    assert end.losses == ((1, 9.5), (2, 8.25), (3, 7.0))
    assert (end.exit_code, end.checkpoints) == (0, END.checkpoints)


def test_host_waits_longer_the_longer_a_run_is_followed(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request]
) -> None:
    host_says(monkeypatch, asked, [said("", 0, running=True)] * 6 + [said("", 0, running=False, exit_code=0)])
    assert len(list(hosts.follow("run-1", "node1", Settings()))) == 7
    assert [request.variables["provision_run"]["wait"] for request in asked] == [0, 2, 4, 6, 8, 10, 10]


def test_start_hands_on_what_is_to_run(monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request]) -> None:
    host_says(monkeypatch, asked, [STARTED])
    assert hosts.start([TRAIN], "node1", Settings(stack_root="/srv/x")).effective == {"seed": "1", "id": "run-1"}
    (request,) = asked
    assert (request.playbook, list(request.limit)) == ("run.yml", ["node1"])
    assert request.variables["provision_stack_root"] == "/srv/x"
    assert request.variables["provision_run"]["state"] == "started"
    (run,) = request.variables["provision_run"]["runs"]
    assert (run["id"], run["requested"]) == ("run-1", {"gpuid": "-1"})


@pytest.mark.parametrize(
    ("gpu", "only_idle", "sent"),
    [("GPU-a", True, "auto:GPU-a"), ("GPU-a", False, "GPU-a"), ("none", True, "none")],
)
def test_card_that_has_to_be_idle_is_requested_so(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request], gpu: str, only_idle: bool, sent: str
) -> None:
    host_says(monkeypatch, asked, [STARTED])
    hosts.start([replace(TRAIN, gpu=gpu)], "node1", Settings(), only_idle=only_idle)
    assert asked[0].variables["provision_run"]["gpu"] == sent


def test_host_that_cannot_start_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = PlayResults(failures=(Failure("node1", "Start the run", "this host already has a run called run-1"),))
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(2, failed))
    with pytest.raises(HostError, match="node1, Start the run: this host already has a run called run-1"):
        hosts.start([TRAIN], "node1", Settings())


def test_pattern_that_names_two_hosts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    results = tuple((host, "stack_run", {"run": STARTED}) for host in ("node1", "node2"))
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(0, PlayResults(results=results)))
    with pytest.raises(UsageError, match="--host nodes must name exactly one host, but it matches 2"):
        hosts.start([TRAIN], "nodes", Settings())


@pytest.mark.parametrize(
    ("run", "end", "words"),
    [
        (TRAIN, replace(END, exit_code=None), "run run-1 was killed before it ended"),
        (TRAIN, replace(END, exit_code=-9), "run run-1 was killed before it ended"),
        (TRAIN, replace(END, exit_code=3), "train.lua ended with exit code 3"),
        (TRAIN, replace(END, exit_code=None, ended=Ending(by="skipped", evidence="no")), "run-1 was not started: no"),
        (
            TRAIN,
            replace(END, exit_code=None, ended=Ending(by="signal", evidence="15")),
            "was killed before it ended: 15",
        ),
        (
            TRAIN,
            replace(END, exit_code=-15, ended=Ending(by="signal", evidence="SIGTERM")),
            "killed before it ended: SIGTERM",
        ),
        (TRAIN, replace(END, exit_code=None, ended=Ending(by="disk", evidence="full")), "before it ended: full"),
        (TRAIN, replace(END, exit_code=1, ended=Ending(by="disk", evidence="full")), "ended with exit code 1: full"),
        (TRAIN, replace(END, checkpoints=()), "ended without a model"),
        (
            TRAIN,
            replace(END, checkpoints=(RunFile(file="/x/model.json", bytes=1, modified=5.0),)),
            "ended without a model",
        ),
        (
            TRAIN,
            replace(END, progress=progress_of("iter 0: 3\niter 1: nan\n")),
            "run-1 diverged: loss nan at iteration 1",
        ),
        (
            TRAIN,
            replace(END, progress=progress_of("iter 0: 3\nloss seems to be exploding\n")),
            "diverged: its log says",
        ),
        (EVAL, replace(END, exit_code=1), "eval.lua ended with exit code 1"),
        (EVAL, replace(END, captions=()), "ended without captions"),
    ],
)
def test_run_that_did_not_leave_what_it_was_for_has_failed(run: RunSpec, end: RunEnd, words: str) -> None:
    with pytest.raises(CheckError) as caught:
        ending.check(run.program, end)
    assert words in caught.value.message
    assert caught.value.advice == f"Read {END.log} on node1."
    assert caught.value.document["log"] == END.log


@pytest.mark.parametrize("run", [TRAIN, EVAL])
def test_run_that_left_it_has_not(run: RunSpec) -> None:
    ending.check(run.program, END)


@pytest.mark.parametrize("code", [-15, None])
@pytest.mark.parametrize("by", ["plateau", "iterations"])
def test_stage_that_was_over_ended_well_though_it_was_ended(by: str, code: int | None) -> None:
    """A program that needs seconds to end, and has no exit code yet, was said never to have started."""
    ending.check("train.lua", replace(END, exit_code=code, ended=Ending(by=by, evidence="x")))


SCORED = {
    "scores": {"CIDEr": 0.695, "Bleu_4": 0}, "used": 2, "of": 3, "annotations": "/a.json", "generation": "g",
    "source": "/vis.json", "file": "/scores.json", "remarks": [],
}  # fmt: skip


def test_run_is_scored_on_its_host_against_the_annotations_that_are_named(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request]
) -> None:
    host_says(monkeypatch, asked, [SCORED])
    assert hosts.score("run-1", "node1", Settings(), "/my.json").scores == {"CIDEr": 0.695, "Bleu_4": 0}
    wanted = {"id": "run-1", "annotations": "/my.json", "state": "scored"}
    assert asked[0].variables["provision_run"] == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": {}},
        {"scores": {"CIDEr": "0.7"}},
        {"scores": {"CIDEr": float("nan")}},
        {"scores": {"a b\n": 0.7}},
        {"scores": {f"s{n}": 0.7 for n in range(33)}},
        {"of": None},
        {"used": -1},
        {"remarks": "x"},
        {"annotations": "x" * 5000},
    ],
)
def test_scores_of_another_shape_are_refused_at_the_door(
    monkeypatch: pytest.MonkeyPatch, asked: list[playbook.Request], wrong: dict[str, Any]
) -> None:
    host_says(monkeypatch, asked, [{**SCORED, **wrong}])
    with pytest.raises(HostError, match="its result is not as expected"):
        hosts.score("run-1", "node1", Settings())
