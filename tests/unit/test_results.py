"""Results of modules as typed objects: what is taken, what is refused and by which field, what is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.results import base, run_log
from neuraltalk_provision.results.base import Result
from neuraltalk_provision.results.checks import Check, StackVerifyResult
from neuraltalk_provision.results.host_state import HostVariables
from neuraltalk_provision.results.one_run import BrokenModel, FilesOfRun, OpenedModel, ProbedRun, StartedRun
from neuraltalk_provision.results.run import QueuedRun, RunDetail, RunRow, RunsResult, Sample, UnreadableRun
from neuraltalk_provision.results.run_log import LogResult
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import playbook
from neuraltalk_provision.site.events import PlayResults
from tests.unit.conftest import program
from tests.unit.runs import detail, of_detail, read, row, started_run
from tests.unit.test_runs_rows import make

STARTED = started_run("/l").model_dump()


def test_options_that_were_requested_and_those_that_the_program_got_are_told_apart() -> None:
    found = base.read(RunDetail, detail(requested={"seed": "1"}, effective={"seed": "1", "id": "x"}))
    assert isinstance(found, RunDetail)
    assert (found.requested, found.effective) == ({"seed": "1"}, {"seed": "1", "id": "x"})


def test_what_the_program_got_is_printed_by_the_name_that_it_always_had() -> None:
    found = base.read(StartedRun, {**STARTED, "effective": {"seed": "1"}})
    assert isinstance(found, StartedRun)
    assert base.plain(found)["arguments"] == {"seed": "1"}


def test_documents_keep_the_keys_that_they_always_had() -> None:
    """Scripts read them: a name that changes here changes in no document."""
    run = of_detail(detail("x")).as_json()
    first = "host id program arguments started card log tail progress health samples checkpoints models asked begun"
    assert list(run) == [
        *first.split(), *"begins parent stage until needs sweep conductor job unit scorer elsewhere running".split(),
    ]  # fmt: skip
    status = "id path log pid begun exit_code running waiting ended card elsewhere unit job stopped parent stage until"
    start = "needs sweep conductor damaged arguments set_aside images remarks"
    assert set(base.plain(started_run("/l"))) == {*status.split(), *start.split()}


def test_only_what_a_host_said_is_printed_and_nothing_that_is_unknown() -> None:
    found = base.read(Sample, {"time": 1.0, "on": [{"pid": 7, "uuid": "GPU-1"}], "watts": 300})
    assert base.plain({"samples": (found,)}) == {"samples": [{"time": 1.0, "on": [{"pid": 7, "uuid": "GPU-1"}]}]}


def test_result_cannot_be_changed() -> None:
    check = Check(name="x", passed=True, saw="y")
    with pytest.raises(ValidationError):
        check.passed = False  # type: ignore[misc]


JOB = {
    "id": "x", "job": "4", "program": "train.lua", "state": "RUNNING", "node": "n", "reason": "", "output": "/o",
    "submitted": 1, "requested": {},
}  # fmt: skip
CHECK = {"name": "x", "passed": True, "saw": ""}
WRONG: dict[str, tuple[type[Result], Any, str]] = {
    "no object": (Check, ["x"], "the whole result: "),
    "nothing": (Check, None, "the whole result: "),
    "text for a truth": (Check, {"name": "x", "passed": "yes", "saw": ""}, "passed: "),
    "a number for a truth": (Check, {"name": "x", "passed": 1, "saw": ""}, "passed: "),
    "a text without end": (Check, {"name": "x", "passed": True, "saw": "x" * 200_000}, "saw: "),
    "too many checks": (
        StackVerifyResult,
        {"checks": [CHECK] * 10_001, "generation": "/g"},
        "checks: tuple should have",
    ),
    "many bad checks": (
        StackVerifyResult,
        {"checks": [{}] * 20_000, "generation": "/g"},
        "checks.0.saw: field required",
    ),
    "NaN": (Sample, {"time": math.nan}, "time: "),
    "a time without measure": (Sample, {"time": 10**400}, "time: "),
    "half a base64": (FilesOfRun, {"files": {"log": "abc"}}, "files.log: it is not base64"),
    "bytes that are none": (FilesOfRun, {"files": {"log": [1]}}, "files.log: base64 must be text"),
    "a model of nothing": (ProbedRun, {"models": [{"file": "/m.t7", "bytes": 1}]}, "models.0.opened.iteration: "),
    "a problem that is none": (
        ProbedRun,
        {"models": [{"file": "/m.t7", "bytes": 1, "problem": 7}]},
        "models.0.broken.problem: ",
    ),
    "an id that is a path": (RunRow, row("../../x"), "id: "),
    "a job's options": (QueuedRun, {**JOB, "requested": 7}, "requested: "),
    "a loss in words": (LogResult, {**read(""), "losses": [[1, "much"]]}, "losses.0.1: "),
    "a loss in quotes": (LogResult, {**read(""), "losses": [[1, "2.5"]]}, "losses.0.1: text is only for NaN"),
    "half a loss": (LogResult, {**read(""), "losses": [[1]]}, "losses.0.1: "),
    "iterations below 0": (LogResult, {**read(""), "backwards": [5, -1]}, "backwards.1: "),
    "runs that are none": (RunsResult, {"runs": ["x"], "queued": [], "free": []}, "runs.0: a run must be an object"),
}


@pytest.mark.parametrize(("shape", "value", "words"), WRONG.values(), ids=WRONG)
def test_what_is_of_another_type_or_without_bound_is_refused_by_its_field(
    shape: type[Result], value: Any, words: str
) -> None:
    found = base.read(shape, value)
    assert isinstance(found, str)
    assert words in found
    assert len(found) < 1000


def test_series_of_a_log_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_log.POINTS >= 2 * 1_000_000
    many = {**read(""), "scores": [[1, {f"s{n}": 0.5 for n in range(101)}]]}
    assert "scores.0.1: " in str(base.read(LogResult, many))


def test_keys_that_a_host_chose_are_named_in_short() -> None:
    found = base.read(FilesOfRun, {"files": {"x" * 4000: 7}})
    assert len(str(found)) < 300


def test_nesting_without_end_is_refused() -> None:
    deep: Any = "x"
    for _level in range(500):
        deep = [deep]
    assert "requested" in str(base.read(QueuedRun, {**JOB, "requested": {"seed": deep}}))


def test_one_runs_nonsense_is_that_runs() -> None:
    given = {"runs": [row("a"), row("b", started="x"), {"id": 7, "unreadable": ["no"]}], "queued": [], "free": []}
    found = base.read(RunsResult, given)
    assert isinstance(found, RunsResult)
    good, bad, unreadable = found.runs
    assert isinstance(good, RunRow)
    assert isinstance(bad, UnreadableRun)
    assert (bad.id, "started: " in bad.unreadable) == ("b", True)
    assert (unreadable.id, isinstance(unreadable, UnreadableRun)) == ("7", True)


@pytest.mark.parametrize(
    ("given", "text"),
    [({}, ""), ({"arch_list": 9.0}, "9.0"), ({"arch_list": None}, ""), ({"arch_list": ["9.0"]}, "['9.0']")],
)
def test_what_an_inventory_says_is_text_whatever_yaml_made_of_it(given: Mapping[str, Any], text: str) -> None:
    found = base.read(HostVariables, given)
    assert isinstance(found, HostVariables)
    assert found.arch_list == text


@pytest.mark.parametrize(("given", "names"), [(["a", "b"], ("a", "b")), ("a", ("a",)), ("", ()), (None, ())])
def test_rules_that_are_not_to_be_asked_are_names(given: Any, names: tuple[str, ...]) -> None:
    found = base.read(HostVariables, {"skip_checks": given})
    assert isinstance(found, HostVariables)
    assert found.skip_checks == names


@pytest.mark.parametrize(
    ("call", "run", "field"),
    [
        (
            lambda: hosts.start([RunSpec("x", "eval", {}, ())], "node1", Settings()),
            {**row(), "pid": "7", "effective": {}, "set_aside": [], "images": 0, "remarks": []},
            "run.pid",
        ),
        (lambda: hosts.probe("x", "node1", Settings()), {"models": [{"file": 7}]}, "run.models.0.opened.file"),
        (lambda: hosts.read("x", "node1", Settings(), ["log"]), {"files": {"log": "!"}}, "run.files.log"),
        (lambda: hosts.captions("x", "node1", Settings()), {"text": 7}, "run.text"),
        (lambda: hosts.stop("x", "node1", Settings(), plan=False), {}, "changed"),
        (lambda: hosts.runs(Settings()), {}, "queued"),
    ],
)
def test_error_of_each_call_names_host_and_field(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], run: dict[str, Any], field: str
) -> None:
    results = PlayResults(
        results=tuple(("node1", module, {"run": run, "runs": []}) for module in ("stack_run", "stack_run_info"))
    )
    monkeypatch.setattr(playbook, "run", lambda request: playbook.Outcome(0, results))
    monkeypatch.setattr(hosts, "_options", lambda runs: {})
    with pytest.raises(
        HostError, match=f"node1, stack_run(_info)?: its result is not as expected: .*{field}: "
    ) as caught:
        call()
    assert "another version of provision" in caught.value.message


PRINTS = """case "$2" in
    *last*) echo "Error: it is cut short" >&2; exit 1 ;;
    *) printf "\\nprobed 20 23 LOSS nil\\n" ;;
esac
"""


@pytest.mark.parametrize(("printed", "loss"), [("2.25", 2.25), ("nil", None)])
def test_models_are_opened_by_the_module_and_read_by_their_kind(
    run_module: Callable[..., dict[str, Any]], generation: Path, printed: str, loss: float | None
) -> None:
    root = generation.parents[1]
    place = make(root, "x", generation=generation.name)
    program(generation, "luajit", PRINTS.replace("LOSS", printed))
    for name in ("model_idx.t7", "model_idx.last.t7"):
        (place / "checkpoint" / name).write_text("x")
    found = run_module("stack_run_info", stack_root=root, id="x", state="probed")["run"]
    broken, opened = ProbedRun.model_validate(found).models
    assert isinstance(broken, BrokenModel)
    assert isinstance(opened, OpenedModel)
    assert (broken.problem, opened.loss, opened.cider) == ("Error: it is cut short", loss, None)
