"""Rollouts on real hosts: waves, a host that is off, a killed controller, a pause, and the way back.

Nothing is built: each host gets a copy of its generation under another id as the current one, so that the stand-in
stack only has to be activated.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.site.command import Done, end
from tests.site.host import ROOT, until
from tests.site.sites import Site

FORMER = "former0000000000"
MAKE_FORMER = (
    f"cd {ROOT} && test -e generations/{FORMER} || cp -al $(readlink current) generations/{FORMER}; "
    f"ln -sfn generations/{FORMER} current"
)


@dataclass(frozen=True)
class Fleet:
    """Three hosts with the stack, the id of the generation that the mirror describes, and an inventory with groups."""

    site: Site
    wanted: str

    def stand_back(self) -> None:
        """Make the former generation current on every host, as before a rollout."""
        for host in self.site.hosts:
            host.run(MAKE_FORMER)

    @property
    def currents(self) -> list[str]:
        """The current generation of each host."""
        return [host.current for host in self.site.hosts]

    def site_command(self, *arguments: str) -> Done:
        """Run `provision site`."""
        return self.site.directory.provision("site", *arguments)

    def status(self) -> dict[str, Any]:
        """What the journal says of the last rollout."""
        return self.site.directory.provision("rollout", "status", "--json").ended_with(0).document


@pytest.fixture(scope="module")
def fleet(converged: Site) -> Iterator[Fleet]:
    """The fleet. At the end every host has its own generation again."""
    wanted = converged.hosts[0].current
    found = Fleet(converged, wanted)
    settings = converged.directory.path / "provision.yml"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(yaml.safe_dump({**yaml.safe_load(before), "waves": [1, 2, "100%"]}), encoding="utf-8")
    yield found
    settings.write_text(before, encoding="utf-8")
    for host in converged.hosts:
        host.run(f"cd {ROOT}; ln -sfn generations/{wanted} current; rm -rf generations/{FORMER}")


@pytest.fixture(autouse=True)
def stood_back(fleet: Fleet) -> None:
    """Before each test, every host has the former generation."""
    fleet.stand_back()


def test_waves_follow_each_other_and_a_host_that_is_off_is_set_aside(fleet: Fleet) -> None:
    off = {"off-1": {"ansible_host": fleet.site.unused_address, "ansible_ssh_common_args": "-o ConnectTimeout=3"}}
    inventory = fleet.site.inventory("with-off", off)
    done = fleet.site_command("--inventory", str(inventory), "--json").ended_with(1)
    assert fleet.currents == [fleet.wanted] * 3
    assert [wave["hosts"] for wave in done.document["waves"]] == [[name] for name in fleet.site.names]
    assert [(one["host"], one["code"]) for one in done.document["set_aside"]] == [("off-1", "host.unreachable")]
    assert done.document["activated"] == fleet.site.names
    lists = done.document["lists"]
    assert Path(lists["set-aside"]).read_text(encoding="utf-8") == "off-1\n"
    again = fleet.site_command("--inventory", str(inventory), "--limit", f"@{lists['done']}").ended_with(0)
    again.says("3 hosts, nothing to change")


def test_first_host_that_fails_stops_the_rollout_and_keeps_its_generation(fleet: Fleet) -> None:
    first = fleet.site.hosts[0]
    library = first.run(f"find {ROOT}/generations/{fleet.wanted} -name 'libnn*' -o -name 'libpaths*' | head -1").strip()
    first.run(f"mv {library} {library}.away")
    try:
        done = fleet.site_command().ended_with(1)
    finally:
        first.run(f"mv {library}.away {library}")
    done.says("every host of the first wave (1) must succeed", "Not begun:", *fleet.site.names[1:])
    assert fleet.currents == [FORMER] * 3
    fleet.site_command("--resume").ended_with(0)
    assert fleet.currents == [fleet.wanted] * 3


def test_spent_budget_takes_every_touched_host_back(fleet: Fleet) -> None:
    last = fleet.site.hosts[2]
    seal = f"{ROOT}/generations/{fleet.wanted}/environment"
    last.run(f"cp -a {seal} {seal}.kept; echo '# changed' >>{seal}")
    try:
        done = fleet.site_command("--on-failure", "rollback", "--max-failures", "0", "--json").ended_with(1)
    finally:
        last.run(f"mv {seal}.kept {seal}")
    assert done.document["rollout"]["status"] == "rolled_back"
    assert done.document["returned"] == fleet.site.names[:2]
    assert fleet.currents == [FORMER] * 3


def test_activation_alone_builds_nothing_and_stops_at_what_is_not_staged(fleet: Fleet) -> None:
    fleet.site_command("--stage-only").ended_with(0)
    assert fleet.currents == [FORMER] * 3
    done = fleet.site_command("--activate", "--json").ended_with(0)
    assert (done.document["changes"], done.document["activated"]) == ([], fleet.site.names)


def test_a_pause_is_kept_until_it_is_continued(fleet: Fleet) -> None:
    settings = fleet.site.directory.path / "provision.yml"
    given = yaml.safe_load(settings.read_text(encoding="utf-8"))
    slow = {**given, "waves": [{"size": 1, "pause": "10m"}, "100%"]}
    settings.write_text(yaml.safe_dump(slow), encoding="utf-8")
    try:
        running = fleet.site.directory.start("site")
        until("the first wave", lambda: fleet.currents[0] == fleet.wanted, 120)
        until("its record", lambda: fleet.status()["hosts"][0]["state"] == "activated", 60)
        fleet.site.directory.provision("rollout", "pause").ended_with(0).says("it pauses before its next wave")
        end("provision site", running).ended_with(0).says("paused before wave 2 of 2")
    finally:
        settings.write_text(yaml.safe_dump(given), encoding="utf-8")
    assert fleet.currents == [fleet.wanted, FORMER, FORMER]
    assert fleet.status()["rollout"]["status"] == "paused"
    fleet.site_command("--resume").ended_with(0)
    assert fleet.currents == [fleet.wanted] * 3


def test_hosts_go_back_though_one_is_off_and_stay_back_when_the_rollback_is_continued(fleet: Fleet) -> None:
    fleet.site_command().ended_with(0)
    off = {"off-1": {"ansible_host": fleet.site.unused_address, "ansible_ssh_common_args": "-o ConnectTimeout=3"}}
    inventory, run = fleet.site.inventory("rollback-off", off), fleet.site.directory.provision
    run("rollback", "--inventory", str(inventory)).ended_with(1).says("set aside: off-1", "site-3 went back")
    assert fleet.currents == [FORMER] * 3
    run("rollback").ended_with(0).says(f"site-1: has generation {FORMER} again already")
    assert fleet.currents == [FORMER] * 3


@pytest.mark.parametrize("seed", range(10 if os.environ.get("KILL_ALL") else 2))
def test_a_controller_killed_at_a_random_moment_is_continued(fleet: Fleet, seed: int) -> None:
    chosen = random.Random(seed)
    running = fleet.site.directory.start("site")
    time.sleep(chosen.uniform(2, 14))
    running.send_signal(signal.SIGKILL)
    running.communicate()
    for host in fleet.site.hosts:
        assert host.current in (FORMER, fleet.wanted)
        host.run(f"{ROOT}/current/bin/with-stack luajit -e \"require 'nn'\"")
    begun = (fleet.site.directory.path / ".provision" / "journal.sqlite").exists()
    unfinished = begun and fleet.status()["rollout"]["status"] == "running"
    fleet.site_command(*(["--resume"] if unfinished else [])).ended_with(0)
    assert fleet.currents == [fleet.wanted] * 3


def test_a_second_controller_is_told_who_works(fleet: Fleet) -> None:
    running = fleet.site.directory.start("site")
    until("the first wave", lambda: fleet.currents[0] == fleet.wanted, 120)
    fleet.site_command().ended_with(2).says("another controller is working on")
    end("provision site", running).ended_with(0)
