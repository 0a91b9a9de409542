"""Three hosts in Docker, reached by real SSH and without the network, and a controller that provisions them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import hosts, paths, proof
from tests.lab.spec import Lab
from tests.site import cluster, mirrors
from tests.site.command import SPENT, Directory, Done
from tests.site.host import ROOT, Host, Snapshot
from tests.site.sites import Site

IMAGE = "ready"
SMALL = "1200m"
"""The hosts' disks: too small for a real build, large enough for the stand-ins."""
SPACE = 200_000_000
"""Bytes that a build of the stand-ins needs."""
LAB = Lab("site", IMAGE, hosts=3, airgap=True, tmpfs=(f"{SMALL}:{ROOT}",))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-labs", action="store_true", help="do not remove the labs at the end")
    parser.addoption("--work", default="site", help="the name of the working directory below .cache")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.site)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the commands took, so that one sees where the time of the suite goes."""
    if SPENT:
        terminalreporter.section("seconds of commands")
    for verb, seconds in sorted(SPENT.items(), key=lambda row: -sum(row[1])):
        terminalreporter.line(f"{sum(seconds):7.1f} s in {len(seconds):3} times `provision {verb}`")


@pytest.fixture(scope="session")
def work(request: pytest.FixtureRequest) -> Path:
    """A new directory, which is kept until the next run. Runs at the same time need directories of their own."""
    folder = paths.ROOT / ".cache" / str(request.config.getoption("--work"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def mirror(work: Path) -> Path:
    """A mirror with everything for the hosts: stand-in sources, OS packages and wheels."""
    return mirrors.make(work / "mirror", IMAGE)


@pytest.fixture(scope="session")
def site(work: Path, mirror: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Three hosts behind an air gap, with small disks. At the end, nothing may have tried to cross the gap."""
    lab = LAB
    hosts.up(lab)
    try:
        site = Site(lab, tuple(Host(name) for name in lab.containers), Directory(work / lab.name), mirror)
        settings = {"mirror": str(mirror), "inventory": str(site.inventory("hosts", generation_space=SPACE))}
        site.directory.configure(**settings)
        yield site
        assert proof.record(lab.name) == [], "hosts tried to reach something outside"
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(lab.name)


@dataclass(frozen=True)
class FirstRun:
    """The results of the first commands on bare hosts, in their order."""

    bare: dict[str, Snapshot]
    no_space: Done
    no_sudo: Done
    no_root: Done
    planned: Done
    checked: Done
    still_bare: dict[str, Snapshot]
    first_run: Done
    """The first run, on the first and the last host. It fails on the last one."""
    currents: list[str]
    resumed: Done
    """The second run, on all hosts. The last one was repaired, the second one has a copy of the first one's stack."""
    after: dict[str, Snapshot]


@pytest.fixture(scope="session")
def first(site: Site) -> FirstRun:
    """Refusals, the plan, the check and two runs on bare hosts.

    On the last host the package manager reports libpng-dev as installed, but its files are missing. The second host is
    not built: it gets a copy of the first one's stack, which saves a third of the time.
    """
    run, (good, copied, broken) = site.directory.provision, site.hosts
    broken.install_empty("libpng-dev")
    plain = site.inventory("plain", ansible_user="plain", ansible_become=False)
    sudoless = site.inventory("sudoless", ansible_user="plain", ansible_become=True)
    bare = site.snapshots()
    no_space = run("site", "--inventory", str(site.lab.inventory))
    no_sudo = run("site", "--inventory", str(sudoless))
    no_root = run("site", "--inventory", str(plain))
    planned = run("site", "--plan", "--json")
    checked = run("site", "--check", "--json")
    still_bare = site.snapshots()
    first_run = run("site", "--json", "--limit", f"{good.name},{broken.name}")
    currents = [host.current for host in site.hosts]
    broken.run("dpkg --purge libpng-dev")
    cluster.copy_stack(good.name, copied.name, ROOT)
    resumed = run("site", "--json")
    after = site.snapshots()
    return FirstRun(bare, no_space, no_sudo, no_root, planned, checked, still_bare, first_run, currents, resumed, after)


@pytest.fixture(scope="session")
def converged(site: Site, first: FirstRun) -> Site:
    """The site, with the stack on all three hosts."""
    first.resumed.ended_with(0)
    return site
