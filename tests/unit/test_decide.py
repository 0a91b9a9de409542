"""The next action of a rollout, alone and as the simulation of a fleet of 1,000 hosts."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from neuraltalk_provision import wave_rules
from neuraltalk_provision.fleet import decide, waves
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.fleet.decide import Activate, Finished, GiveBack, Look, Paused, Stage, Standing, Stop, Wait
from neuraltalk_provision.fleet.records import Phase

HOSTS = [f"node{number}" for number in range(1, 11)]


def standing(rules: Any = (1, "50%", "100%"), hosts: list[str] = HOSTS, limit: Any = "50%", **more: Any) -> Standing:
    divided = waves.divide(wave_rules.read(rules), hosts, {})
    budget = Budget(wave_rules.read_size(limit, "max_failures"), len(hosts) + len(more.get("aside", {})))
    return replace(
        Standing(divided, budget, staging=frozenset(hosts), activating=frozenset(hosts)),
        **{name: frozenset(value) if isinstance(value, list) else value for name, value in more.items()},
    )


def test_everything_is_staged_first_on_all_hosts_at_once() -> None:
    assert decide.next_action(standing()) == Stage(tuple(HOSTS))


def test_only_hosts_that_need_it_are_staged_and_activated() -> None:
    found = standing(staging=["node2"], activating=["node2", "node3"])
    assert decide.next_action(found) == Stage(("node2",))
    found = replace(found, staged=frozenset({"node2"}))
    assert decide.next_action(found) == Activate(found.waves[1], ("node2", "node3"))


def test_waves_follow_each_other() -> None:
    found = standing(staged=HOSTS)
    assert decide.next_action(found) == Activate(found.waves[0], ("node1",))
    found = replace(found, activated=frozenset(HOSTS[:1]))
    assert decide.next_action(found) == Activate(found.waves[1], tuple(HOSTS[1:5]))
    found = replace(found, activated=frozenset(HOSTS))
    assert decide.next_action(found) == Finished()


def test_staging_alone_ends_before_the_first_wave() -> None:
    assert decide.next_action(standing(staged=HOSTS, phase=Phase.STAGE_ONLY)) == Finished()


def test_hosts_that_failed_to_stage_are_not_activated() -> None:
    found = standing(staged=HOSTS[:8] + HOSTS[9:], failed={"node9": "disk full"}, activated=HOSTS[:5])
    assert decide.next_action(found) == Activate(found.waves[2], ("node6", "node7", "node8", "node10"))


def test_a_host_of_the_first_wave_that_fails_stops_the_rollout() -> None:
    found = decide.next_action(standing(staged=HOSTS, failed={"node1": "verify"}, limit="100%"))
    assert found == Stop("node1 failed, and every host of the first wave (1) must succeed")


def test_hosts_that_were_set_aside_are_replaced_as_the_first_wave() -> None:
    """Without a host that was tried first, all others would be activated at once."""
    found = standing(["1", "100%"], staged=HOSTS, aside={"node1": "in use"})
    assert decide.next_action(found) == Activate(found.waves[1], ("node2",))
    found = replace(found, aside={"node1": "in use", "node2": "in use"})
    assert decide.next_action(found) == Activate(found.waves[1], ("node3",))
    found = replace(found, activated=frozenset({"node3"}))
    assert decide.next_action(found) == Activate(found.waves[1], tuple(HOSTS[3:]))


def test_hosts_that_are_in_use_are_passed_over_when_the_first_wave_is_replaced() -> None:
    found = standing(["1", "100%"], staged=HOSTS, aside={"node1": "in use"}, looks=True)
    assert decide.next_action(found) == Look(tuple(HOSTS[1:]))
    found = replace(found, used=frozenset({"node2", "node3"}))
    assert decide.next_action(found) == Activate(found.waves[1], ("node4",))
    found = replace(found, activated=frozenset({"node4"}))
    rest = [host for host in HOSTS[1:] if host != "node4"]
    assert decide.next_action(found) == Activate(found.waves[1], tuple(rest))
    found = replace(found, activated=frozenset(), used=frozenset(HOSTS[1:]))
    assert decide.next_action(found) == Stop(
        "all hosts of the first wave (1) were set aside: node1. All others are in use. So nothing shows that the "
        "others would succeed"
    )


def test_host_in_place_of_the_first_wave_must_succeed_too() -> None:
    found = standing(["1", "100%"], staged=HOSTS, aside={"node1": "in use"}, failed={"node2": "verify"}, limit="100%")
    action = decide.next_action(found)
    assert isinstance(action, Stop)
    assert "node2 failed, and came in place of the first wave (1)" in action.why


def test_group_as_the_first_wave_is_not_replaced() -> None:
    divided = waves.divide(wave_rules.read(["canary", "100%"]), HOSTS, {"node1": ("canary",)})
    found = replace(standing(staged=HOSTS, aside={"node1": "in use"}), waves=divided)
    action = decide.next_action(found)
    assert isinstance(action, Stop)
    assert "all hosts of the first wave (group canary) were set aside: node1" in action.why
    assert decide.next_action(replace(found, activating=frozenset({"node1"}))) == Finished()


def test_activated_host_that_cannot_be_reached_any_more_does_not_keep_others_from_returning() -> None:
    found = standing(
        limit="0%",
        staged=HOSTS,
        activated=HOSTS[:3],
        aside={"node2": "off"},
        failed={"node6": "x"},
        on_failure="rollback",
    )
    action = decide.next_action(found)
    assert isinstance(action, GiveBack)
    assert action.hosts == ("node1", "node3")


def test_a_fleet_with_one_wave_has_no_hosts_that_count_strictly() -> None:
    found = standing(["100%"], staged=HOSTS, failed={"node1": "verify"})
    assert decide.next_action(found) == Activate(found.waves[0], tuple(HOSTS[1:]))


def test_the_budget_counts_failed_hosts_and_hosts_that_were_set_aside() -> None:
    found = standing(limit=2, staged=HOSTS, activated=HOSTS[:1], failed={"node3": "x"}, aside={"off1": "x"})
    assert isinstance(decide.next_action(found), Activate)
    spent = replace(found, aside={"off1": "x", "off2": "x"}, budget=replace(found.budget, total=12))
    assert decide.next_action(spent) == Stop("3 of 12 hosts failed or were set aside, and max_failures: 2 allows 2")


def test_a_host_counts_once() -> None:
    found = standing(limit=1, staged=HOSTS, activated=HOSTS[:1], failed={"node3": "x"}, aside={"node3": "x"})
    assert isinstance(decide.next_action(found), Activate)


def test_with_rollback_every_activated_host_returns_and_then_the_rollout_stops() -> None:
    found = standing(limit="0%", staged=HOSTS, activated=HOSTS[:5], failed={"node6": "x"}, on_failure="rollback")
    action = decide.next_action(found)
    assert isinstance(action, GiveBack) and action.hosts == tuple(HOSTS[:5]) and "max_failures" in action.why
    assert isinstance(decide.next_action(replace(found, returned=frozenset(HOSTS[:5]))), Stop)


def test_a_host_that_could_not_be_returned_is_not_tried_for_ever() -> None:
    found = standing(
        limit="0%", staged=HOSTS, activated=HOSTS[:2], on_failure="rollback", failed={"node2": "x", "node6": "x"}
    )
    assert decide.next_action(found).hosts == ("node1",)  # type: ignore[union-attr]
    assert isinstance(decide.next_action(replace(found, returned=frozenset({"node1"}))), Stop)


def test_a_pause_after_a_wave_is_waited_for_once() -> None:
    rules = [{"size": 1, "pause": "10m"}, "100%"]
    found = standing(rules, staged=HOSTS, activated=HOSTS[:1])
    assert decide.next_action(found) == Wait(found.waves[0], 600)
    assert isinstance(decide.next_action(replace(found, waited=frozenset({1}))), Activate)


def test_no_pause_after_a_wave_in_which_nothing_was_activated() -> None:
    found = standing([{"size": 1, "pause": "10m"}, "100%"], staging=[], activating=HOSTS[1:])
    assert isinstance(decide.next_action(found), Activate)


def test_a_requested_pause_ends_the_command_before_the_next_wave() -> None:
    found = standing(staged=HOSTS, activated=HOSTS[:1], pause_requested=True)
    assert decide.next_action(found) == Paused(found.waves[1])
    assert decide.next_action(replace(found, activated=frozenset(HOSTS))) == Finished()


@dataclass
class Simulation:
    """A fleet without hosts: each action succeeds except on the hosts that `fails` names."""

    now: Standing
    fails: Collection[str] = ()
    actions: list[Any] = field(default_factory=list)

    def run(self, interrupt: Callable[[int], bool] = lambda _number: False) -> Standing:
        """Carry out actions until the end, or until `interrupt` says so."""
        while True:
            action = decide.next_action(self.now)
            self.actions.append(action)
            if isinstance(action, Stop | Finished | Paused) or interrupt(len(self.actions)):
                return self.now
            self.now = self.after(action)

    def after(self, action: Any) -> Standing:
        match action:
            case Stage(hosts):
                return replace(self.now, staged=self.now.staged | set(hosts))
            case Activate(_, hosts):
                bad = {host: "verification" for host in hosts if host in self.fails}
                good = frozenset(hosts) - bad.keys()
                return replace(self.now, activated=self.now.activated | good, failed={**self.now.failed, **bad})
            case Wait(wave, _):
                return replace(self.now, waited=self.now.waited | {wave.number})
            case GiveBack(hosts, _):
                return replace(self.now, returned=self.now.returned | set(hosts))
        raise AssertionError(action)


MANY = [f"node{number:04d}" for number in range(1000)]


def test_a_thousand_hosts_of_which_thirty_fail_end_as_the_budget_says() -> None:
    fails = MANY[200:230]
    within = Simulation(standing([1, "10%", "50%", "100%"], MANY, "3%"), fails)
    end = within.run()
    assert within.actions[-1] == Finished()
    assert len(end.activated) == 970 and set(end.failed) == set(fails)

    beyond = Simulation(standing([1, "10%", "50%", "100%"], MANY, 29), fails)
    end = beyond.run()
    assert beyond.actions[-1] == Stop("30 of 1000 hosts failed or were set aside, and max_failures: 29 allows 29")
    assert len(end.activated) == 470, "the last wave was not begun"

    back = Simulation(standing([1, "10%", "50%", "100%"], MANY, 29, on_failure="rollback"), fails)
    assert back.run().returned == end.activated


@pytest.mark.parametrize("seed", range(20))
def test_a_rollout_that_is_interrupted_anywhere_ends_in_the_same_way(seed: int) -> None:
    chosen = random.Random(seed)
    fails = set(chosen.sample(MANY[100:], chosen.randrange(60)))
    start = standing([1, "10%", "50%", "100%"], MANY, "4%", on_failure=chosen.choice(["stop", "rollback"]))
    whole = Simulation(start, fails).run()
    now = start
    for _ in range(20):
        stop = chosen.randrange(1, 4)
        now = Simulation(now, fails).run(lambda number, stop=stop: number >= stop)  # type: ignore[misc]
    assert now == whole
