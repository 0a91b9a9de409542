"""`provision site` on a fleet: who is set aside, in which order hosts are activated, and what the journal says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import wave_rules
from neuraltalk_provision.errors import HostError, InterruptError, MirrorError, ProvisionError, UsageError
from neuraltalk_provision.fleet import command, idle, running
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.fleet.records import Outcome, Phase, Rollout, Status, Step
from neuraltalk_provision.fleet.survey import Aside, Survey
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from tests.unit.plans import RECIPE, planned

HOSTS = [f"node{number}" for number in range(1, 7)]
IDLE: dict[str, Any] = {
    "names": ["node"],
    "slurm": False,
    "runs": [],
    "programs": [],
    "processes": [],
    "hidden": 0,
    "more": 0,
    "problems": [],
}
RUN = {"id": "r1", "state": "running", "pid": 7, "user": "neuraltalk", "since": 100, "generation": "g", "problem": ""}


@dataclass
class Fleet:
    """Hosts that do what playbooks want, except those that `breaks` names for a playbook."""

    breaks: dict[str, set[str]] = field(default_factory=dict)
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _playbook: None
    uses: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    code: str = "disk.full"

    def run(self, request: playbook.Request, *_more: object) -> playbook.Outcome:
        """The results of a playbook."""
        self.before(request.playbook)
        self.ran.append((request.playbook, tuple(request.limit)))
        self.variables[request.playbook] = request.variables
        bad = self.breaks.get(request.playbook, set())
        if request.playbook == "use.yml":
            self.ran.pop()
            uses = tuple(
                (host, "host_use_info", {"use": {**IDLE, **self.uses.get(host, {})}}) for host in request.limit
            )
            return playbook.Outcome(0, PlayResults(results=uses))
        return playbook.Outcome(
            0,
            PlayResults(
                results=tuple((host, "some.module", {}) for host in request.limit if host not in bad),
                failures=tuple(
                    Failure(host, "Task", "it broke", code=self.code) for host in request.limit if host in bad
                ),
            ),
        )

    @property
    def activated(self) -> list[tuple[str, ...]]:
        """The hosts of each activation."""
        return [hosts for name, hosts in self.ran if name == "activate.yml"]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A fleet without hosts."""
    found = Fleet()
    monkeypatch.setattr(playbook, "run", found.run)
    monkeypatch.setattr(converge, "check_mirror", lambda *_: None)
    monkeypatch.setattr(running, "_sleep", lambda _seconds: None)
    yield found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a journal of their own and three waves."""
    (tmp_path / "mirror").mkdir()
    return Settings(
        mirror=tmp_path / "mirror",
        journal=tmp_path / ".provision" / "journal.sqlite",
        waves=[1, "50%", "100%"],
        cache=False,
    )


def found(kind: str = "bare", hosts: list[str] = HOSTS, aside: tuple[Aside, ...] = (), **more: Any) -> Survey:
    plans = tuple(planned(kind, host) for host in hosts)
    return Survey(plans, aside, dict.fromkeys(hosts, ()), {host: host for host in hosts}, **more)


def carried_out(survey: Survey, settings: Settings, phase: Phase = Phase.FULL, **more: Any) -> FleetOutcome:
    return command.carry_out(survey, phase, settings, Output(as_json=True), **more)


def newest(settings: Settings) -> Rollout:
    with Journal.read(settings.journal) as journal:
        rollout = journal.rollout()
    assert rollout is not None
    return rollout


OFF = Aside("off1", "off1: the host cannot be reached by SSH", "host.unreachable", refused=False)


def test_hosts_are_staged_at_once_and_activated_in_waves(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(found(), settings)
    assert fleet.ran == [
        ("site.yml", tuple(HOSTS)),
        ("activate.yml", ("node1",)),
        ("activate.yml", ("node2", "node3")),
        ("activate.yml", ("node4", "node5", "node6")),
        ("release.yml", tuple(HOSTS)),
    ]
    assert outcome.succeeded and outcome.site.activated == tuple(HOSTS)
    rollout = newest(settings)
    assert rollout.status is Status.FINISHED
    assert rollout.hosts_with(Step.ACTIVATE, Outcome.DONE) == tuple(HOSTS)
    assert {entry.host: entry.wave for entry in rollout.hosts}["node4"] == 3
    assert rollout.hosts[0].target == RECIPE.id


def test_a_host_that_is_off_is_set_aside_and_the_others_go_on(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(found(aside=(OFF,)), settings)
    assert outcome.site.activated == tuple(HOSTS) and not outcome.succeeded
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    assert caught.value.message == "set aside: off1: the host cannot be reached by SSH"
    assert "node1, node2" in caught.value.advice
    assert Path(outcome.lists["set-aside"]).read_text() == "off1\n"
    assert Path(outcome.lists["done"]).read_text() == "".join(f"{host}\n" for host in HOSTS)
    assert caught.value.document["set_aside"] == [{"host": "off1", "reason": OFF.reason, "code": "host.unreachable"}]


def test_more_hosts_aside_than_the_budget_allows_change_nothing(fleet: Fleet, settings: Settings) -> None:
    aside = tuple(replace(OFF, host=f"off{number}") for number in range(7))
    with pytest.raises(
        HostError, match="7 of 13 hosts failed or were set aside, and max_failures: 50% allows 6"
    ) as caught:
        carried_out(found(aside=aside), settings)
    assert fleet.ran == [] and not settings.journal.exists()
    assert caught.value.advice.startswith("Nothing was changed on any host.")


def test_a_budget_of_nothing_stops_at_one_host_that_is_off(fleet: Fleet, settings: Settings) -> None:
    with pytest.raises(HostError, match="max_failures: 0% allows 0"):
        carried_out(
            found(aside=(OFF,)), settings.model_copy(update={"max_failures": Settings(max_failures="0%").max_failures})
        )
    assert fleet.ran == []


def test_hosts_that_are_all_refused_are_an_error_of_usage(fleet: Fleet, settings: Settings) -> None:
    survey = Survey((planned("no-space", "node1"),), (Aside("node1", "node1: no space", "host.refused"),), {}, {})
    with pytest.raises(UsageError, match="node1: no space") as caught:
        carried_out(survey, settings)
    assert caught.value.advice == "Nothing was changed on any host."
    assert [plan["host"] for plan in caught.value.document["plans"]] == ["node1"]


def test_a_first_host_that_fails_stops_the_others(fleet: Fleet, settings: Settings) -> None:
    fleet.breaks = {"activate.yml": {"node1"}}
    outcome = carried_out(found(), settings)
    assert fleet.activated == [("node1",)]
    assert (outcome.status, outcome.untouched) == ("stopped", tuple(HOSTS[1:]))
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    assert caught.value.message.splitlines()[0].startswith("node1, Task: the disk is full")
    assert "the rollout stopped: node1 failed, and every host of the first wave" in caught.value.message
    assert "Not begun: node2, node3" in caught.value.advice
    assert Path(outcome.lists["untouched"]).read_text().split() == HOSTS[1:]
    assert Path(outcome.lists["failed"]).read_text().split() == ["node1"]


@pytest.mark.parametrize("broken", [{"node1"}, set()])
def test_lists_that_cannot_be_written_do_not_hide_the_outcome(
    fleet: Fleet, settings: Settings, broken: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place = settings.journal.parent / "hosts"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    fleet.breaks = {"activate.yml": broken}
    outcome = command.carry_out(found(), Phase.FULL, settings, Output())
    assert outcome.lists == {}
    assert outcome.status == ("stopped" if broken else "finished")
    assert "no lists of the hosts were written: " in capsys.readouterr().err


def test_a_spent_budget_returns_every_activated_host_if_so_wanted(fleet: Fleet, settings: Settings) -> None:
    fleet.breaks = {"activate.yml": {"node2", "node3"}}
    chosen = settings.model_copy(
        update={"on_failure": "rollback", "max_failures": Settings(max_failures=1).max_failures}
    )
    outcome = carried_out(found("staged"), chosen)
    assert [name for name, _ in fleet.ran] == ["activate.yml", "activate.yml", "give_back.yml", "release.yml"]
    assert fleet.ran[2][1] == ("node1",)
    former = planned("staged").current
    assert fleet.variables["give_back.yml"]["provision_former"] == {"node1": {"generation": former, "cuda": ""}}
    assert (outcome.status, outcome.returned, outcome.site.activated) == ("rolled_back", ("node1",), ())
    assert newest(chosen).outcome("node1", Step.GIVE_BACK) is Outcome.DONE


def test_staging_alone_activates_nothing_and_activation_alone_builds_nothing(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(found(), settings, Phase.STAGE_ONLY)
    assert [name for name, _ in fleet.ran] == ["site.yml", "release.yml"]
    assert outcome.succeeded and outcome.site.activated == ()
    assert {entry.wave for entry in newest(settings).hosts} == {1}
    fleet.ran.clear()
    outcome = carried_out(found("staged"), settings, Phase.ACTIVATE)
    assert {name for name, _ in fleet.ran} == {"activate.yml", "release.yml"}
    assert outcome.site.activated == tuple(HOSTS)


def test_a_host_on_which_nothing_is_staged_is_not_activated(fleet: Fleet, settings: Settings) -> None:
    survey = Survey((planned("staged", "node1"), planned("bare", "node2")), (), {}, {"node1": "a", "node2": "b"})
    outcome = carried_out(survey, settings, Phase.ACTIVATE)
    assert outcome.site.activated == ("node1",)
    assert [(one.host, one.code) for one in outcome.aside] == [("node2", "host.not_staged")]
    assert "run `provision site --stage-only` first" in outcome.aside[0].reason


def test_a_pause_that_somebody_asks_for_ends_before_the_next_wave_and_is_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.before = lambda name: (
        Journal.request_pause(settings.journal, "me", lambda _: False) and None if name == "activate.yml" else None
    )
    outcome = carried_out(found("staged"), settings)
    assert (outcome.status, outcome.site.activated, outcome.untouched) == ("paused", ("node1",), tuple(HOSTS[1:]))
    assert outcome.succeeded
    fleet.before = lambda _: None
    after = Survey(
        (planned("converged", "node1"), *found("staged", HOSTS[1:]).plans), (), {}, {host: host for host in HOSTS}
    )
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda *_, **__: after)
    outcome = command.resume((), settings, Output(as_json=True), lambda _: None)
    assert fleet.activated == [("node1",), ("node2", "node3"), ("node4", "node5", "node6")]
    assert newest(settings).status is Status.FINISHED
    assert outcome.site.activated == tuple(HOSTS)


def test_a_killed_controller_is_continued_and_does_nothing_twice(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str) -> None:
        if name == "activate.yml" and len(fleet.activated) == 1:
            raise SystemExit(9)

    fleet.before = die
    with pytest.raises(SystemExit):
        carried_out(found("staged"), settings)
    assert newest(settings).status is Status.RUNNING
    assert newest(settings).outcome("node2", Step.ACTIVATE) is Outcome.STARTED
    fleet.before = lambda _: None
    # node2 was activated and has confirmed it, but its controller did not live to hear it: it is tested again.
    plans = tuple(planned("converged" if host in ("node1", "node2") else "staged", host) for host in HOSTS)
    monkeypatch.setattr(
        "neuraltalk_provision.fleet.survey.survey",
        lambda *_, **__: Survey(plans, (), {}, {host: host for host in HOSTS}),
    )
    command.resume((), settings, Output(as_json=True), lambda _: None)
    assert fleet.activated == [("node1",), ("node3",), ("node4", "node5", "node6")]
    assert ("follow.yml", ("node2",)) in fleet.ran


def test_a_host_whose_address_changed_is_not_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.breaks = {"activate.yml": {"node1"}}
    carried_out(found("staged"), settings)
    fleet.breaks = {}
    moved = replace(found("staged"), addresses={host: "other" if host == "node5" else host for host in HOSTS})
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda *_, **__: moved)
    outcome = command.resume((), settings, Output(as_json=True), lambda _: None)
    assert [one.host for one in outcome.aside] == ["node5"]
    assert "say another generation or another address" in outcome.aside[0].reason
    assert "node5" not in outcome.site.activated


def test_a_host_with_a_training_is_not_activated_under_it(fleet: Fleet, settings: Settings) -> None:
    fleet.uses = {"node3": {"runs": [RUN]}}
    outcome = carried_out(found("staged"), settings)
    assert outcome.site.activated == ("node1", "node2", "node4", "node5", "node6")
    assert [(one.host, one.code) for one in outcome.aside] == [("node3", "busy")]
    assert "run r1, pid 7 (of neuraltalk, since" in outcome.aside[0].reason
    assert newest(settings).outcome("node3", Step.ACTIVATE) is Outcome.SET_ASIDE
    assert Path(outcome.lists["set-aside"]).read_text() == "node3\n"


@pytest.mark.parametrize("kind", ["bare", "staged", "converged"])
@pytest.mark.parametrize("code", ["busy", "host.in_use"])
def test_host_on_which_others_work_is_a_failure_in_every_step(
    fleet: Fleet, settings: Settings, kind: str, code: str
) -> None:
    fleet.breaks, fleet.code = {"site.yml": {"node5"}, "activate.yml": {"node5"}}, code
    survey = found(kind)
    if kind == "converged":
        survey = replace(survey, plans=tuple(replace(plan, unconfirmed=True) for plan in survey.plans))
    outcome = carried_out(survey, settings)
    lost = {failure.host for failure in outcome.site.failures} | {one.host for one in outcome.aside}
    assert (outcome.succeeded, lost) == (False, {"node5"})
    assert "node5" not in outcome.site.activated
    assert "node5\n" in [
        Path(file).read_text() for name, file in outcome.lists.items() if name in ("failed", "set-aside")
    ]


def test_host_that_looks_idle_and_refuses_is_not_asked_for_ever(fleet: Fleet, settings: Settings) -> None:
    fleet.breaks, fleet.code = {"activate.yml": {"node5"}}, "host.in_use"
    survey = found("converged")
    survey = replace(survey, plans=tuple(replace(plan, current="former", former="former") for plan in survey.plans))
    outcome = carried_out(survey, settings)
    assert sum("node5" in hosts for hosts in fleet.activated) == idle.MOST_REFUSALS
    assert [(one.host, one.code) for one in outcome.aside] == [("node5", "busy")]
    assert f"tried {idle.MOST_REFUSALS} times" in outcome.aside[0].reason


def test_first_host_in_use_is_replaced_by_the_next_one(fleet: Fleet, settings: Settings) -> None:
    fleet.uses = {"node1": {"runs": [RUN]}}
    outcome = carried_out(found("staged"), settings.model_copy(update={"waves": wave_rules.DEFAULT}))
    assert fleet.activated == [("node2",), ("node3", "node4", "node5", "node6")]
    assert [one.host for one in outcome.aside] == ["node1"]


def test_activation_that_was_not_confirmed_is_taken_back_to_what_was_before_it(
    fleet: Fleet, settings: Settings
) -> None:
    """A controller was killed after the link was changed: the current generation is the new one already."""
    before = replace(planned("converged"), unconfirmed=True, former="00000000000000aa", cuda="/usr/local/cuda")
    survey = replace(found("staged"), plans=(before, *found("staged", HOSTS[1:]).plans))
    fleet.breaks = {"activate.yml": {"node2"}}
    chosen = settings.model_copy(update={"on_failure": "rollback", "max_failures": wave_rules.Size(0)})
    outcome = carried_out(survey, chosen)
    assert "node1" in outcome.returned
    returned = fleet.variables["give_back.yml"]["provision_former"]["node1"]
    assert returned == {"generation": "00000000000000aa", "cuda": "/usr/local/cuda"}


@pytest.mark.parametrize("field", ["current", "former"])
def test_host_with_a_generation_of_an_odd_name_is_set_aside(fleet: Fleet, settings: Settings, field: str) -> None:
    survey = found("staged")
    odd = replace(survey.plans[1], **{field: "../../etc"})
    outcome = carried_out(replace(survey, plans=(survey.plans[0], odd, *survey.plans[2:])), settings)
    assert [(one.host, "'../../etc'" in one.reason) for one in outcome.aside] == [("node2", True)]
    assert "node2" not in {host for _name, hosts in fleet.ran for host in hosts}


@pytest.mark.parametrize("name", ["node\n7", "node\x1b[31m7", "n" * 256])
@pytest.mark.parametrize("is_off", [True, False])
def test_host_whose_name_cannot_be_recorded_is_refused_before_anything(
    fleet: Fleet, settings: Settings, name: str, is_off: bool
) -> None:
    survey = found("staged", aside=(replace(OFF, host=name),)) if is_off else found("staged", [*HOSTS, name])
    with pytest.raises(UsageError, match="control characters, or more than 255") as caught:
        carried_out(survey, settings)
    assert repr(name)[:20] in caught.value.message
    assert fleet.ran == []


@pytest.mark.parametrize("name", ["node 7", "node=7", "nöde", "node'7", "node;--"])
def test_unusual_name_of_a_host_is_recorded_and_listed_as_it_is(fleet: Fleet, settings: Settings, name: str) -> None:
    fleet.breaks = {"activate.yml": {name}}
    outcome = carried_out(found("staged", [name, "node2"]), settings)
    assert Path(outcome.lists["failed"]).read_text(encoding="utf-8") == f"{name}\n"
    assert newest(settings).outcome(name, Step.ACTIVATE) is Outcome.FAILED


def resumed(monkeypatch: pytest.MonkeyPatch, settings: Settings, now: Survey) -> FleetOutcome:
    """Continue the rollout with hosts that are as in this survey."""
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda *_, **__: now)
    return command.resume((), settings, Output(as_json=True), lambda _: None)


def kill_activation(fleet: Fleet, settings: Settings, *phase: Phase) -> None:
    """A rollout of the staged hosts that is killed while it activates; what is run after it is noted from nothing."""
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged"), settings, *phase)
    fleet.before, fleet.ran = lambda _: None, []


def test_request_to_pause_counts_while_the_hosts_are_still_asked(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume` holds the lock while it asks a large fleet, which takes minutes."""
    kill_activation(fleet, settings)

    def survey(*_: object, **__: object) -> Survey:
        Journal.request_pause(settings.journal, "me", lambda _: False)
        return found("staged")

    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", survey)
    outcome = command.resume((), settings, Output(as_json=True), lambda _: None)
    assert (outcome.status, fleet.activated) == ("paused", [])
    assert resumed(monkeypatch, settings, found("staged")).status == "finished"


@pytest.mark.parametrize("error", [UsageError("no host called node6", advice="Look."), KeyboardInterrupt()])
def test_rollout_that_ends_in_the_middle_is_stopped_and_says_how_to_continue(
    fleet: Fleet, settings: Settings, error: BaseException
) -> None:
    """The inventory could not be read any more between two waves, or somebody pressed Ctrl-C."""

    def end(name: str) -> None:
        if name == "activate.yml" and fleet.activated:
            raise error

    fleet.before = end
    with pytest.raises(ProvisionError) as caught:
        command.carry_out(found("staged"), Phase.FULL, settings, Output())
    rollout = newest(settings)
    assert (rollout.status, rollout.outcome("node2", Step.ACTIVATE)) == (Status.STOPPED, Outcome.STARTED)
    words = f"The rollout {rollout.id} is not finished: `provision site --resume` continues it"
    usage = isinstance(error, UsageError)
    assert isinstance(caught.value, UsageError if usage else InterruptError)
    assert caught.value.advice.startswith(f"Look. {words}" if usage else words)
    assert caught.value.document["rollout"] == {
        "id": rollout.id,
        "status": "stopped",
        "why": "no host called node6" if usage else "interrupted",
    }


def killed_at(fleet: Fleet, activations: int) -> None:
    """Let the controller end at the beginning of an activation, after so many others."""

    def die(name: str) -> None:
        if name == "activate.yml" and len(fleet.activated) == activations:
            raise SystemExit(9)

    fleet.before = die


def test_activation_that_is_continued_builds_nothing(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_activation(fleet, settings, Phase.ACTIVATE)
    survey = found("staged")
    survey = replace(survey, plans=(*survey.plans[:5], planned("bare", "node6")))
    outcome = resumed(monkeypatch, settings, survey)
    assert "site.yml" not in {name for name, _hosts in fleet.ran}
    assert [(one.host, one.code) for one in outcome.aside] == [("node6", "host.not_staged")]


def test_budget_of_a_rollout_that_is_continued_is_that_of_its_beginning(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"right{number}" for number in range(14)]
    survey = replace(found("staged", aside=(OFF,)), plans=(*found("staged").plans, *found("converged", many).plans))
    chosen = settings.model_copy(update={"max_failures": wave_rules.Size(10, percent=True)})
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(survey, chosen)
    fleet.before, fleet.breaks = lambda _: None, {"activate.yml": {"node3"}}
    now = replace(found("staged"), plans=(planned("converged", "node1"), *found("staged", HOSTS[1:]).plans))
    outcome = resumed(monkeypatch, chosen, now)
    assert (outcome.status, outcome.why) == ("finished", "")
    assert [one.host for one in outcome.aside] == ["off1"]
    assert "was set aside when the rollout" in outcome.aside[0].reason


@pytest.mark.parametrize("given", [[], ["stack_root"]])
def test_rollout_is_continued_in_the_stack_root_in_which_it_began(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    """`site --stack-root` was killed, and `--resume` without it asked for, and returned, what another root has."""
    killed_at(fleet, 1)
    with pytest.raises(SystemExit):
        carried_out(found("staged"), settings.model_copy(update={"stack_root": "/srv/stack"}))
    fleet.before, asked = lambda _: None, list[str]()

    def survey(chosen: Settings, *_: object, **__: object) -> Survey:
        asked.append(chosen.stack_root)
        return found("staged")

    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", survey)
    command.resume((), settings, Output(as_json=True), lambda _: None, given=given)
    root = settings.stack_root if given else "/srv/stack"
    assert asked == [root]
    assert fleet.variables["release.yml"]["provision_stack_root"] == root


def test_hosts_return_although_one_that_was_activated_is_off_now(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.model_copy(update={"on_failure": "rollback", "max_failures": wave_rules.Size(1)})
    killed_at(fleet, 2)
    with pytest.raises(SystemExit):
        carried_out(found("staged"), chosen)
    fleet.before, fleet.breaks = lambda _: None, {"activate.yml": {"node4"}}
    done = [planned("converged", host) for host in ("node1", "node3")]
    off = Aside("node2", "node2: the host cannot be reached by SSH", "host.unreachable", refused=False)
    now = replace(found("staged", aside=(off,)), plans=(*done, *found("staged", HOSTS[3:]).plans))
    outcome = resumed(monkeypatch, chosen, now)
    assert {"node1", "node3"} <= set(outcome.returned)
    assert [one.host for one in outcome.aside] == ["node2"]


def test_hosts_in_use_stop_the_command_before_anything_if_so_wanted(fleet: Fleet, settings: Settings) -> None:
    fleet.uses = {"node3": {"runs": [RUN]}, "node5": {"problems": ["nvidia-smi failed"]}}
    with pytest.raises(UsageError, match=r"node3 is in use: run r1") as caught:
        carried_out(found("staged"), settings.model_copy(update={"busy": "refuse"}))
    assert "node5 is in use: it is not known what uses the host: nvidia-smi failed" in caught.value.message
    assert fleet.ran == []


def test_hosts_in_use_can_be_staged_and_their_staging_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"busy": "refuse"})
    outdated = found("outdated")
    fleet.uses = {"node3": {"runs": [RUN]}}
    assert command.in_use(outdated, Phase.STAGE_ONLY, settings, ()) == {}
    with pytest.raises(UsageError, match="node3 is in use"):
        command.in_use(outdated, Phase.FULL, settings, ())

    def die(_playbook: str) -> None:
        raise SystemExit(9)

    fleet.before = die
    with pytest.raises(SystemExit):
        carried_out(outdated, settings, Phase.STAGE_ONLY)
    fleet.before = lambda _: None
    assert resumed(monkeypatch, settings, outdated).succeeded


def test_damaged_mirror_stops_the_command_before_any_host_is_changed(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_activation(fleet, settings)

    def damaged(*_given: object) -> None:
        raise MirrorError("nn.tgz is damaged")

    monkeypatch.setattr(converge, "check_mirror", damaged)
    with pytest.raises(MirrorError, match="is damaged"):
        resumed(monkeypatch, settings, found("staged"))
    with pytest.raises(MirrorError, match="is damaged"):
        carried_out(found("staged"), settings)
    assert fleet.ran == []


def test_continued_rollout_shows_what_was_found_and_stops_if_too_many_hosts_are_off(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_activation(fleet, settings)
    now = found("staged", HOSTS[:2], tuple(replace(OFF, host=host) for host in HOSTS[2:]))
    monkeypatch.setattr("neuraltalk_provision.fleet.survey.survey", lambda *_, **__: now)
    shown = list[Survey]()
    with pytest.raises(HostError, match="4 of 6 hosts") as caught:
        command.resume((), settings, Output(as_json=True), shown.append)
    assert "or allow more of them with --max-failures" in caught.value.advice and "--limit" not in caught.value.advice
    assert [len(survey.aside) for survey in shown] == [4]
    assert fleet.ran == []


@pytest.mark.slow
def test_hosts_in_use_are_waited_for(fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.uses = {"node1": {"runs": [RUN]}}
    monkeypatch.setattr(idle, "_sleep", lambda _seconds: fleet.uses.clear())
    chosen = settings.model_copy(update={"busy": "wait", "busy_poll": 1})
    outcome = carried_out(found("staged"), chosen)
    assert outcome.site.activated == tuple(HOSTS)
    assert fleet.activated[0] == ("node1",)


def test_a_pause_ends_the_wait_for_a_host_in_use(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.uses = {"node2": {"runs": [RUN]}}

    def sleep(_seconds: float) -> None:
        Journal.request_pause(settings.journal, "me", lambda _: False)

    monkeypatch.setattr(idle, "_sleep", sleep)
    outcome = carried_out(found("staged"), settings.model_copy(update={"busy": "wait", "busy_poll": 5}))
    assert (outcome.status, outcome.untouched) == ("paused", ("node2", "node4", "node5", "node6"))
    assert outcome.site.activated == ("node1", "node3")


def test_nothing_to_continue_is_said(fleet: Fleet, settings: Settings) -> None:
    with pytest.raises(UsageError, match="contains no rollout that did not finish"):
        command.resume((), settings, Output(as_json=True), lambda _: None)
    with pytest.raises(UsageError, match="--limit has no meaning"):
        command.resume(("node1",), settings, Output(as_json=True), lambda _: None)


def test_a_second_controller_is_refused_with_who_holds_the_site(fleet: Fleet, settings: Settings) -> None:
    with (
        Journal.open(settings.journal, "other", lambda _: False, what="provision site"),
        pytest.raises(UsageError, match="another controller is working on this site: other"),
    ):
        carried_out(found("staged"), settings)
    assert fleet.ran == []


def test_controller_that_asked_the_hosts_before_another_one_changed_them_begins_nothing(
    fleet: Fleet, settings: Settings
) -> None:
    """The other one had the lock only while this one asked the hosts, so the lock alone refuses neither."""
    carried_out(found("staged", HOSTS[:2]), settings)
    before = command.newest(settings)
    carried_out(found("staged"), settings)
    fleet.ran = []
    with pytest.raises(UsageError, match="another controller has worked on this site while the hosts were asked"):
        carried_out(found("staged"), settings, before=before)
    assert fleet.ran == []
    assert carried_out(found("staged"), settings, before=command.newest(settings)).succeeded


def test_a_fleet_with_nothing_to_do_writes_no_journal(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(found("converged"), settings)
    assert fleet.ran == [] and outcome.succeeded and not settings.journal.exists()
    left = found("converged")
    carried_out(replace(left, plans=(replace(left.plans[0], over="a dead one"), *left.plans[1:])), settings)
    assert fleet.ran == [("release.yml", ("node1",))]


def test_a_host_that_is_off_is_told_although_the_others_need_nothing(fleet: Fleet, settings: Settings) -> None:
    outcome = carried_out(found("converged", aside=(OFF,)), settings)
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    assert caught.value.message == f"set aside: {OFF.reason}"
    assert caught.value.advice.startswith("Nothing was changed on any host. Repair the hosts that were set aside")
    assert "--limit '!HOST'" in caught.value.advice


def test_the_outcome_is_one_document(fleet: Fleet, settings: Settings) -> None:
    document = json.loads(json.dumps(carried_out(found("staged"), settings).as_json()))
    assert document["rollout"]["status"] == "finished"
    assert [wave["hosts"] for wave in document["waves"]] == [["node1"], ["node2", "node3"], ["node4", "node5", "node6"]]


def many_aside(count: int) -> tuple[Aside, ...]:
    """As many hosts that are off, as ssh says it of each."""
    ssh = "Failed to connect to the host via ssh: ssh: connect to host 10.0.{}.{} port 22: No route to host"
    names = [f"off{number:03}" for number in range(count)]
    return tuple(
        Aside(
            name, f"{name}: switched off\n  {ssh.format(number // 250, number % 250)}", "ssh.unreachable", refused=False
        )
        for number, name in enumerate(names)
    )


def test_many_hosts_with_one_reason_are_one_line_and_a_list(fleet: Fleet, settings: Settings) -> None:
    with pytest.raises(HostError) as caught:
        carried_out(found(aside=many_aside(500)), settings)
    assert caught.value.message.splitlines() == [
        "off[000-499] (500 hosts): switched off",
        "  Failed to connect to the host via ssh: ssh: connect to host ADDRESS: No route to host",
        "500 of 506 hosts failed or were set aside, and max_failures: 50% allows 253: nothing was begun",
    ]
    (file,) = caught.value.document["lists"].values()
    assert file in caught.value.advice and len(Path(file).read_text().split()) == 500
    assert len(caught.value.document["set_aside"]) == 500
    assert fleet.ran == [] and not settings.journal.exists()
    # As the journal makes it: sites are kept in git, and other users need not read the names of hosts.
    assert (settings.journal.parent / ".gitignore").read_text() == "*\n"
    assert settings.journal.parent.stat().st_mode & 0o777 == 0o700


def test_command_that_begins_nothing_keeps_the_lists_to_which_it_may_be_limited(settings: Settings) -> None:
    """`site --limit @untouched.txt` that is refused must not remove that file, or change it."""
    earlier = [settings.journal.parent / "hosts" / f"{name}.txt" for name in ("done", "untouched", "set-aside")]
    earlier[0].parent.mkdir(parents=True)
    for file in earlier:
        file.write_text("node1\n")
    with pytest.raises(HostError, match=r"off\[000-029\] \(30 hosts\): switched off") as caught:
        command.refuse(found(aside=many_aside(30)), settings, Output(as_json=True))
    file = earlier[0].with_name("would-be-set-aside.txt")
    assert caught.value.document["lists"] == {"would-be-set-aside": str(file)}
    assert [one.read_text() for one in earlier] == ["node1\n"] * 3


def test_rollout_with_many_hosts_aside_and_failed_is_told_in_few_lines(fleet: Fleet, settings: Settings) -> None:
    hosts = [f"node{number:03}" for number in range(200)]
    fleet.breaks = {"activate.yml": set(hosts[50:80])}
    outcome = carried_out(found("staged", hosts, many_aside(50)), settings)
    with pytest.raises(HostError) as caught:
        raise_failures(outcome)
    lines = caught.value.message.splitlines()
    assert lines[0].startswith("node[050-079] (30 hosts), Task: the disk is full")
    assert [line for line in lines if "set aside" in line] == ["set aside: off[000-049] (50 hosts): switched off"]
    assert "node[000-049,080-199] have the new generation." in caught.value.advice
    assert len(outcome.lists) == 3


def test_activation_is_told_which_generation_was_seen(fleet: Fleet, settings: Settings) -> None:
    """Between the question and a later wave another controller can have activated something else."""
    carried_out(found("staged"), settings)
    assert fleet.variables["activate.yml"]["provision_expected"] == {
        host: [planned("staged").current] for host in ("node4", "node5", "node6")
    }


@pytest.mark.parametrize("busy", [30, 40])
def test_fleet_in_use_is_asked_once_for_a_host_that_comes_in_place_of_the_first_wave(
    fleet: Fleet, settings: Settings, busy: int
) -> None:
    """In a full cluster, 500 of 1,000 hosts were drained, asked and resumed one after the other."""
    asked: list[str] = []
    fleet.before = asked.append
    hosts = [f"node{number:02}" for number in range(40)]
    fleet.uses = {host: {"runs": [RUN]} for host in hosts[:busy]}
    chosen = settings.model_copy(
        update={"waves": Settings(waves=[1, "100%"]).waves, "max_failures": Settings(max_failures="90%").max_failures}
    )
    outcome = carried_out(found("staged", hosts), chosen)
    assert asked.count("use.yml") <= 4
    assert outcome.site.activated == tuple(hosts[busy:])
    if busy == 40:
        assert "all hosts of the first wave (1) were set aside: node00. All others are in use" in outcome.why
    else:
        assert fleet.activated[0] == ("node30",)
        assert [one.host for one in outcome.aside] == hosts[:busy]
