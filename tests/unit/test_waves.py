"""Waves and the failure budget: reading the settings, dividing hosts, counting failures."""

from __future__ import annotations

from typing import Any

import pytest

from neuraltalk_provision import durations, wave_rules
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import waves
from neuraltalk_provision.fleet.budget import Budget
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.wave_rules import Size

HOSTS = [f"node{number:03d}" for number in range(1, 101)]


def divided(given: Any, hosts: list[str] = HOSTS, **more: Any) -> list[int]:
    return [len(wave.hosts) for wave in waves.divide(wave_rules.read(given), hosts, more.pop("groups", {}), **more)]


def test_sizes_count_all_hosts_that_are_activated_after_a_wave() -> None:
    assert divided([1, "10%", "50%", "100%"]) == [1, 9, 40, 50]
    assert divided(["100%"]) == [100]
    assert divided([1, 5, "100%"]) == [1, 4, 95]


def test_every_host_is_in_exactly_one_wave_and_in_order() -> None:
    found = waves.divide(wave_rules.read([1, "10%", "100%"]), HOSTS, {})
    assert [host for wave in found for host in wave.hosts] == HOSTS
    assert [wave.number for wave in found] == [1, 2, 3]


def test_a_small_fleet_has_fewer_waves() -> None:
    assert divided([1, "10%", "50%", "100%"], HOSTS[:3]) == [1, 1, 1]
    assert divided([1, "10%", "100%"], HOSTS[:1]) == [1]
    assert divided([1, "100%"], []) == []


def test_hosts_that_were_set_aside_do_not_change_the_sizes() -> None:
    assert divided([1, "10%", "100%"], HOSTS[:95], unwell=HOSTS[95:]) == [1, 9, 85]


def test_groups_come_in_the_order_of_the_list_and_an_earlier_wave_has_precedence() -> None:
    groups = {host: ["gpu", "canary"] if host == "node007" else ["gpu"] for host in HOSTS[:50]}
    found = waves.divide(wave_rules.read(["canary", {"group": "gpu", "pause": "30m"}, "100%"]), HOSTS, groups)
    assert [len(wave.hosts) for wave in found] == [1, 49, 50]
    assert found[0].hosts == ("node007",)
    assert (found[1].name, found[1].pause) == ("group gpu", 1800)
    assert divided(["gpu", 5, "100%"], groups=groups) == [50, 50]


def test_a_first_group_without_a_host_is_refused() -> None:
    with pytest.raises(UsageError, match="no host of the first wave, group canary"):
        divided(["canary", "100%"])
    groups = {"node100": ["canary"]}
    assert divided(["canary", "100%"], HOSTS[:99], groups=groups, unchanged=HOSTS[99:]) == [99]
    with pytest.raises(UsageError, match="no host of the first wave, group canary"):
        divided(["canary", "100%"], HOSTS[:98], groups=groups, unchanged=HOSTS[98:99])


def test_a_later_group_without_a_host_is_left_out() -> None:
    assert divided([1, "rack9", "100%"]) == [1, 99]


def test_hosts_of_no_wave_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="99 hosts belong to no wave: node\\[002-100\\]"):
        divided(["canary"], groups={"node001": ["canary"]})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "must be a list"),
        ("100%", "must be a list"),
        (None, "must be a list"),
        ([10, 5, "100%"], "must grow: 10 is followed by 5"),
        (["50%", "50%", "100%"], "must grow"),
        ([1, "10%"], "the last wave must be 100% or a group"),
        ([5], "the last wave must be 100% or a group, and it is 5"),
        (["100%", "100%"], "must grow"),
        (["100%", "rack1"], "100% must be the last"),
        (["canary", "canary", "100%"], "the group canary is in two waves"),
        ([{"group": "a"}, {"group": "a", "pause": 5}, "100%"], "the group a is in two waves"),
        ([0, "100%"], "at least one host"),
        (["0%", "100%"], "at least one host"),
        (["101%"], "must not be more than 100%"),
        ([-1, "100%"], "must be a number of hosts"),
        ([1.5, "100%"], "must be a number of hosts"),
        ([True, "100%"], "must be a number of hosts"),
        ([None], "must be a number of hosts"),
        ([{"size": 1, "group": "a"}, "100%"], "either `group` or `size`"),
        ([{"pause": 5}], "either `group` or `size`"),
        ([{"size": 1, "wait": 5}, "100%"], "it has wait"),
        ([{"size": 1, "pause": "soon"}, "100%"], "a duration such as"),
        ([{"size": 1, "pause": "8d"}, "100%"], "longer than 7 days"),
        ([{"group": "../a"}], "the name of a group"),
        ([{"group": 7}], "the name of a group"),
        ([1] * 101, "at most 100"),
    ],
)
def test_waves_that_contradict_themselves_are_refused(given: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wave_rules.read(given)
    with pytest.raises(ValueError, match=reason):
        Settings(waves=given)


@pytest.mark.parametrize(("given", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), (45, 45)])
def test_durations(given: Any, seconds: int) -> None:
    assert durations.read(given, "the pause", wave_rules.LONGEST_PAUSE) == seconds


@pytest.mark.parametrize(
    ("limit", "total", "allowed"), [("5%", 100, 5), ("5%", 19, 0), ("0%", 100, 0), (3, 10, 3), ("50%", 3, 1)]
)
def test_a_percentage_of_the_budget_is_rounded_down(limit: Any, total: int, allowed: int) -> None:
    budget = Budget(wave_rules.read_size(limit, "max_failures"), total)
    assert budget.allowed == allowed
    assert not budget.is_spent(HOSTS[:allowed])
    assert budget.is_spent(HOSTS[: allowed + 1])


def test_the_budget_in_words() -> None:
    said = Budget(Size(5, percent=True), 100).describe(HOSTS[:6])
    assert said == "6 of 100 hosts failed or were set aside, and max_failures: 5% allows 5"


@pytest.mark.parametrize("given", ["", "many", "-1", 1.5, True, None, "200%", [1]])
def test_a_budget_that_is_no_size_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="it must"):
        Settings(max_failures=given)
