"""`distribution: relay`: hosts pass the packed generation on to each other before they unpack it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuraltalk_provision.rules import pieces
from tests.lab import hosts
from tests.lab.spec import Lab
from tests.site import mirrors, sites
from tests.site.command import Directory, Done
from tests.site.conftest import SPACE
from tests.site.host import ROOT, Host

BUILDER = Lab("relay-builder", "ready")
TARGETS = Lab("relay-target", "debian12", hosts=3)
"""Hosts without compilers, in a network of their own."""


@dataclass(frozen=True)
class Fleet:
    """The hosts that unpack, and the result of `provision site` on all of them and the builder."""

    targets: tuple[Host, ...]
    directory: Directory
    done: Done


@pytest.fixture(scope="module")
def fleet(work: Path) -> Iterator[Fleet]:
    mirror = mirrors.make(work / "relay-mirror", TARGETS.image)
    with hosts.with_lab(BUILDER), hosts.with_lab(TARGETS):
        directory = Directory(work / "relay")
        written = sites.inventories((BUILDER, TARGETS), directory, mirror, generation_space=SPACE)
        directory.configure(mirror=str(mirror), inventory=written, cache=True, distribution="relay")
        done = directory.provision("site")
        yield Fleet(tuple(Host(name) for name in TARGETS.containers), directory, done)


def test_hosts_get_the_packed_generation_from_each_other(fleet: Fleet) -> None:
    fleet.done.ended_with(0).says("3 hosts got it from each other")
    generations = {host.current for host in fleet.targets}
    assert len(generations) == 1
    fleet.directory.provision("verify").ended_with(0)


def test_nothing_of_the_transfer_stays_on_the_hosts(fleet: Fleet) -> None:
    for host in fleet.targets:
        assert host.run(f"find {ROOT} -name '.*.part' -o -name '*generation-*.tar'") == ""
        assert host.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[p]iece' || true").strip() == "0"
        # 0A is the state of a socket that listens.
        listening = f":{pieces.PORT:04X} .* 0A "
        assert host.run(f"cat /proc/net/tcp /proc/net/tcp6 | grep -c '{listening}' || true").strip() == "0"


def test_a_second_run_sends_and_changes_nothing(fleet: Fleet) -> None:
    again = fleet.directory.provision("site", "--json").ended_with(0)
    assert again.document["changed"] is False
