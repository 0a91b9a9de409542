"""Many hosts through one SSH server that closes connections at random: slower tries, and then words that help."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision.site import advice, codes, dropped, events, playbook
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.playbook import Outcome
from tests.unit import fake_ssh
from tests.unit.fake_ssh import FakeSsh

CLOSED = "kex_exchange_identification: Connection closed by remote host\nConnection closed by 192.0.2.1 port 22"
# What ssh prints if a bastion or a host closes the connection before the login.
DROPS = (
    CLOSED,
    "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 192.0.2.1 port 22",
    "ssh_exchange_identification: Connection closed by remote host",
    "ssh_exchange_identification: read: Connection reset by peer",
    "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535",
    "kex_exchange_identification: banner line contains invalid characters",
    "Data could not be sent to remote host '192.0.2.1'. Make sure this host can be reached over SSH: [Errno 32] "
    "Broken pipe",
    "Connection closed by 2001:db8::1 port 22",
)
# What it prints if something else is wrong, although the last lines can be the same.
NO_DROPS = (
    (f"ssh: connect to host bastion port 22: Connection refused\n{CLOSED}", codes.UNREACHABLE),
    (f"ssh: connect to host bastion port 22: No route to host\n{CLOSED}", codes.UNREACHABLE),
    (f"ssh: Could not resolve hostname bastion: Name or service not known\n{CLOSED}", codes.UNREACHABLE),
    (
        f"channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n{CLOSED}",
        codes.UNREACHABLE,
    ),
    (f"ops@bastion: Permission denied (publickey).\n{CLOSED}", codes.SSH_LOGIN),
    (f"Host key verification failed.\n{CLOSED}", codes.SSH_HOST_KEY),
    ("ssh: connect to host node1 port 22: Connection timed out", codes.UNREACHABLE),
    ("Shared connection to node1 closed.", codes.UNREACHABLE),
    ("Connection timed out during banner exchange\r\nConnection to UNKNOWN port 65535 timed out", codes.SSH_SILENT),
)


def test_host_of_which_nothing_was_heard_again_keeps_its_failure() -> None:
    first = Failure("node1", "t", "closed", unreachable=True, code=codes.SSH_DROPPED)
    other = Failure("node2", "t", "closed", unreachable=True, code=codes.SSH_DROPPED)
    before = PlayResults(failures=(first, other), tasks={"node1": 1, "node2": 1})
    again = PlayResults(results=(("node2", "stack_state", {}),), tasks={"node2": 1})
    assert dropped.merged(before, again, ["node1", "node2"]).failures == (first,)


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return fake_ssh.put_on_path(tmp_path, monkeypatch)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between tries; nothing waits."""
    waited: list[float] = []
    monkeypatch.setattr(playbook, "_sleep", waited.append)
    return waited


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Outcome]:
    def ask(count: int, **more: object) -> Outcome:
        return playbook.run(fake_ssh.request(tmp_path, count), **more)  # type: ignore[arg-type]

    return ask


def failure(message: str, *, unreachable: bool = True) -> Failure:
    name = "runner_on_unreachable" if unreachable else "runner_on_failed"
    found = events.failure({"event": name, "event_data": {"host": "node1", "task": "Ask", "res": {"msg": message}}})
    assert found
    return found


@pytest.mark.parametrize("message", DROPS)
def test_closed_connection_is_recognised(message: str) -> None:
    said = failure(f"Failed to connect to the host via ssh: {message}")
    assert said.code == codes.SSH_DROPPED
    assert {"forks", "MaxStartups"} <= set(advice.explain(said).replace(":", "").split())


@pytest.mark.parametrize(("message", "code"), NO_DROPS)
def test_other_cause_is_not_taken_for_one(message: str, code: str) -> None:
    assert failure(f"Failed to connect to the host via ssh: {message}").code == code


@pytest.mark.parametrize("words", ["via ssh: a" * 250, "identity file  not accessible" * 350])
def test_long_words_of_a_server_are_searched_in_little_time(words: str) -> None:
    """Both took 2 s; 10,000 characters of the first, the longest message that is kept, took two minutes."""
    began = time.process_time()
    assert failure(words).code == codes.UNREACHABLE
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "words",
    [
        '"System is booting up. Unprivileged users are not permitted to log in yet. For details, see pam_nologin(8)."',
        "Maintenance until 9",
    ],
)
def test_server_that_says_why_it_closes_the_connection_is_not_called_overloaded(words: str) -> None:
    """/etc/nologin, during a boot or as long as somebody works there: what it says stands before ssh's own line."""
    said = failure(f"Failed to connect to the host via ssh: {words}\n\nConnection closed by 192.0.2.1 port 22")
    assert said.code == codes.SSH_NOT_NOW
    assert "/etc/nologin" in advice.explain(said)
    assert "MaxStartups" not in advice.explain(said)
    assert dropped.hosts(PlayResults(failures=(said,), tasks={"node1": 1})) == ("node1",)
    bastion = f"{words}\nkex_exchange_identification: Connection closed by remote host\n"
    for closed in (f"{bastion}Connection closed by UNKNOWN port 65535", "Connection closed by UNKNOWN port 65535"):
        assert failure(f"Failed to connect to the host via ssh: {closed}").code == codes.SSH_DROPPED


def test_program_on_a_host_that_prints_such_words_is_not_taken_for_one() -> None:
    assert failure(CLOSED, unreachable=False).code == ""


@pytest.mark.slow
def test_hosts_are_tried_again_with_fewer_at_once_until_they_have_answered(
    ssh: FakeSsh, ask: Callable[..., Outcome], pauses: list[float], tmp_path: Path
) -> None:
    """node2 is refused once, node3 three times, and node4 always: an error that names forks and MaxStartups."""
    ssh.behave(
        """
        tries=$(grep -c " $host " 'PLACE/calls')
        if [ "$host-$tries" = node2-1 ] || { [ "$host" = node3 ] && [ "$tries" -le 3 ]; } || [ "$host" = node4 ]; then
            printf 'kex_exchange_identification: Connection closed by remote host\\r\\n' >&2
            exit 255
        fi
        """
    )
    heard: list[str] = []
    outcome = ask(4, on_event=lambda event: heard.append(str(event["event"])))
    answers = outcome.results.by_host(fake_ssh.REACHED)
    assert {host for host, answer in answers.items() if answer.get("rc") == 0} == {"node1", "node2", "node3"}
    assert pauses == [pause for pause, _forks in dropped.ROUNDS]
    assert heard.count("runner_on_unreachable") == 1 + 3 + 1 + len(dropped.ROUNDS)
    (failed,) = outcome.results.failures
    assert (outcome.rc != 0, failed.host, failed.code) == (True, "node4", codes.SSH_DROPPED)
    assert "lower forks in provision.yml" in advice.explain(failed)


@pytest.mark.slow
def test_host_that_cannot_be_reached_is_not_tried_again(
    ssh: FakeSsh, ask: Callable[..., Outcome], pauses: list[float]
) -> None:
    ssh.behave("echo 'ssh: connect to host node1 port 22: Connection refused' >&2; exit 255")
    assert [failed.code for failed in ask(1).results.failures] == [codes.UNREACHABLE]
    assert pauses == []


DROPPED = Failure("node1", "Ask", CLOSED, unreachable=True, code=codes.SSH_DROPPED)


def test_host_on_which_something_was_done_is_not_tried_again() -> None:
    unreachable = ("node1", "copy", {"unreachable": True})
    assert dropped.hosts(PlayResults(results=(unreachable,), failures=(DROPPED,), tasks={"node1": 1})) == ("node1",)
    done = ("node1", "host_lease", {"changed": True})
    assert dropped.hosts(PlayResults(results=(done, unreachable), failures=(DROPPED,), tasks={"node1": 2})) == ()


def test_results_of_the_further_try_replace_those_of_its_hosts_alone() -> None:
    first = PlayResults(
        results=(("node1", "a", {"unreachable": True}), ("node2", "a", {"n": 2})),
        failures=(DROPPED, Failure("node3", "a", "full")),
        changes=(Change("node2", "torch", "build"),),
        diffs=(("node2", {"after": "x"}),),
        warnings=("w",),
    )
    second = PlayResults(
        results=(("node1", "a", {"n": 1}),),
        changes=(Change("node1", "torch", "build"),),
        warnings=("v",),
        tasks={"node1": 1},
    )
    both = dropped.merged(first, second, ("node1",))
    assert both.by_host("a") == {"node1": {"n": 1}, "node2": {"n": 2}}
    assert both.failures == (Failure("node3", "a", "full"),)
    assert [change.host for change in both.changes] == ["node2", "node1"]
    assert (both.diffs, both.warnings) == ((("node2", {"after": "x"}),), ("w", "v"))
