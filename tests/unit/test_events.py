"""Events as ansible-runner 2.4 made them from ansible-core 2.16 and 2.19 (recorded in data/events)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.site import codes, events
from neuraltalk_provision.site.events import Failure, PlayResults

RECORDED = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((Path(__file__).parent / "data" / "events").glob("core-*.json"))
}
LOGS = "/opt/neuraltalk/generations/0a1b2c3d4e5f6071/logs"


@pytest.fixture(params=RECORDED)
def core(request: pytest.FixtureRequest) -> dict[str, list[dict[str, Any]]]:
    """The recorded runs of one ansible-core."""
    return RECORDED[request.param]


def failures(results: PlayResults) -> dict[str, Failure]:
    return {failure.host: failure for failure in results.failures}


def test_both_ansible_cores_were_recorded() -> None:
    assert list(RECORDED) == ["core-2.16", "core-2.19"]


def test_every_failed_host_is_told_with_its_task(core: dict[str, Any]) -> None:
    found = failures(events.read(core["site"]))
    assert set(found) == {"gone", "nosudo", "nopython", "here"}
    assert found["nosudo"].task == "Ping"


def test_unreachable_host_is_told_as_such_with_what_ssh_said(core: dict[str, Any]) -> None:
    found = failures(events.read(core["site"]))
    assert found["gone"].unreachable
    assert "port 1: Connection refused" in found["gone"].message
    assert not found["nosudo"].unreachable


def test_cause_is_found_wherever_ansible_puts_it(core: dict[str, Any]) -> None:
    found = failures(events.read(core["site"]))
    assert "sudo: a password is required" in found["nosudo"].message
    assert "/usr/bin/python9" in found["nopython"].message
    assert "not found" in found["nopython"].message


def test_diff_is_kept_as_far_as_it_is_read() -> None:
    diff = {"before": "a\n" * 300_000, "after": 7, "before_header": "x"}
    event = {"event": "runner_on_ok", "event_data": {"host": "h", "res": {"diff": diff}}}
    ((_, kept),) = events.read([event]).diffs
    assert (len(kept["before"]), kept["after"], kept["before_header"]) == (events.MOST_PRINTED, 7, "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("get https://bot:s3cr3t@mirror/nn.tgz failed", "get https://***@mirror/nn.tgz failed"),
        ("http://s3cr3t@h:80/x and ftp://a:b@c/", "http://***@h:80/x and ftp://***@c/"),
        ("https://bot:s3@cr3t@mirror/a@b", "https://***@mirror/a@b"),
        ("https://mirror/a@b, ops@node1: no", "https://mirror/a@b, ops@node1: no"),
        ("://" * 20_000 + "x" * 100_000, ("://" * 1667)[:5000] + " ... " + "x" * 5000),
    ],
)
def test_user_and_password_of_a_url_are_left_out(text: str, words: str) -> None:
    failure = events.failure({"event": "runner_on_failed", "event_data": {"host": "h", "res": {"msg": text}}})
    assert failure and failure.message == words


def test_first_failure_of_a_host_is_the_one_that_counts_and_ignored_ones_do_not(core: dict[str, Any]) -> None:
    here = failures(events.read(core["site"]))["here"]
    assert (here.task, here.message) == ("Break", "gone wrong")
    ignored = [event for event in core["site"] if event["event_data"].get("ignore_errors")]
    assert len(ignored) == 1
    assert events.failure(ignored[0]) is None


def test_loop_that_failed_tells_of_its_first_item_that_did(core: dict[str, Any]) -> None:
    (event,) = [e for e in core["site"] if e["event"] == "runner_on_failed" and "results" in e["event_data"]["res"]]
    failure = events.failure(event)
    assert failure
    assert "failed (rc 3)" in failure.message
    assert "ffi.lua:56: cannot load" in failure.message
    assert failure.log == f"{LOGS}/x.log"


def test_failure_of_a_role_names_role_task_and_log(core: dict[str, Any]) -> None:
    (failure,) = events.read(core["logged"]).failures
    assert (failure.host, failure.task, failure.log) == ("here", "r : Build | Run it", f"{LOGS}/y.log")
    assert "cannot find -lopenblas" in failure.message


def test_module_that_crashed_is_told_in_one_line(core: dict[str, Any]) -> None:
    (failure,) = events.read(core["crash"]).failures
    assert failure.message.endswith("[Errno 28] No space left on device: '/opt/neuraltalk/x'")
    assert "Traceback" not in failure.message
    assert "\n" not in failure.message


def test_component_is_told_with_its_evidence_and_looking_is_a_prediction(core: dict[str, Any]) -> None:
    change, looked = events.read(core["site"]).changes
    assert (change.host, change.component, change.change, change.predicted) == ("here", "nn", "build", False)
    assert (looked.component, looked.change, looked.predicted) == ("nn", "keep", True)
    assert change.evidence == [{"module": "nn", "seconds": 0.1, "version": "-"}]


def test_diff_that_changes_nothing_is_no_diff(core: dict[str, Any]) -> None:
    ((host, diff),) = events.read(core["site"]).diffs
    assert (host, diff["before"], diff["after"]) == ("here", "nn not built\n", "nn abc\n")


def test_results_are_found_by_their_module(core: dict[str, Any]) -> None:
    results = events.read(core["site"])
    assert results.by_host("ansible.builtin.ping")["here"]["ping"] == "pong"
    assert results.by_host("component_stamp")["here"]["component"]["change"] == "keep"
    assert results.by_host("stack_state") == {}


def test_what_ansible_complains_of_is_kept_without_colours(core: dict[str, Any]) -> None:
    assert any("Could not match supplied host pattern" in line for line in events.read(core["limit"]).warnings)
    assert any("Unable to parse /srv/site/broken.yml" in line for line in events.read(core["broken"]).warnings)
    coloured = {"event": "warning", "stdout": "\x1b[1;35m[WARNING]: odd\x1b[0m\r\n"}
    assert events.read([coloured]).warnings == ("[WARNING]: odd",)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"changed": False}, "the host reported no reason"),
        ({"msg": "non-zero return code"}, "non-zero return code"),
        ({"msg": "non-zero return code", "stderr": "no such file"}, "no such file"),
        ({"msg": "MODULE FAILURE", "module_stderr": "Killed\n"}, "Killed"),
        ({"msg": "why", "stderr": "noise"}, "why"),
        (
            {"msg": "Module result deserialization failed: No start of json char found", "rc": 1, "module_stdout": ""},
            "no result and no message, exit code 1",
        ),
        (
            {"msg": "MODULE FAILURE\nSee stdout/stderr for the exact error"},
            "no result and no message, exit code unknown",
        ),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "module_stderr": "sudo: sorry, you must have a tty to run sudo\n",
                "module_stdout": "",
            },
            "sudo: sorry, you must have a tty to run sudo",
        ),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "module_stderr": "Shared connection to 192.0.2.7 closed.\r\n",
                "module_stdout": "This account is currently not available.\r\n",
            },
            "This account is currently not available.",
        ),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "module_stderr": 'Traceback (most recent call last):\n  File "x"\nModuleNotFoundError: No json\n',
                "module_stdout": "",
            },
            "ModuleNotFoundError: No json",
        ),
        ({"exception": 'Traceback (most recent call last):\n  File "x"\nKeyError: 7\n'}, "KeyError: 7"),
        ({"msg": "", "exception": "(traceback unavailable)"}, "the host reported no reason"),
        ({"msg": "One or more items failed", "results": [{"failed": False}, {"failed": True, "msg": "b"}]}, "b"),
        ({"msg": "All items completed", "results": []}, "All items completed"),
        ({"msg": "yum's results are text", "results": ["Loaded plugins"]}, "yum's results are text"),
    ],
)
def test_message_is_the_one_that_says_most(result: dict[str, Any], message: str) -> None:
    failure = events.failure({"event": "runner_on_failed", "event_data": {"host": "h", "res": result}})
    assert failure and failure.message == message


@pytest.mark.parametrize(
    "event", [{}, {"event": "playbook_on_stats", "event_data": {}}, {"event": "verbose", "stdout": ""}]
)
def test_event_about_no_host_tells_nothing(event: dict[str, Any]) -> None:
    assert events.read([event]) == PlayResults(finished=event.get("event") == "playbook_on_stats")
    assert events.host_of(event) == ""


def stamped(change: str, **more: Any) -> dict[str, Any]:
    """The event of a task, whatever its name, that tells of a component."""
    result = {"component": {"name": "nn", "change": change}, **more}
    return {"event": "runner_on_ok", "event_data": {"host": "h", "task": "See what is missing", "res": result}}


def test_result_says_whether_it_is_a_prediction_and_no_name_of_a_task_does() -> None:
    changes = events.read([stamped("keep", predicted=True), stamped("build", predicted=True), stamped("build")]).changes
    assert [(change.change, change.predicted) for change in changes] == [("build", True), ("build", False)]


@pytest.mark.parametrize("predicted", ["yes", 1, None, {}])
def test_prediction_is_true_or_it_is_none(predicted: object) -> None:
    (change,) = events.read([stamped("build", predicted=predicted)]).changes
    assert change.predicted is False


@pytest.mark.parametrize(
    ("counted", "lost"),
    [
        ({"ok": {"a": 1, "b": 1}}, ["b"]),  # it answered, and nothing of it was handed over
        ({"ok": {"a": 5}, "failures": {"a": 1}}, ["a"]),  # it failed, and the failure was not
        ({"ok": {"a": 1}, "dark": {"c": 1}, "skipped": {"d": 1}, "ignored": {"a": 1}, "rescued": {"a": 1}}, ["c"]),
        ({"ok": {"a": 1}, "failures": "nonsense"}, []),
    ],
)
def test_result_that_ansible_counted_and_did_not_hand_over_is_a_failure(
    counted: dict[str, Any], lost: list[str]
) -> None:
    """As with a result that is nested so deep that Ansible's callback cannot read it."""
    answer = {"event": "runner_on_ok", "event_data": {"host": "a", "res": {"changed": False}, "task_action": "x"}}
    found = events.read([answer, {"event": "playbook_on_stats", "event_data": counted}])
    assert [(one.host, one.code) for one in found.failures] == [(host, codes.RESULT_DROPPED) for host in lost]
    assert all("did not hand over" in one.message for one in found.failures)


def test_failure_that_was_handed_over_is_told_once(core: dict[str, Any]) -> None:
    hosts = [failure.host for failure in events.read(core["site"]).failures]
    assert len(hosts) == len(set(hosts))
    assert not any(failure.message == events.LOST for failure in events.read(core["site"]).failures)


def warning(number: int, text: str = "[WARNING]: Unable to parse /etc/x as an inventory source") -> dict[str, Any]:
    return {"event": "warning", "stdout": f"{text} {number}"}


def test_warnings_of_hosts_are_not_those_about_the_inventory_and_are_few() -> None:
    start = {"event": "runner_on_start", "event_data": {"host": "a"}}
    late = [warning(number) for number in range(1, 10_000)]
    found = events.read([warning(0), start, *late])
    assert len(found.early) == 1
    assert found.early[0].endswith(" 0")
    assert len(found.warnings) == 1 + events.MOST_WARNINGS
    assert found.warnings[-1].endswith(" 9999")


def test_path_of_a_log_that_a_host_names_is_cut() -> None:
    result = {"failed": True, "msg": "no", "log": "/x" * 300_000}
    failed = events.failure({"event": "runner_on_failed", "event_data": {"host": "a", "res": result}})
    assert failed
    assert len(failed.log) == events.LONGEST_PATH
