"""`provision rollout`: what is said of a rollout is complete, in words and with --json."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import main
from neuraltalk_provision.fleet.journal import Journal
from neuraltalk_provision.fleet.records import Outcome, Phase, Step
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller
from neuraltalk_provision.wave_rules import Size
from tests.unit import rollouts
from tests.unit.test_fleet_command import OFF, Fleet, carried_out, fleet, found, killed_at, settings

__all__ = ["fleet", "settings"]


@pytest.fixture(autouse=True)
def _site(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_file, "load", lambda *_, **__: settings)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, dict[str, Any]]:
    """What `provision rollout` says, in words and as JSON."""
    capsys.readouterr()
    assert main.boundary(["rollout", *words]) == 0
    text = capsys.readouterr().out
    assert main.boundary(["rollout", *words, "--json"]) == 0
    return text, json.loads(capsys.readouterr().out)


def test_hosts_that_were_set_aside_at_the_beginning_are_shown_with_their_reason(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    carried_out(found("staged", aside=(OFF,)), settings)
    text, document = told(capsys, "status")
    assert "off1: stage set_aside: off1: the host cannot be reached by SSH" in text
    (off,) = [one for one in document["hosts"] if one["host"] == "off1"]
    assert (off["wave"], off["state"]) == (0, "stage set_aside")
    assert [(one["reason"], one["code"]) for one in off["steps"]] == [(OFF.reason, OFF.code)]


def test_nodes_whose_drain_is_lost_are_named_also_while_another_one_waits(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with rollouts.opened(settings.journal) as writing:
        writing.begin(rollouts.rollout())
        writing.draining({"node1": ["gpu1", "gpu2", "gpu3"]})
        one, two, three = writing.drains()
        writing.undrained([one, two], lost=True)
        for last in (three, None):
            text, document = told(capsys, "status")
            assert "node1: drain lost: this host was the nodes gpu1, gpu2 of Slurm" in text
            assert "lift the drain: `scontrol update nodename=gpu1,gpu2 state=resume`" in text
            (host,) = [one for one in document["hosts"] if one["host"] == "node1"]
            assert host["steps"][-1]["reason"] in text
            writing.undrained([last] if last else [])


def test_controller_and_request_to_pause_are_shown_and_whether_the_controller_has_ended(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out(found("staged"), settings)
    assert told(capsys, "status")[1].items() >= {"controller": None, "pause": None}.items()
    killed_at(fleet, 1)
    fleet.ran = []
    seen: list[dict[str, Any]] = []

    def look(name: str) -> None:
        if name == "activate.yml":
            Journal.request_pause(settings.journal, "me on ctl2", lambda _: False)
            text, document = told(capsys, "status")
            assert "a pause is requested: by me on ctl2" in text
            seen.append(document)
            monkeypatch.setattr(controller, "is_dead", lambda _: True)
            seen.append(told(capsys, "status")[1])
            raise SystemExit(9)

    fleet.before = look
    with pytest.raises(SystemExit):
        carried_out(found("staged"), settings)
    assert [one["controller"]["has_ended"] for one in seen] == [False, True]
    assert seen[0]["controller"]["what"] == "provision site"
    assert seen[0]["pause"]["by"] == "me on ctl2"


def test_list_has_the_numbers_of_hosts_in_json_too(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.breaks = {"activate.yml": {"node3"}}
    carried_out(found("staged"), settings)
    (one,) = told(capsys, "list")[1]["rollouts"]
    assert one["counts"] == {"activate": {"done": 5, "failed": 1}}


def test_rollout_that_only_stages_does_not_promise_a_pause(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    fleet.before = lambda name: seen.append(main.boundary(["rollout", "pause"])) if name == "site.yml" else None
    assert carried_out(found(), settings, Phase.STAGE_ONLY).succeeded
    assert seen == [2]
    assert "it only stages, so it has no waves and does not pause" in capsys.readouterr().err


def test_rollback_is_shown_with_its_hosts_and_promises_no_pause(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also while it still asks its hosts what they have."""
    with rollouts.opened(settings.journal, what="provision rollback") as writing:
        assert main.boundary(["rollout", "pause"]) == 0
        assert "its hosts return: no host in use is waited for any more" in capsys.readouterr().out
        back = [rollouts.record(host, Step.GIVE_BACK, Outcome.DONE) for host in ("node2", "node3")]
        hosts = ("off1", "node1", "node2", "node3")
        begun = rollouts.rollout(*back, hosts=hosts, phase=Phase.ROLLBACK)
        entries = [one.model_copy(update={"wave": min(one.wave, 1)}) for one in begun.hosts]
        writing.begin(begun.model_copy(update={"hosts": tuple(entries)}))
        writing.started(["node1"], Step.GIVE_BACK, rollouts.digests(["node1"]))
        assert "\nhosts: 1 give_back started, 2 returned\n" in told(capsys, "status")[0]


def test_request_to_pause_on_the_way_back_says_what_it_does(
    fleet: Fleet, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.breaks = {"activate.yml": {"node2"}}
    fleet.before = lambda name: main.boundary(["rollout", "pause"]) and None if name == "give_back.yml" else None
    chosen = settings.model_copy(update={"on_failure": "rollback", "max_failures": Size(0)})
    assert carried_out(found("staged"), chosen).status == "rolled_back"
    said = capsys.readouterr().out
    assert "its hosts return: no host in use is waited for any more" in said
    assert "before its next wave" not in said
