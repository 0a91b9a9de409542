"""Real Slurm and a stack root on a shared disk: the change on the disk waits until no node has a job."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import hosts, slurm
from tests.lab.spec import Lab
from tests.site.command import Directory, Done, end
from tests.site.conftest import SPACE
from tests.site.host import Host, until
from tests.site.sites import Site

ROOT = "/shared/neuraltalk"
FORMER = "former0000000000"
LAB = Lab("drainshared", "cluster", hosts=2, systemd=True, shared="/shared")
ONE, TWO = LAB.containers
PATIENCE = 240
JOB = f"""
before=$(readlink {ROOT}/current)
{ROOT}/current/bin/with-stack luajit -e "
    require 'nn'
    for _ = 1, SECONDS do
        local asked = io.open('/tmp/end-$SLURM_JOB_ID')
        if asked then break end
        require('sys').sleep(1)
    end
    require 'paths'" || exit 3
test "$before" = "$(readlink {ROOT}/current)" && touch /tmp/ended-$SLURM_JOB_ID
"""
"""A job that loads the stack at its beginning and at its end, and fails if another generation is current by then.

It ends after SECONDS, or when it is asked to end.
"""
LONG = 600
"""Seconds of a job that does not end before a test asks it to."""


@dataclass(frozen=True)
class Cluster:
    """Two nodes of Slurm with one stack root, and the id of the generation that the mirror describes."""

    site: Site
    wanted: str

    @property
    def current(self) -> str:
        """The id of the current generation of both."""
        return self.site.hosts[0].run(f"readlink {ROOT}/current").strip().removeprefix("generations/")

    def command(self, *arguments: str) -> Done:
        """Run `provision site`."""
        return self.site.directory.provision("site", *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `provision site` without waiting."""
        return self.site.directory.start("site", *arguments)

    def status(self) -> dict[str, Any]:
        """What the journal says of the last rollout."""
        return self.site.directory.provision("rollout", "status", "--json").ended_with(0).document


@pytest.fixture(scope="module")
def built(work: Path, mirror: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster with the stack, built once, and Slurm."""
    hosts.up(LAB)
    try:
        site = Site(LAB, tuple(map(Host, LAB.containers)), Directory(work / LAB.name), mirror)
        inventory = site.inventory("hosts", generation_space=SPACE)
        site.directory.configure(
            mirror=str(mirror), inventory=str(inventory), stack_root=ROOT, busy="wait", busy_poll=5, waves=[1, "100%"]
        )
        site.directory.provision("site").ended_with(0)
        slurm.start(LAB)
        yield Cluster(site, site.hosts[0].run(f"readlink {ROOT}/current").strip().removeprefix("generations/"))
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(LAB.name)


@pytest.fixture
def cluster(built: Cluster) -> Cluster:
    """The cluster before a rollout: the former generation is current, no job is there, and no node is drained."""
    copy = f"test -e generations/{FORMER} || cp -al generations/{built.wanted} generations/{FORMER}"
    built.site.hosts[0].run(f"cd {ROOT} && {{ {copy}; }} && ln -sfn generations/{FORMER} current")
    slurm.output(ONE, "scancel", "--user=root")
    until("the nodes", lambda: slurm.output(ONE, "sinfo", "--noheader", "--format=%T") == "idle", PATIENCE)
    return built


def node(name: str) -> str:
    return slurm.node(ONE, name)


def submit(name: str, seconds: int) -> str:
    """A job for this node alone; its number."""
    return slurm.submit(ONE, name, JOB.replace("SECONDS", str(seconds)))


def state(job: str) -> str:
    return slurm.state(ONE, job)


def running(name: str, seconds: int = LONG) -> str:
    """A job that runs on this node; its number."""
    job = submit(name, seconds)
    until(f"job {job}", lambda: state(job) == "RUNNING", PATIENCE)
    return job


def ask_to_end(job: str, name: str) -> None:
    """Let a job on this node end within a second."""
    Host(name).run(f"touch /tmp/end-{job}")


def ended_well(job: str, name: str) -> bool:
    """Whether a job has ended with the generation with which it began."""
    return state(job) == "COMPLETED" and Host(name).has(f"/tmp/ended-{job}")


def free(cluster: Cluster) -> None:
    """Nothing of the rollout is left on the nodes."""
    assert [node(name) for name in LAB.containers] == ["State=IDLE", "State=IDLE"]
    assert cluster.current == cluster.wanted


def drained(name: str) -> bool:
    return "DRAIN" in node(name) and "Reason=neuraltalk-provision" in node(name)


@pytest.mark.parametrize("place", [0, 1], ids=["its own job", "a job of the other node"])
def test_disk_is_changed_when_no_node_has_a_job(cluster: Cluster, place: int) -> None:
    name = LAB.containers[place]
    job = running(name)
    command = cluster.start()
    until("the drain", lambda: drained(name), PATIENCE)
    waits = submit(name, 1)
    assert (cluster.current, state(job)) == (FORMER, "RUNNING")
    ask_to_end(job, name)
    end("provision site", command).ended_with(0)
    assert ended_well(job, name)
    until("the job that waited", lambda: state(waits) == "COMPLETED", PATIENCE)
    assert ended_well(waits, name)
    free(cluster)


def test_jobs_on_both_nodes_are_waited_for(cluster: Cluster) -> None:
    jobs = {name: running(name, seconds) for name, seconds in ((ONE, 20), (TWO, 45))}
    cluster.command().ended_with(0)
    assert all(ended_well(job, name) for name, job in jobs.items())
    free(cluster)


def test_host_whose_disk_is_used_by_another_node_is_skipped(cluster: Cluster) -> None:
    job = running(TWO)
    document = cluster.command("--busy", "skip", "--json").document
    assert (cluster.current, state(job)) == (FORMER, "RUNNING")
    assert document["activated"] == []
    assert "DRAIN" not in node(ONE) + node(TWO)


def test_killed_controller_leaves_drains_that_are_lifted_after_the_next_one(cluster: Cluster) -> None:
    job = running(TWO)
    command = cluster.start()
    until("the drain", lambda: drained(TWO), PATIENCE)
    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert (cluster.current, state(job)) == (FORMER, "RUNNING")
    assert cluster.status()["rollout"]["status"] == "running"
    ask_to_end(job, TWO)
    cluster.command("--resume").ended_with(0)
    assert ended_well(job, TWO)
    free(cluster)


def test_rollback_waits_for_the_jobs_too(cluster: Cluster) -> None:
    cluster.command().ended_with(0)
    job = running(TWO)
    command = cluster.site.directory.start("rollback")
    until("the drain", lambda: drained(TWO), PATIENCE)
    assert (cluster.current, state(job)) == (cluster.wanted, "RUNNING")
    ask_to_end(job, TWO)
    end("provision rollback", command).ended_with(0)
    assert ended_well(job, TWO)
    assert cluster.current == FORMER
    assert [node(name) for name in LAB.containers] == ["State=IDLE", "State=IDLE"]
