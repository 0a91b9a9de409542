"""What of Ansible's events is told: tasks as they go, failures with their tracebacks, and results where asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import command_log
from neuraltalk_provision.site import transcript
from neuraltalk_provision.site.recorder import Recorder

RECORDED = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((Path(__file__).parent / "data" / "events").glob("core-*.json"))
}
TRACEBACK = "Traceback (most recent call last):\n  File \"x.py\", line 3, in main\nKeyError: 'x'"


def told(core: str, run: str, level: int) -> str:
    return "".join(transcript.of_event(event, level) for event in RECORDED[core][run])


@pytest.mark.parametrize("core", RECORDED)
def test_tasks_are_told_as_they_go_with_the_time(core: str) -> None:
    lines = told(core, "site", transcript.TASKS).splitlines()
    assert "ok: [here]" in lines
    assert any(line.startswith("fatal: [nosudo]: FAILED!") for line in lines)
    assert any(line.startswith("TASK [Ping]  ") and line.endswith(" UTC") for line in lines)
    assert not any(line.startswith("result of") for line in lines)


@pytest.mark.parametrize("core", RECORDED)
def test_results_are_told_where_asked_for(core: str) -> None:
    lines = told(core, "site", transcript.RESULTS).splitlines()
    (pong,) = (line for line in lines if line.startswith("result of here: ") and "pong" in line)
    assert json.loads(pong.removeprefix("result of here: "))["ping"] == "pong"


def broken(**result: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed", "stdout": "fatal: [h]: FAILED!", "event_data": {"host": "h", "res": result}}


@pytest.mark.parametrize("level", [transcript.TASKS, transcript.RESULTS])
def test_failure_is_told_with_the_traceback_of_its_module(level: int) -> None:
    text = transcript.of_event(broken(msg="MODULE FAILURE", exception=TRACEBACK, module_stderr="Killed"), level)
    indented = "\n".join(f"    {line}" for line in TRACEBACK.splitlines())
    assert f"traceback of h:\n{indented}\n" in text
    assert "module_stderr of h:\n    Killed\n" in text


@pytest.mark.parametrize("nothing", [None, "", "(traceback unavailable)", TRACEBACK])
def test_traceback_is_told_once_and_only_where_there_is_one(nothing: str | None) -> None:
    event = broken(exception=nothing) | {"stdout": f"fatal: [h]\r\n{TRACEBACK}".replace("\n", "\r\n")}
    assert transcript.of_event(event).count("Traceback") == 1
    assert "traceback of" not in transcript.of_event(event)


def test_values_of_a_result_have_a_bound() -> None:
    event = broken(msg="x" * 1_000_000, exception="y" * 1_000_000, many=["z"] * 500_000, short=[1])
    text = transcript.of_event(event, transcript.RESULTS)
    assert len(text) < 4 * transcript.MOST_OF_ONE
    assert '"short": [1]' in text


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": "runner_on_ok"},
        {"event": "runner_on_failed", "event_data": None},
        {"event": "runner_on_failed", "event_data": {"res": "words"}},
        {"event": "playbook_on_task_start", "stdout": ""},
        {"event": "verbose", "stdout": "\r\n"},
    ],
)
def test_event_that_tells_nothing_is_no_line(event: dict[str, Any]) -> None:
    assert transcript.of_event(event, transcript.RESULTS) == ""


def test_hosts_of_a_playbook_are_told_in_few_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 hosts in use are asked each minute: their names alone filled the log, which keeps the last bytes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with command_log.begin(["site"]) as log:
        Recorder({}).begin("use.yml", [f"node{number:04}" for number in range(1000)], check=False)
        Recorder({}).trying_again([f"node{number:04}" for number in range(500)], 2.0, 8)
    assert log.path is not None
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert lines[2].endswith("use.yml on node[0000-0999]")
    assert "before the login on node[0000-0499]: trying again" in lines[3]
