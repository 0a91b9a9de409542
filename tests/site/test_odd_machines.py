"""Machines as people have them: what is odd about each is harmless, or `--plan` and `site` refuse it with what helps.

The machines are data, in odd.py. The table in docs/faults.md says the same in words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab import hosts
from tests.lab.spec import Lab
from tests.site.command import Directory
from tests.site.conftest import SPACE
from tests.site.host import ROOT, Host
from tests.site.odd import DISKS, HARMLESS, REFUSED, Odd
from tests.site.sites import Site

NAMES = {"ready": "odd", "py27": "odd-py27"}
MOUNTS = ("SYS_ADMIN",)
"""What root of a machine needs to mount."""


@pytest.fixture(scope="module")
def machines(work: Path, mirror: Path) -> Iterator[dict[str, Site]]:
    """One bare machine of each image; it is started when a test needs it."""
    started: dict[str, Site] = {}
    with contextlib.ExitStack() as stack:

        class Machines(dict[str, Site]):
            def __missing__(self, image: str) -> Site:
                lab = stack.enter_context(hosts.with_lab(Lab(NAMES[image], image, tmpfs=DISKS, capabilities=MOUNTS)))
                directory = Directory(work / lab.name).configure(mirror=str(mirror))
                self[image] = Site(lab, tuple(map(Host, lab.containers)), directory, mirror)
                return self[image]

        started = Machines()
        yield started


def inventory(site: Site, name: str, variables: Mapping[str, Any]) -> str:
    """An inventory of the machine in which Ansible finds the Python, unless the variables name one."""
    usual = {"generation_space": SPACE, "ansible_python_interpreter": "auto_silent"}
    return str(site.inventory(name, None, **{**usual, **variables}))


@pytest.mark.parametrize("odd", REFUSED, ids=lambda odd: odd.name)
def test_machine_is_refused_with_what_helps(machines: dict[str, Site], odd: Odd) -> None:
    site = machines[odd.image]
    (host,) = site.hosts
    options = ("--inventory", inventory(site, "odd", odd.variables), *odd.options)
    host.run(odd.make)
    try:
        for plan in ((), ("--plan",)):
            refused = site.directory.provision("site", *plan, *options)
            refused.ended_with(odd.code).says(*odd.says, "Nothing was changed on any host")
    finally:
        host.run(odd.undo)
    assert not host.has(ROOT)


def test_all_that_is_harmless_at_once(machines: dict[str, Site]) -> None:
    """The last test of the machine, because nothing is undone."""
    site = machines["ready"]
    (host,) = site.hosts
    variables = {name: value for odd in HARMLESS for name, value in odd.variables.items()}
    options = ("--inventory", inventory(site, "harmless", variables))
    for odd in HARMLESS:
        host.run(odd.make)
    planned = site.directory.provision("site", "--plan", *options).ended_with(0)
    planned.says("the package manager is in use by pid", "waits for its end")
    site.directory.provision("site", *options).ended_with(0)
    site.directory.provision("verify", *options).ended_with(0)
    assert "conda" not in host.run(f"cat {ROOT}/current/logs/*.log")
