"""The playbook module: what Ansible gets, which environment it has, and how its warnings become errors."""

from __future__ import annotations

import json
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuraltalk_provision import command_log, paths
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.results.host_state import StackStateResult
from neuraltalk_provision.site import (
    ansible_environment,
    codes,
    events,
    extra_vars,
    host_results,
    limits,
    play_errors,
    playbook,
)
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.playbook import Outcome, Request
from tests.unit import fake_ssh
from tests.unit.programs import program

pytestmark = pytest.mark.slow

EVENTS = Path(__file__).parent / "data" / "events"
HOSTS = {
    "all": {
        "hosts": {
            "here": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        }
    }
}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An inventory at a path with a space and quotes."""
    file = tmp_path / 'the site\'s "own" inventory' / "hosts.yml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(HOSTS), encoding="utf-8")
    return file


def question(inventory: Path, stack_root: Path, **more: Any) -> Request:
    variables = {
        "provision_stack_root": str(stack_root),
        "provision_package_names": ["no-such-package"],
        "provision_our_variables": "^provision_",
    }
    return Request("state.yml", inventory, variables, **more)


def test_options_follow_from_the_request() -> None:
    request = Request("site.yml", Path("i"), limit=["node1", "!node2"], check=True, diff=True, forks=7)
    words = playbook.arguments(request, Path("/tmp/v"), Path("/tmp/h"))
    assert words == [
        "--extra-vars",
        "@/tmp/v",
        "--forks",
        "7",
        "--limit=node1,!node2",
        "--check",
        "--diff",
    ]
    assert playbook.arguments(Request("site.yml", Path("i")), Path("/tmp/v"), Path("/tmp/h")) == [
        "--extra-vars",
        "@/tmp/v",
        "--forks",
        "50",
    ]


def test_thousands_of_hosts_are_given_in_a_file(tmp_path: Path) -> None:
    """One argument of a program has at most 128 KiB."""
    names = [f"a-host-with-a-long-name-{number:06}.example.org" for number in range(5000)]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(names)}}), encoding="utf-8")
    request = Request("state.yml", tmp_path / "hosts.yml", limit=names)
    assert "--limit=@/tmp/h" in playbook.arguments(request, Path("/tmp/v"), Path("/tmp/h"))
    _, _, hosts = playbook._write_inputs(tmp_path, request)
    assert hosts.read_text(encoding="utf-8").split() == names
    ansible = Path(sys.executable).with_name("ansible")
    listing = [ansible, "--inventory", tmp_path / "hosts.yml", "all", "--list-hosts", "--limit", f"@{hosts}"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True)
    assert listed.stdout.startswith("  hosts (5000):")


@pytest.mark.parametrize("limit", ["", " ", ",", "!", "a,!", "&", "@", "@EMPTY"])
def test_limit_that_names_nothing_is_refused(tmp_path: Path, limit: str) -> None:
    """Ansible would take it as all hosts, for example from an unset variable of a script."""
    (tmp_path / "empty").write_text("\n \n", encoding="utf-8")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {localhost: {ansible_connection: local}}}", encoding="utf-8")
    request = question(inventory, tmp_path, limit=[limit.replace("EMPTY", str(tmp_path / "empty"))])
    with pytest.raises(UsageError, match="--limit"):
        playbook.run(request)


def test_file_of_hosts_in_the_home_of_nobody_is_left_to_ansible() -> None:
    limits.refuse_empty(["@~no-such-user/hosts"])


def test_vault_password_that_would_be_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_IDENTITY_LIST", "a@file, dev@prompt")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {localhost: {ansible_connection: local}}}", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot ask for a vault password"):
        playbook.run(question(inventory, tmp_path))


def test_home_in_which_ansible_cannot_write_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "home", lambda: tmp_path)
    assert ansible_environment.home("/private") == {}
    assert list((tmp_path / ".ansible" / "tmp").iterdir()) == []
    monkeypatch.setattr(ansible_environment, "ROOM", 1 << 62)  # more than any disk has
    assert ansible_environment.home("/private") == {"ANSIBLE_HOME": "/private/ansible"}
    (tmp_path / ".ansible" / "tmp").rmdir()
    (tmp_path / ".ansible" / "tmp").write_text("in the way", encoding="utf-8")
    assert ansible_environment.home("/private") == {"ANSIBLE_HOME": "/private/ansible"}


@pytest.mark.parametrize("limit", ["@some-file", "a,b"])
def test_patterns_of_the_user_stay_arguments(limit: str) -> None:
    request = Request("site.yml", Path("i"), limit=[limit, *["x" * 100] * 1000])
    assert any(
        word.startswith(f"--limit={limit}") for word in playbook.arguments(request, Path("/tmp/v"), Path("/tmp/h"))
    )


def test_ansible_sees_a_reduced_environment_and_this_interpreters_bin_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("ANSIBLE_LIBRARY", "/somebody/elses")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    seen = ansible_environment.variables()
    assert seen["SSH_AUTH_SOCK"] == "/run/agent"
    assert not {"AWS_SECRET_ACCESS_KEY", "ANSIBLE_LIBRARY"} & set(seen)
    assert seen["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert seen["ANSIBLE_CONFIG"] == str(paths.playbooks() / "ansible.cfg")


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "{{ not_a_template }}",
        "local x = {{2, 0}}\n",
        "0123",
        "1e5",
        "yes",
        'it\'s "quoted"\t',
        "[a]",
        7,
        True,
        None,
    ],
)
def test_variables_reach_ansible_as_they_are(value: object) -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: str(node.value))
    text = extra_vars.as_yaml({"a": [{"b": value}], "c": value})
    assert yaml.load(text, Loader) == {"a": [{"b": value}], "c": value}
    assert ("!unsafe" in text) == ("{" in str(value))


def test_host_is_asked_and_answers(inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "t"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    heard: list[str] = []
    modes: set[int] = set()

    def hear(event: events.Event) -> None:
        heard.append(str(event["event"]))
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in scratch.glob("provision-*"))

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    outcome = playbook.run(question(inventory, tmp_path / "stack"), hear)
    state = outcome.results.by_host("stack_state")["here"]["state"]
    assert outcome.rc == 0
    assert state["stack"] == {"current": None, "previous": None, "since": None, "generations": {}}
    assert state["packages"] == {}
    injected = {"provision_answers", "provision_stack_root", "provision_package_names", "provision_our_variables"}
    assert set(state["variables"]) == injected
    assert "runner_on_ok" in heard
    assert modes == {0o700}
    assert list(scratch.glob("provision-*")) == []
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


FLOODS = {
    "words": ("head -c 3000000 /dev/zero | tr '\\0' x", ""),
    "an answer": (
        'printf \'{"changed": false, "state": "\'; head -c 3000000 /dev/zero | tr "\\0" x; echo \'"}\'',
        "more than 700,000 characters",
    ),
    "a failure": (
        'printf \'{"failed": true, "msg": "the disk is full", "more": "\'; head -c 3000000 /dev/zero | tr "\\0" x; '
        "echo '\"}'",
        "the disk is full",
    ),
    "a nested answer": (
        'echo "{\\"changed\\": false, \\"state\\": $(printf "[%.0s" $(seq 300))$(printf "]%.0s" $(seq 300))}"',
        "",  # ansible-core 2.19 loses it, older ones hand it over
    ),
}


def test_hosts_that_answer_megabytes_fail_alone_and_are_not_kept_in_memory(tmp_path: Path) -> None:
    here = HOSTS["all"]["hosts"]["here"]
    hosts = {"here": here}
    for kind, (script, _words) in FLOODS.items():
        interpreter = program(tmp_path / f"python of {kind}", f"#!/bin/sh\n{script}\n")
        hosts[kind.replace(" ", "-")] = {**here, "ansible_python_interpreter": str(interpreter)}
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    heard: list[events.Event] = []
    outcome = playbook.run(question(file, tmp_path / "stack"), heard.append)
    assert max(len(json.dumps(event)) for event in heard) < 100_000
    results, failures = host_results.of(outcome.results, "stack_state", StackStateResult)
    assert list(results) == ["here"]
    messages = {failure.host: failure.message for failure in failures}
    assert messages.keys() == hosts.keys() - {"here"}
    for kind, (_script, words) in FLOODS.items():
        assert words in messages[kind.replace(" ", "-")]
        assert len(messages[kind.replace(" ", "-")]) < 10_010


@pytest.mark.parametrize("finished", [True, False])
def test_host_cannot_say_that_the_inventory_is_wrong(inventory: Path, finished: bool) -> None:
    """A module's warnings are printed as Ansible's own are."""
    heard = [
        {"event": "runner_on_start", "event_data": {"host": "a"}},
        {"event": "warning", "stdout": "[WARNING]: Unable to parse /etc/x as an inventory source"},
        {"event": "runner_on_ok", "event_data": {"host": "a", "res": {}, "task_action": "x"}},
        {"event": "playbook_on_stats", "event_data": {"ok": {"a": 1}}},
    ]
    outcome = Outcome(0, events.read(heard if finished else heard[:-1]))
    if finished:
        playbook._refuse_unfinished(outcome, Request("state.yml", inventory))
    else:  # then it is probably Ansible that ended because of it, as for an encrypted file of variables
        with pytest.raises(UsageError, match="Ansible cannot read the inventory"):
            playbook._refuse_unfinished(outcome, Request("state.yml", inventory))


def test_missing_inventory_is_refused_before_ansible_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such inventory") as caught:
        playbook.run(Request("state.yml", tmp_path / "none.yml"))
    assert "provision init" in caught.value.advice


def test_pattern_that_matches_nobody_is_refused(inventory: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no host or group called nod1, which --limit here, nod1 names"):
        playbook.run(question(inventory, tmp_path / "stack", limit=["here", "nod1"]))


def test_inventory_that_does_not_parse_is_refused(inventory: Path, tmp_path: Path) -> None:
    inventory.write_text("{ [\n", encoding="utf-8")
    with pytest.raises(UsageError, match="Ansible cannot read the inventory"):
        playbook.run(question(inventory, tmp_path / "stack"))


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
@pytest.mark.parametrize(
    ("run", "limit", "words"),
    [
        ("limit", ["nobody"], "has no host or group called nobody"),
        ("broken", [], "Ansible cannot read the inventory"),
        ("broken", ["node1"], "Ansible cannot read the inventory"),
    ],
)
def test_nonsense_is_recognised_in_what_both_ansible_cores_say(
    core: str, run: str, limit: list[str], words: str
) -> None:
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))
    results = events.read(recorded[run])
    with pytest.raises(UsageError, match=words):
        playbook._refuse_unfinished(Outcome(0, results), Request("state.yml", Path("hosts.yml"), limit=limit))


@pytest.mark.parametrize("core", ["core-2.16", "core-2.19"])
@pytest.mark.parametrize("others", [[], ["node1"]])
def test_host_that_the_inventory_has_lost_fails_and_the_others_go_on(core: str, others: list[str]) -> None:
    """An inventory that asks a cloud lost a host that was switched off: the rollout ended in the middle of a wave."""
    recorded = json.loads((EVENTS / f"{core}.json").read_text(encoding="utf-8"))["limit"]
    done = [{"event": "runner_on_ok", "event_data": {"host": host, "res": {}, "task_action": "x"}} for host in others]
    heard = [*recorded[:1], *done, {"event": "playbook_on_stats", "event_data": {"ok": dict.fromkeys(others, 1)}}]
    results, limit = events.read(heard if others else recorded), ["nobody", *others]
    code, found = play_errors.with_removed(0 if others else 1, results, "activate.yml", limit)
    playbook._refuse_unfinished(Outcome(code, found), Request("activate.yml", Path("hosts.yml"), limit=limit))
    assert [(one.host, one.code, one.silent) for one in found.failures] == [("nobody", codes.HOST_REFUSED, False)]
    assert list(found.by_host("x")) == others
    # What a user gives as --limit must be there.
    code, found = play_errors.with_removed(code, results, "state.yml", limit)
    with pytest.raises(UsageError, match="has no host or group called nobody"):
        playbook._refuse_unfinished(Outcome(code, found), Request("state.yml", Path("hosts.yml"), limit=limit))


def test_code_that_nothing_explains_is_an_error_with_what_ansible_said() -> None:
    results = PlayResults(warnings=("ERROR! the role 'torch' was not found",))
    with pytest.raises(HostError, match=r"ended with exit code 1:\nERROR! the role 'torch'"):
        playbook._refuse_unfinished(Outcome(1, results), Request("site.yml", Path("i")))


@pytest.mark.parametrize(("rc", "finished"), [(1, True), (250, True), (137, True), (-9, True), (2, False), (0, False)])
def test_playbook_that_ended_early_is_an_error_though_a_host_has_failed(rc: int, finished: bool) -> None:
    """One process of Ansible was killed: of the other hosts nobody knows anything."""
    failed = Failure("node1", "Read the host state", "No route to host", unreachable=True)
    results = PlayResults(failures=(failed,), tasks={"node1": 1, "node2": 1}, finished=finished)
    with pytest.raises(HostError) as caught:
        playbook._refuse_unfinished(Outcome(rc, results), Request("site.yml", Path("i")))
    assert "node1: No route to host" in str(caught.value)
    assert "forks" in caught.value.advice


def test_worker_that_is_killed_is_an_error_though_another_host_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = fake_ssh.put_on_path(tmp_path, monkeypatch)
    ssh.behave(
        "case $host in node1) echo 'ssh: connect to host node1 port 22: No route to host' >&2; exit 255 ;;\n"
        "node2) sleep 2; kill -9 $PPID; exit 255 ;; esac"
    )
    with pytest.raises(HostError, match="before its end, so nobody knows what it did"):
        playbook.run(fake_ssh.request(tmp_path, 3))


@pytest.mark.parametrize("rc", [2, 4, 6])
def test_code_of_failed_hosts_is_left_to_whoever_asked(rc: int) -> None:
    playbook._refuse_unfinished(
        Outcome(rc, PlayResults(failures=(Failure("h", "t", "m"),))), Request("site.yml", Path("i"))
    )


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of this test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def crashing(inventory: Path) -> Request:
    """A question whose module meets what nobody expected: a path with a zero byte."""
    asked = question(inventory, Path("/a\0b"))
    return replace(asked, variables={**asked.variables, "provision_some_token": "s3cr3t-of-a-site"})


def test_all_that_ansible_said_stands_in_the_commands_log(inventory: Path, tmp_path: Path, state: Path) -> None:
    shown: list[str] = []
    with command_log.begin(["site"], show=shown.append) as log:
        playbook.run(question(inventory, tmp_path / "stack"))
        assert not log.host_failed
        outcome = playbook.run(crashing(inventory))
    assert log.host_failed
    assert log.path
    text = log.path.read_text(encoding="utf-8")
    assert text.count("state.yml on all hosts") == 2
    assert "state.yml ended: successful, rc 0" in text
    assert "ok: [here]" in text
    assert "Traceback (most recent call last)" in text
    assert "in run_module" in text
    assert "result of here: " not in text
    assert "s3cr3t-of-a-site" not in text
    assert "Traceback" not in outcome.results.failures[0].message
    assert outcome.results.failures[0].message.startswith("unexpected ValueError: ")
    assert outcome.results.failures[0].code == codes.BUG
    assert shown == []


@pytest.mark.parametrize("verbosity", [1, 2])
def test_verbose_command_shows_what_ansible_said(inventory: Path, tmp_path: Path, state: Path, verbosity: int) -> None:
    shown: list[str] = []
    asked = question(inventory, tmp_path / "stack")
    with command_log.begin(["site"], verbosity=verbosity, show=shown.append) as log:
        playbook.run(replace(asked, variables={**asked.variables, "provision_some_token": "s3cr3t-of-a-site"}))
    assert log.path
    text = log.path.read_text(encoding="utf-8")
    assert ("result of here: " in text) == (verbosity == 2)
    assert "s3cr3t-of-a-site" not in text
    assert "ok: [here]\n" in "".join(shown)


def test_log_of_a_host_that_answers_megabytes_has_a_bound(tmp_path: Path, state: Path) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\n" + FLOODS["a failure"][0] + "\n")
    interpreter.chmod(0o755)
    flood = {**HOSTS["all"]["hosts"]["here"], "ansible_python_interpreter": str(interpreter)}
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump({"all": {"hosts": {"node1": flood}}}), encoding="utf-8")
    with command_log.begin(["site"], verbosity=2) as log:
        playbook.run(question(file, tmp_path / "stack"))
    assert log.path
    assert "the disk is full" in log.path.read_text(encoding="utf-8")
    assert log.path.stat().st_size < 300_000


@pytest.fixture
def open_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The soft and hard limits of open files, the newest last: at first those of an ordinary machine."""
    found = [(1024, 4096)]
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _kind: found[-1])
    monkeypatch.setattr(limits.resource, "setrlimit", lambda _kind, both: found.append(both))
    return found


@pytest.mark.parametrize(
    ("wanted", "possible", "both"), [(50, 50, (1024, 4096)), (500, 500, (2100, 4096)), (2000, 999, (4096, 4096))]
)
def test_many_forks_get_the_open_files_that_they_need(
    open_files: list[tuple[int, int]], wanted: int, possible: int, both: tuple[int, int]
) -> None:
    assert limits.forks(wanted) == possible
    assert open_files[-1] == both


def test_too_few_open_files_for_one_host_are_refused(open_files: list[tuple[int, int]]) -> None:
    """It ended as a bug, `out of pty devices`, or with `Too many open files` of a host."""
    open_files.append((20, 64))
    assert limits.forks(50) == 1
    open_files.append((20, 63))
    with pytest.raises(UsageError, match=r"may open only 63 files at the same time \(`ulimit -Hn`\)") as caught:
        limits.forks(50)
    assert "nofile in /etc/security/limits.conf" in caught.value.advice


def answers(*hosts: str) -> Callable[..., Outcome]:
    """What runs a playbook in which these hosts answer."""

    def run_once(request: Request, record: Any, on_event: Callable[[Any], None]) -> Outcome:
        for host in hosts:
            on_event({"event": "runner_on_start", "event_data": {"host": host}})
        return Outcome(0, PlayResults())

    return run_once


def test_limit_of_open_files_is_not_told_if_it_makes_no_command_slower(
    open_files: list[tuple[int, int]], inventory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(playbook, "_run_once", answers("node1"))
    open_files.append((20, 100))
    shown: list[str] = []
    with command_log.begin(["site"], show=shown.append):
        playbook.run(Request("state.yml", inventory))
    assert shown == []


def test_fewer_hosts_at_once_than_forks_says_are_told_once(
    open_files: list[tuple[int, int]], inventory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A command on many hosts was slow without a word."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(playbook, "_run_once", answers("node1", "node2"))
    open_files.append((20, 100))
    shown: list[str] = []
    with command_log.begin(["site"], show=shown.append) as log:
        for file in ("state.yml", "site.yml"):
            playbook.run(Request(file, inventory))
    (words,) = shown
    assert words.startswith("a process of this machine may open only 100 files at the same time (`ulimit -Hn`), so ")
    assert "this command works on at most 1 host at once, and not on 50 (`forks` in provision.yml)" in words
    assert "nofile in /etc/security/limits.conf" in words
    assert log.path and words in log.path.read_text(encoding="utf-8")


def test_ansible_works_on_more_hosts_at_once_than_the_soft_limit_of_open_files_allows(tmp_path: Path) -> None:
    """It ended in the middle of the playbook with `Too many open files` and `process object is closed`."""
    inventory = tmp_path / "hosts.yml"
    hosts = {f"node{number}": {"ansible_connection": "local"} for number in range(24)}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    request = Request("pythons.yml", inventory, {"provision_pythons": "sh", "provision_begin": "here"}, forks=24)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (70, hard))
    try:
        outcome = playbook.run(request)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(outcome.results.by_host("ansible.builtin.raw")) == 24
