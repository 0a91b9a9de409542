"""Two machines with one stack root on a disk that they share, one of them under two names: the work is done once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import hosts
from tests.lab.spec import Lab
from tests.site.command import Directory, Done
from tests.site.conftest import SPACE
from tests.site.host import Host
from tests.site.sites import Site, built, planned

ROOT = "/shared/neuraltalk"
LAB = Lab("shared", "ready", hosts=2, shared="/shared")
FIRST, SECOND, AGAIN = "shared-1", "shared-2", "shared-1-again"
LACKS = "libpng-dev"
"""The OS package that both machines lack."""


@pytest.fixture(scope="module")
def site(work: Path, mirror: Path) -> Iterator[Site]:
    with hosts.with_lab(LAB) as lab:
        site = Site(lab, tuple(map(Host, lab.containers)), Directory(work / lab.name), mirror)
        inventory = site.inventory("hosts", {AGAIN: {}}, generation_space=SPACE)
        site.directory.configure(mirror=str(mirror), inventory=str(inventory), stack_root=ROOT)
        yield site


@dataclass(frozen=True)
class Story:
    """What the commands printed, in their order."""

    planned: Done
    predicted: Done
    first: Done
    second: Done
    verified: Done


@pytest.fixture(scope="module")
def story(site: Site) -> Story:
    run = site.directory.provision
    return Story(
        run("site", "--plan"),
        run("site", "--check", "--json"),
        run("site", "--json"),
        run("site"),
        run("verify"),
    )


def test_plan_says_who_builds_for_whom(story: Story) -> None:
    platform = "(debian-12-x86_64):"
    story.planned.ended_with(0).says(
        f"{FIRST} {platform} build packages, account, torch",
        f"{SECOND} {platform} build packages, account; shares {ROOT} (",
        f"with {FIRST}, under whose name everything there is built and activated",
        f"{AGAIN} {platform} is the same machine as {FIRST}",
    )


def test_what_is_predicted_is_what_happens_and_each_component_is_built_once(story: Story) -> None:
    document = story.first.ended_with(0).document
    done = built(document)
    assert planned(document) == done
    # The account's directories are on the shared disk: the first machine has created them for both.
    assert built(story.predicted.ended_with(0).document) == done
    assert (FIRST, "torch") in done
    assert {component for host, component in done if host == SECOND} == {"packages", "account"}
    assert AGAIN not in {host for host, _component in done}
    assert sorted(document["activated"]) == [FIRST, AGAIN, SECOND]


def test_each_machine_has_its_packages_and_one_account(site: Site, story: Story) -> None:
    story.first.ended_with(0)
    first, second = site.hosts
    for host in site.hosts:
        assert "ii" in host.run(f"dpkg-query -W -f '${{db:Status-Abbrev}}' {LACKS}")
    assert first.run("id -u neuraltalk; id -g neuraltalk") == second.run("id -u neuraltalk; id -g neuraltalk")
    assert not second.has("/var/cache/neuraltalk-provision")
    assert not second.has(f"{ROOT}/lease.json")


def test_nothing_is_left_to_do_and_every_name_is_verified(story: Story) -> None:
    story.second.ended_with(0).says("3 hosts, nothing to change")
    story.verified.ended_with(0).says("3 of 3 hosts passed")


def test_machine_that_cannot_use_the_stack_is_named_though_another_one_built_it(site: Site, story: Story) -> None:
    """The link is taken away, and from the second machine a library that a rock loads; its package is installed."""
    story.verified.ended_with(0)
    _first, second = site.hosts
    second.run(f"rm {ROOT}/current; find / -xdev -name 'libpng16.so*' -exec mv {{}} /root \\; ; ldconfig")
    failed = site.directory.provision("site")
    failed.ended_with(1).says(f"{SECOND}", "libpng", "provision rollback")
    assert f"{FIRST}:" not in failed.err.split("provision rollback")[0]
