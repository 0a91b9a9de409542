"""The end of a rollout: each host is in exactly one list, and the next command that is advised does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraltalk_provision.errors import HostError
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.fleet.records import Status
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import codes
from tests.unit.test_fleet_command import OFF, Fleet, carried_out, fleet, found, resumed, settings
from tests.unit.test_fleet_evidence import changed, sharing

__all__ = ["fleet", "settings"]
FIVE = [f"node{number}" for number in range(1, 6)]


def listed(outcome: FleetOutcome) -> dict[str, list[str]]:
    """{name of the list: its hosts}."""
    return {name: Path(file).read_text().split() for name, file in outcome.lists.items()}


def advice_of(outcome: FleetOutcome, **more: bool) -> str:
    with pytest.raises(HostError) as caught:
        raise_failures(outcome, **more)
    return caught.value.advice


def on_the_way_back(settings: Settings) -> Settings:
    """One host, then two, then all; the second wave is one failure too many."""
    return changed(settings, waves=[1, 3, "100%"], on_failure="rollback", max_failures=0)


def test_hosts_that_returned_have_a_list(fleet: Fleet, settings: Settings) -> None:
    fleet.breaks = {"activate.yml": {"node2"}}
    outcome = carried_out(found("staged", FIVE), on_the_way_back(settings))
    assert listed(outcome) == {
        "returned": ["node1", "node3"],
        "failed": ["node2"],
        "untouched": ["node4", "node5"],
    }


def test_hosts_that_were_not_touched_are_not_done_when_a_way_back_is_continued(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str) -> None:
        if name == "give_back.yml":
            raise SystemExit(9)

    fleet.breaks, fleet.before = {"activate.yml": {"node2"}}, die
    with pytest.raises(SystemExit):
        carried_out(found("staged", FIVE), on_the_way_back(settings))
    fleet.breaks, fleet.before = {}, lambda _name: None
    outcome = resumed(monkeypatch, on_the_way_back(settings), found("staged", FIVE))
    assert (outcome.status, outcome.untouched) == (Status.ROLLED_BACK, ("node4", "node5"))
    assert listed(outcome) == {
        "returned": ["node1", "node3"],
        "failed": ["node2"],
        "untouched": ["node4", "node5"],
    }
    advice = advice_of(outcome, resumed=True)
    assert "Run `provision site`" in advice
    assert "the same command" not in advice


def test_command_that_gives_up_hosts_is_not_advised_while_they_have_not_returned(
    fleet: Fleet, settings: Settings
) -> None:
    fleet.breaks, fleet.code = {"activate.yml": {"node2"}, "give_back.yml": {"node1"}}, codes.DISK_BROKEN
    advice = advice_of(carried_out(found("staged", FIVE), on_the_way_back(settings)))
    assert "node1 did not return" in advice
    assert "`provision site --resume` returns them too" in advice
    assert "the same command" not in advice


def test_rollout_that_was_continued_to_its_end_is_not_continued_again(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "100%"], max_failures=0)
    fleet.breaks = {"activate.yml": {"node2"}}
    stopped = carried_out(found("staged", FIVE), chosen)
    assert "Run the same command again" in advice_of(stopped)
    monkeypatch.setattr("neuraltalk_provision.fleet.entries.settings_of", lambda *_: changed(chosen, max_failures=2))
    outcome = resumed(monkeypatch, chosen, found("staged", FIVE))
    assert outcome.status == Status.FINISHED
    advice = advice_of(outcome, resumed=True)
    assert "Run `provision site`, with the --limit that the rollout had; it continues" in advice
    assert "the same command" not in advice


def test_rollout_that_is_continued_has_no_limit_that_could_leave_hosts_out(
    fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = changed(settings, waves=[1, "50%", "100%"], max_failures=1)
    fleet.breaks = {"activate.yml": {"node2"}}
    survey = found("staged", FIVE, (OFF,))
    assert "run the same command again, or leave them out" in advice_of(carried_out(survey, chosen))
    outcome = resumed(monkeypatch, chosen, survey)
    assert outcome.status == Status.STOPPED
    advice = advice_of(outcome, resumed=True)
    assert "Repair the hosts that were set aside and run the same command again." in advice


def test_host_that_was_lost_while_it_built_has_its_generation_still(fleet: Fleet, settings: Settings) -> None:
    """Building changes no current generation, whatever becomes of the host."""
    fleet.breaks, fleet.code = {"site.yml": {"node1"}}, codes.HOST_HANGS
    chosen = changed(settings, waves=["100%"], max_failures="100%")
    advice = advice_of(carried_out(sharing("bare", "staged", "staged"), chosen))
    assert "The generation that was current on node1, node2 is still current and complete." in advice
    assert "is not known" not in advice
