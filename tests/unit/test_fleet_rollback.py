"""rollback: nothing is touched where one host cannot go back, and hosts that cannot be asked are set aside."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import wave_rules
from neuraltalk_provision.errors import HostError, InterruptError, UsageError
from neuraltalk_provision.fleet import command, entries, rollback, use
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Ending, HostEntry, Outcome, Rollout, Status, Step
from neuraltalk_provision.fleet.rollback import Request
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_state, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from tests.unit.plans import HOSTS
from tests.unit.rollouts import ME
from tests.unit.test_fleet_busy import RUN, use_of
from tests.unit.test_operations import QUIET, telling


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a journal of their own, beside which the lists of hosts are written. Nothing uses the hosts."""
    using(monkeypatch)
    return Settings(journal=tmp_path / ".provision" / "journal.sqlite")


def using(monkeypatch: pytest.MonkeyPatch, **runs: list[dict[str, Any]]) -> list[str]:
    """Runs that use hosts; returns the hosts that are asked, in their order."""
    asked: list[str] = []

    def ask(_settings: Settings, hosts: list[str]) -> dict[str, Seen]:
        asked.extend(hosts)
        return {host: Seen(host, time.monotonic(), use_of(slurm=False, runs=runs.get(host, []))) for host in hosts}

    monkeypatch.setattr(use, "ask", ask)
    return asked


def last(site: Settings) -> Rollout:
    with Journal.read(site.journal) as journal:
        found = journal.rollout()
    assert found
    return found


def states(monkeypatch: pytest.MonkeyPatch, *failures: Failure, **hosts: dict[str, Any]) -> None:
    answers = {}
    for host, stack in hosts.items():
        answers[host] = HostState.model_validate({**HOSTS["converged"]["state"], "stack": stack})
    monkeypatch.setattr(host_state, "read_each", lambda *given: HostStates(answers, failures))


def stack(current: str, previous: str | None, **sealed: bool) -> dict[str, Any]:
    return {
        "current": current,
        "previous": previous,
        "generations": {name: {"stamps": {}, "sealed": whole} for name, whole in sealed.items()},
    }


def test_rollback_goes_to_what_was_current_before(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), node2=stack("d", "c", c=True, d=True))
    returned = tuple((host, "stack_generation", {"changed": True}) for host in ("node1", "node2"))
    requests = telling(monkeypatch, PlayResults(results=returned))
    moves = rollback.rollback(site, Request(), QUIET, plan=False)
    assert [(move.host, move.before, move.after) for move in moves] == [("node1", "b", "a"), ("node2", "d", "c")]
    (request,) = requests
    assert (list(request.limit), request.variables["provision_run_user"]) == (["node1", "node2"], site.run_user)


def test_rollback_of_a_host_that_ansible_left_out_has_failed(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), node2=stack("d", "c", c=True, d=True))
    telling(monkeypatch, PlayResults(results=(("node1", "stack_generation", {"changed": True}),)))
    with pytest.raises(HostError, match="node2: the host returned no result"):
        rollback.rollback(site, Request(), QUIET, plan=False)


def test_rollback_that_fails_on_some_hosts_names_those_that_went_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On these, the previous generation is the one that they left: a second rollback would make it current again."""
    states(monkeypatch, **{f"node{number}": stack("b", "a", a=True, b=True) for number in (1, 2, 3)})
    done = tuple((host, "stack_generation", {"changed": True}) for host in ("node1", "node3"))
    telling(monkeypatch, PlayResults(results=done, failures=(Failure("node2", "Return", "it broke"),)))
    with pytest.raises(HostError, match="node2, Return: it broke") as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert caught.value.advice.startswith("node1, node3 went back.")
    assert caught.value.advice.count("`provision rollback --to a --limit node2`. Lists of hosts") == 1
    assert [(one["host"], one["after"]) for one in caught.value.document["hosts"]] == [("node1", "a"), ("node3", "a")]
    assert (caught.value.document["changed"], len(caught.value.document["failures"])) == (True, 1)


def test_rollback_plan_touches_nothing(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True))
    requests = telling(monkeypatch, PlayResults())
    assert rollback.rollback(site, Request(), QUIET, plan=True)[0].after == "a"
    assert requests == []


@pytest.mark.parametrize(
    ("target", "second", "words"),
    [
        (
            "",
            stack("b", None, b=True),
            "node2 has no complete generation before the current one to return to; complete generations: b",
        ),
        (
            "",
            stack("b", "b", a=True, b=True),
            "node2 has no complete generation before the current one to return to; complete generations: a, b",
        ),
        (
            "",
            stack("b", "a", a=False, b=True),
            "node2 has no complete generation a to return to; complete generations: b",
        ),
        (
            "z",
            stack("b", "a", a=True, b=True),
            "node1 has no complete generation z to return to; complete generations: a, b",
        ),
        (
            "a",
            {"current": None, "previous": None, "generations": {}},
            "node2 has no complete generation a .*; complete generations: none",
        ),
    ],
)
def test_rollback_touches_no_host_where_one_cannot_go_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch, target: str, second: dict[str, Any], words: str
) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), node2=second)
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(UsageError, match=words):
        rollback.rollback(site, Request(target=target), QUIET, plan=False)
    assert requests == []


def test_rollback_that_fails_on_a_host_says_so(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, node1=stack("b", "a", a=True, b=True))
    telling(
        monkeypatch, PlayResults(failures=(Failure("node1", "Return", "No space left on device", code="disk.full"),))
    )
    with pytest.raises(HostError, match="the disk is full"):
        rollback.rollback(site, Request(), QUIET, plan=False)


OFF = Failure("off1", "Ask", "gone", True, code="host.unreachable")
BACK = tuple((host, "stack_generation", {"changed": True}) for host in ("node1", "node2", "node3"))
THREE = {f"node{number}": stack("b", "a", a=True, b=True) for number in (1, 2, 3)}


@pytest.mark.parametrize("target", ["", "a"])
def test_host_that_cannot_be_asked_is_set_aside_and_the_others_go_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    states(monkeypatch, OFF, **THREE)
    requests = telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError) as caught:
        rollback.rollback(site, Request(target=target), QUIET, plan=False)
    error = caught.value
    assert [list(request.limit) for request in requests] == [["node1", "node2", "node3"]]
    assert error.message.startswith("set aside: off1: ") and "cannot be reached by SSH" in error.message
    assert error.advice.startswith("node1, node2, node3 went back.")
    assert "`provision rollback --to a --limit off1`" in error.advice
    assert "leave it out" not in error.advice  # with --to nothing is done there
    assert [one["host"] for one in error.document["hosts"]] == ["node1", "node2", "node3"]
    assert [one["host"] for one in error.document["set_aside"]] == ["off1"]
    assert Path(error.document["lists"]["set-aside"]).read_text() == "off1\n"
    assert (error.exit_code, error.document["changed"]) == (1, True)


def test_host_that_fails_and_one_that_cannot_be_asked_are_in_one_command(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(monkeypatch, OFF, **THREE)
    telling(monkeypatch, PlayResults(results=(BACK[0], BACK[2]), failures=(Failure("node2", "Return", "it broke"),)))
    with pytest.raises(HostError, match="node2, Return: it broke\nset aside: off1: ") as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert "`provision rollback --to a --limit node2,off1`" in caught.value.advice
    assert Path(caught.value.document["lists"]["failed"]).read_text() == "node2\n"


@pytest.mark.parametrize(
    ("hosts", "words"),
    [({"node1": THREE["node1"]}, "2 of 3 hosts failed .* max_failures: 50% allows 1: nothing was begun"), ({}, "off2")],
)
def test_rollback_begins_nothing_if_too_many_hosts_cannot_be_asked(
    site: Settings, monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Any], words: str
) -> None:
    states(monkeypatch, OFF, Failure("off2", "Ask", "gone", True, code="host.unreachable"), **hosts)
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(HostError, match=words) as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert requests == [] and caught.value.advice.startswith("Nothing was changed on any host.")
    assert [one["host"] for one in caught.value.document["set_aside"]] == ["off1", "off2"]


def test_plan_of_a_rollback_shows_what_would_go_back_though_a_host_is_off(
    site: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states(monkeypatch, OFF, **THREE)
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(HostError, match="set aside: off1") as caught:
        rollback.rollback(site, Request(), Output(), plan=True)
    assert requests == [] and caught.value.advice == "Nothing was changed on any host."
    assert "node3: would go back from generation b to a" in capsys.readouterr().out
    assert caught.value.document["changed"] is False and not site.journal.parent.exists()


def test_host_in_use_keeps_its_generation_and_the_others_go_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(monkeypatch, **THREE)
    using(monkeypatch, node2=[RUN])
    requests = telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError, match=r"^set aside: node2 is in use: run x, pid 7 \(of alice") as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert [list(request.limit) for request in requests] == [["node1", "node3"]]
    assert all(request.variables["provision_refuse_starts"] for request in requests)
    assert "give --in-use. node1, node3 went back." in caught.value.advice
    assert [one["host"] for one in caught.value.document["set_aside"]] == ["node2"]
    assert Path(caught.value.document["lists"]["set-aside"]).read_text() == "node2\n"


def test_operator_can_say_that_hosts_in_use_go_back(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, **THREE)
    asked = using(monkeypatch, node2=[RUN])
    requests = telling(monkeypatch, PlayResults(results=BACK))
    assert len(rollback.rollback(site, Request(in_use=True), QUIET, plan=False)) == 3
    assert [list(request.limit) for request in requests] == [["node1", "node2", "node3"]]
    assert (requests[0].variables["provision_refuse_starts"], asked) == (False, [])


def test_refusal_of_hosts_in_use_comes_before_anything(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, **THREE)
    using(monkeypatch, node2=[RUN])
    requests = telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(UsageError, match="node2 is in use") as caught:
        rollback.rollback(site.model_copy(update={"busy": "refuse"}), Request(), QUIET, plan=False)
    assert (requests, caught.value.advice) == ([], "Nothing was changed on any host.")


@pytest.mark.parametrize(
    ("busy", "words"), [("skip", "it stays as it is meanwhile"), ("wait", "it is waited for, at most 24 hours")]
)
def test_plan_shows_hosts_in_use(
    site: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], busy: str, words: str
) -> None:
    """The plan said that all hosts go back, and the command set one aside."""
    states(monkeypatch, **THREE)
    asked = using(monkeypatch, node2=[RUN])
    waiting = site.model_copy(update={"busy": busy})
    moves = rollback.rollback(waiting, Request(), Output(), plan=True)
    assert (
        f"node2 is in use now: run x, pid 7 (of alice, since 2025-11-25 23:13:00 UTC); {words} (busy: {busy})\n"
        in capsys.readouterr().out
    )
    assert [move.host for move in moves if move.in_use] == ["node2"]
    assert asked == ["node1", "node2", "node3"]
    rollback.rollback(waiting, Request(in_use=True), Output(), plan=True)
    assert "in use" not in capsys.readouterr().out
    with pytest.raises(UsageError, match="node2 is in use"):
        rollback.rollback(site.model_copy(update={"busy": "refuse"}), Request(), QUIET, plan=True)


def test_what_came_of_each_host_is_in_the_journal(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, OFF, **THREE)
    using(monkeypatch, node2=[RUN])
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError):
        rollback.rollback(site, Request(), QUIET, plan=False)
    found = last(site)
    assert (found.phase, found.status) == ("rollback", Status.STOPPED)
    assert {host: found.outcome(host, Step.GIVE_BACK) for host in ("node1", "node2", "node3", "off1")} == {
        "node1": Outcome.DONE,
        "node2": Outcome.SET_ASIDE,
        "node3": Outcome.DONE,
        "off1": Outcome.SET_ASIDE,
    }
    with pytest.raises(UsageError, match='the last command was "provision rollback"'):
        command.resume((), site, QUIET, lambda _found: None)


def test_rollback_that_did_not_finish_takes_no_host_forward_again(
    site: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a host that went back, the previous generation is now the one that it left."""
    states(monkeypatch, **THREE)
    using(monkeypatch, node2=[RUN])
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError):
        rollback.rollback(site, Request(), QUIET, plan=False)
    there = stack("a", "b", a=True, b=True)
    states(monkeypatch, **{**THREE, "node1": there, "node3": there})
    using(monkeypatch)
    requests = telling(monkeypatch, PlayResults(results=BACK))
    moves = rollback.rollback(site, Request(), Output(), plan=False)
    assert [list(request.limit) for request in requests] == [["node2"]]
    assert [(move.host, move.after) for move in moves] == [("node1", "a"), ("node2", "a"), ("node3", "a")]
    assert "node1: has generation a again already" in capsys.readouterr().out
    assert last(site).status is Status.ROLLED_BACK
    states(monkeypatch, **dict.fromkeys(THREE, there))
    with pytest.raises(UsageError, match="node1, node2, node3 would go from generation a to b, and a rollback was to"):
        rollback.rollback(site, Request(), QUIET, plan=False)


def interrupted(_request: playbook.Request) -> playbook.Outcome:
    raise KeyboardInterrupt


def test_killed_rollback_is_continued(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody recorded how it ended on any host: those that went back are recognised by what is current."""
    states(monkeypatch, **THREE)
    monkeypatch.setattr(playbook, "run", interrupted)
    with pytest.raises(InterruptError) as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert "`provision rollback` continues it" in caught.value.advice
    assert last(site).outcome("node1", Step.GIVE_BACK) is Outcome.STARTED
    states(monkeypatch, **{**THREE, "node1": stack("a", "b", a=True, b=True), "node3": stack("d", "c", c=True, d=True)})
    telling(monkeypatch, PlayResults(results=BACK))
    moves = rollback.rollback(site, Request(), QUIET, plan=False)
    assert [(move.before, move.after) for move in moves] == [("a", "a"), ("b", "a"), ("d", "c")]


def test_interrupted_rollback_is_continued_with_its_own_hosts_only(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that was advised had no limit: it returns all other hosts of the site too."""
    states(monkeypatch, node1=THREE["node1"])
    monkeypatch.setattr(playbook, "run", interrupted)
    with pytest.raises(InterruptError) as caught:
        rollback.rollback(site, Request(["node1", "!node9"], "a", in_use=True), QUIET, plan=False)
    assert "`provision rollback --to a --limit 'node1,!node9' --in-use` continues it" in caught.value.advice
    with pytest.raises(UsageError) as refused:
        command.resume((), site, QUIET, lambda _found: None)
    told = (refused.value.advice, entries.given_up(last(site)))
    assert all("with the --limit that it had" in one for one in told)


def test_odd_name_of_a_generation_sets_the_host_aside(site: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    states(monkeypatch, **{**THREE, "node2": stack("b\x1b[2J", "a", a=True, b=True)})
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError, match="set aside: node2: its current or former generation has a name"):
        rollback.rollback(site, Request(), QUIET, plan=False)


def test_host_that_is_left_stays_known_when_another_one_is_returned_alone(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the command for the last host, without a limit, would take all the others forward again."""
    states(monkeypatch, **THREE)
    using(monkeypatch, node2=[RUN], node3=[RUN])
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError):
        rollback.rollback(site, Request(), QUIET, plan=False)
    states(monkeypatch, node2=THREE["node2"])
    using(monkeypatch)
    rollback.rollback(site, Request(["node2"]), QUIET, plan=False)
    assert (last(site).status, {entry.host for entry in last(site).hosts}) == (Status.STOPPED, set(THREE))
    there = stack("a", "b", a=True, b=True)
    states(monkeypatch, node1=there, node2=there, node3=THREE["node3"])
    moves = rollback.rollback(site, Request(), QUIET, plan=False)
    assert [(move.before, move.after) for move in moves] == [("a", "a"), ("a", "a"), ("b", "a")]
    assert last(site).status is Status.ROLLED_BACK


def test_host_that_went_back_unrecorded_and_is_off_now_does_not_go_forward_later(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(monkeypatch, **THREE)
    with monkeypatch.context() as patched:
        patched.setattr(playbook, "run", interrupted)
        with pytest.raises(InterruptError):
            rollback.rollback(site, Request(), QUIET, plan=False)
    telling(monkeypatch, PlayResults(results=BACK))
    states(monkeypatch, Failure("node3", "Ask", "gone", True), node1=THREE["node1"], node2=THREE["node2"])
    with pytest.raises(HostError, match="set aside: node3"):
        rollback.rollback(site, Request(), QUIET, plan=False)
    there = stack("a", "b", a=True, b=True)
    states(monkeypatch, **dict.fromkeys(THREE, there))
    assert {move.after for move in rollback.rollback(site, Request(), QUIET, plan=False)} == {"a"}


@pytest.mark.parametrize("target", ["", "a"])
def test_all_hosts_that_cannot_go_back_are_named_at_once_with_a_list_of_the_others(
    site: Settings, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """Only the first of them was named, so that 30 new hosts of 1,000 needed 30 commands."""
    new = {f"new{number}": stack("b", None, b=True) for number in range(30)}
    states(monkeypatch, **THREE, **new, old=stack("c", "b", b=False, c=True))
    requests = telling(monkeypatch, PlayResults())
    with pytest.raises(UsageError) as caught:
        rollback.rollback(site, Request(target=target), QUIET, plan=False)
    error = caught.value
    assert [line.split(" has no")[0] for line in error.message.splitlines()] == ["new[0-29] (30 hosts): HOST", "old"]
    (file,) = error.document["lists"].values()
    assert Path(file).read_text() == "node1\nnode2\nnode3\n"
    assert f"`provision rollback {'--to a ' if target else ''}--limit @{file}`" in error.advice
    assert requests == []
    with pytest.raises(UsageError) as caught:
        rollback.rollback(site, Request(target=target), QUIET, plan=True)
    assert caught.value.document["lists"] == {}


@pytest.mark.parametrize("plan", [True, False])
def test_host_that_went_back_alone_does_not_go_forward_when_all_others_go_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch, plan: bool
) -> None:
    """Somebody tried the rollback on one host first: the command for all of them took this host forward again."""
    there = stack("a", "b", a=True, b=True)
    states(monkeypatch, **{**THREE, "node1": there})
    requests = telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(UsageError, match=r"node2, node3 would go from generation b to a, and node1 from a to b") as no:
        rollback.rollback(site, Request(), QUIET, plan=plan)
    assert no.value.advice.startswith("Nothing was changed on any host.") and "--to" in no.value.advice
    assert requests == []
    moves = rollback.rollback(site, Request(target="a"), QUIET, plan=plan)
    assert [(move.before, move.after) for move in moves] == [("a", "a"), ("b", "a"), ("b", "a")]


@pytest.mark.parametrize("plan", [True, False])
def test_host_that_did_not_get_the_newest_generation_keeps_the_one_to_which_others_return(
    site: Settings, monkeypatch: pytest.MonkeyPatch, plan: bool
) -> None:
    """A rollout stopped after its first wave: all other hosts were taken to a generation before the good one."""
    rest = {f"node{number}": stack("a", "old", a=True, old=True) for number in range(2, 9)}
    states(monkeypatch, node1=stack("b", "a", a=True, b=True), **rest)
    requests = telling(monkeypatch, PlayResults(results=BACK))
    words = r"node2, .* would go from generation a to old, and node1 from b to a"
    with pytest.raises(UsageError, match=words) as no:
        rollback.rollback(site, Request(), QUIET, plan=plan)
    assert len(no.value.message.splitlines()) == 1 and requests == []
    moves = rollback.rollback(site, Request(target="a"), QUIET, plan=plan)
    assert [(move.before, move.after) for move in moves] == [("b", "a"), *[("a", "a")] * 7]


def test_hosts_that_went_back_before_others_did_take_no_step_forward(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest command of the journal was asked: one for other hosts was given since."""
    telling(monkeypatch, PlayResults(results=BACK))
    for host, there in (("node1", THREE["node1"]), ("node2", stack("y", "x", x=True, y=True))):
        states(monkeypatch, **{host: there})
        rollback.rollback(site, Request([host]), QUIET, plan=False)
    states(monkeypatch, node1=stack("a", "b", a=True, b=True))
    with pytest.raises(
        UsageError, match="node1 would go from generation a to b, and a rollback was to return node1 to a"
    ):
        rollback.rollback(site, Request(["node1"]), QUIET, plan=False)
    states(monkeypatch, node1=stack("d", "c", c=True, d=True))  # by somebody else
    assert rollback.rollback(site, Request(["node1"]), QUIET, plan=False)[0].after == "c"


def test_hosts_that_have_the_generation_already_did_not_go_back(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error said that they went back, and its document that something was changed."""
    there = stack("a", "b", a=True, b=True)
    states(monkeypatch, Failure("node3", "Ask", "gone", True), node1=there, node2=there)
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError, match="set aside: node3") as caught:
        rollback.rollback(site, Request(target="a"), QUIET, plan=False)
    assert "went back" not in caught.value.advice
    assert (caught.value.document["changed"], len(caught.value.document["hosts"])) == (False, 2)


def test_host_that_was_off_in_a_rollback_keeps_the_generation_that_the_others_have(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was off before too, when the others got the bad generation."""
    states(monkeypatch, Failure("node3", "Ask", "gone", True), node1=THREE["node1"], node2=THREE["node2"])
    telling(monkeypatch, PlayResults(results=BACK))
    with pytest.raises(HostError, match="set aside: node3") as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert "To try the others again: `provision rollback --to a --limit node3`." in caught.value.advice
    there, old = stack("a", "b", a=True, b=True), stack("a", "old", a=True, old=True)
    for limit, words in (
        ([], "and node1, node2 have a"),
        (["node3"], "and a rollback was to return node1, node2 to a"),
    ):
        states(monkeypatch, **({"node3": old} if limit else {"node1": there, "node2": there, "node3": old}))
        with pytest.raises(UsageError, match=f"node3 would go from generation a to old, {words}"):
            rollback.rollback(site, Request(limit), QUIET, plan=False)


@pytest.mark.parametrize("lost", [False, True])
def test_host_that_went_back_does_not_go_forward_after_a_rollout_that_was_given_back_or_was_of_others(
    site: Settings, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """If `lost`, nobody saw the end of the rollback on the hosts."""
    states(monkeypatch, **THREE)
    gone = tuple(Failure(host, "Return", "gone", True) for host in THREE)
    telling(monkeypatch, PlayResults(failures=gone) if lost else PlayResults(results=BACK))
    with contextlib.suppress(HostError):
        rollback.rollback(site, Request(), QUIET, plan=False)
    hosts = ("node9",) if lost else tuple(THREE)
    with Journal.open(site.journal, ME, lambda _holder: True) as journal:
        journal.begin(Rollout(hosts=tuple(HostEntry(host=host, wave=1, target="c", former="a") for host in hosts)))
        for step in (Step.ACTIVATE, Step.GIVE_BACK):
            journal.ended_all(step, [Ending(host=host, outcome=Outcome.DONE) for host in hosts])
        journal.finish(Status.ROLLED_BACK)
    states(monkeypatch, **dict.fromkeys(THREE, stack("a", "b", a=True, b=True)))
    with pytest.raises(UsageError, match="would go from generation a to b, and a rollback was to"):
        rollback.rollback(site, Request(), QUIET, plan=False)


@pytest.mark.parametrize("killed", [True, False])
def test_rollback_that_is_given_twice_takes_no_host_forward(
    site: Settings, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Two operators gave it, or one did not see that it had ended: all hosts went forward to the bad generation."""
    there, hosts = dict.fromkeys(THREE, stack("a", "b", a=True, b=True)), "node1, node2, node3"
    states(monkeypatch, **THREE)
    if killed:  # after it had returned all hosts; the next command found that nothing was left to do
        monkeypatch.setattr(playbook, "run", interrupted)
        with pytest.raises(InterruptError):
            rollback.rollback(site, Request(), QUIET, plan=False)
        states(monkeypatch, **there)
    requests = telling(monkeypatch, PlayResults(results=BACK))
    rollback.rollback(site, Request(), QUIET, plan=False)
    states(monkeypatch, **there)
    requests.clear()
    words = f"{hosts} would go from generation a to b, and a rollback was to return {hosts} to a"
    with pytest.raises(UsageError, match=words) as no:
        rollback.rollback(site, Request(), QUIET, plan=False)
    assert (requests, last(site).status, "--to" in no.value.advice) == ([], Status.ROLLED_BACK, True)
    assert {move.after for move in rollback.rollback(site, Request(target="b"), QUIET, plan=False)} == {"b"}


@pytest.mark.parametrize("finished", [True, False])
def test_host_whose_stack_root_went_back_under_another_name_does_not_go_forward(
    site: Settings, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    """node2 shares the stack root of node1, and only node1 was given with --limit."""
    states(monkeypatch, node1=THREE["node1"], node3=THREE["node3"])
    using(monkeypatch, **{} if finished else {"node3": [RUN]})
    telling(monkeypatch, PlayResults(results=BACK))
    with contextlib.suppress(HostError):
        rollback.rollback(site, Request(["node1", "node3"]), QUIET, plan=False)
    states(monkeypatch, node2=stack("a", "b", a=True, b=True))
    words = r"node2 would go from generation a to b, and a rollback was to return node1(, node3)? to a"
    with pytest.raises(UsageError, match=words):
        rollback.rollback(site, Request(["node2"]), QUIET, plan=False)
    assert rollback.rollback(site, Request(["node2"], "b"), QUIET, plan=False)[0].after == "b"


def test_many_hosts_that_did_not_go_back_are_tried_again_by_their_lists(
    site: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice was a command with the names of 400 hosts."""
    hosts = {f"n{number:03}": THREE["node1"] for number in range(401)}
    site = site.model_copy(update={"max_failures": wave_rules.Size(100, percent=True)})
    states(monkeypatch, *(Failure(f"off{number:03}", "Ask", "gone", True) for number in range(200)), **hosts)
    broken = tuple(Failure(host, "Return", "it broke") for host in list(hosts)[1:])
    telling(monkeypatch, PlayResults(results=(("n000", "stack_generation", {}),), failures=broken))
    with pytest.raises(HostError) as caught:
        rollback.rollback(site, Request(), QUIET, plan=False)
    lists = caught.value.document["lists"]
    assert f"`provision rollback --to a --limit @{lists['failed']},@{lists['set-aside']}`" in caught.value.advice
    assert len(caught.value.advice) < 1000
