"""Real Slurm: nodes are drained under running jobs, wait for their end, are resumed; and others' drains stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision.fleet import busy, use
from neuraltalk_provision.fleet.busy import Position, Rule, Step
from neuraltalk_provision.fleet.seen import Seen
from neuraltalk_provision.settings import Settings
from tests.lab import engine, hosts, slurm
from tests.lab.spec import Lab

LAB = Lab("drain", "cluster", hosts=2, airgap=True, systemd=True)
ONE, TWO = LAB.containers
ALIASES = {"alpha": ONE, "beta": TWO}
"""The names of the hosts in the inventory, which Slurm does not know."""
WAIT = Rule("wait", wait=300, poll=2)
PATIENCE = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Two hosts that are nodes of Slurm, under other names than Slurm's."""
    hosts.up(LAB)
    try:
        slurm.start(LAB)
        yield settings(tmp_path_factory.mktemp("drain"))
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(LAB.name)


def settings(folder: Path, asked: str = "auto", **variables: object) -> Settings:
    """The settings of the site; Slurm is asked there, and the hosts have these variables."""
    tree = yaml.safe_load((LAB.inventory / "hosts.yml").read_text(encoding="utf-8"))
    known = tree["all"]["children"]["hosts_cpu"]["hosts"]
    tree["all"]["children"]["hosts_cpu"]["hosts"] = {
        alias: {**known[name], **variables} for alias, name in ALIASES.items()
    }
    file = folder / "hosts.yml"
    file.write_text(yaml.safe_dump(tree, width=1000), encoding="utf-8")
    return Settings(inventory=file, slurm=asked, run_user="root")


def node(name: str) -> str:
    return slurm.node(ONE, name)


def submit(name: str, seconds: int) -> str:
    """A job for this node alone, which writes a file at its end; its number."""
    return slurm.submit(ONE, name, f"sleep {seconds} && touch /tmp/ended-$SLURM_JOB_ID")


def state(job: str) -> str:
    return slurm.state(ONE, job)


def await_state(job: str, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := state(job)) != wanted:
        assert time.monotonic() < deadline, f"job {job} is {found}, not {wanted}"
        time.sleep(0.5)


def ended_well(job: str, name: str) -> bool:
    """Whether a job has ended, and its program too."""
    there = engine.docker("exec", name, "sh", "-c", f"ls /tmp/ended-{job} || true")
    return state(job) == "COMPLETED" and bool(there.strip())


def work_through(site: Settings, host: str, rule: Rule, job: str, waits: str) -> tuple[list[Step], Position]:
    """The whole loop for one host. At its activation, `job` must have ended and `waits` must not run."""
    steps: list[Step] = []
    position, seen = Position(), use.ask(site, [host])[host]
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        assert time.monotonic() < deadline, steps
        action = busy.next_action(rule, seen, position, time.monotonic(), "r1")
        steps.append(action.step)
        match action.step:
            case Step.DONE:
                return steps, position
            case Step.DRAIN:
                changed = use.drain(site, {host: seen}, "r1", "a test activates it")
                assert changed.failures == ()
            case Step.WAIT | Step.ASK:
                time.sleep(max(0.0, action.until - time.monotonic()) if action.step is Step.WAIT else 0)
                seen = use.ask(site, [host])[host]
            case Step.ACTIVATE:
                assert "DRAIN" in node(ALIASES[host])
                assert ended_well(job, ALIASES[host])
                assert state(waits) == "PENDING"
                position = position.after_activation("verified")
            case Step.RESUME:
                assert use.resume(site, {host: seen}).failures == ()
                seen = use.ask(site, [host])[host]
        position = position.after(action, time.monotonic())
        if action.step is Step.DRAIN and action.reasons:
            seen = use.ask(site, [host])[host]


def test_job_ends_well_before_its_node_is_activated_and_the_next_one_starts_after_it(site: Settings) -> None:
    running = submit(ONE, 60)
    await_state(running, "RUNNING")
    waiting = submit(ONE, 1)
    steps, position = work_through(site, "alpha", WAIT, running, waiting)
    order = [step for place, step in enumerate(steps) if step is not Step.WAIT or steps[place - 1] is not Step.WAIT]
    assert order == [Step.DRAIN, Step.WAIT, Step.ACTIVATE, Step.RESUME, Step.DONE]
    assert position.ending == "verified"
    await_state(waiting, "COMPLETED")
    assert ended_well(waiting, ONE)
    assert "DRAIN" not in node(ONE)


def test_host_with_a_job_is_skipped_and_its_node_is_not_touched(site: Settings) -> None:
    job = submit(ONE, 8)
    await_state(job, "RUNNING")
    before = node(ONE)
    seen = use.ask(site, ["alpha", "beta"])
    action = busy.next_action(Rule(), seen["alpha"], Position(), time.monotonic(), "r1")
    assert action.step is Step.SKIP
    assert action.reasons[0].startswith(f"job {job} (wrap), RUNNING (of root, since 20")
    assert busy.next_action(Rule(), seen["beta"], Position(), time.monotonic(), "r1").step is Step.DRAIN
    assert node(ONE) == before
    await_state(job, "COMPLETED")


def test_node_that_somebody_else_has_drained_stays_so(site: Settings) -> None:
    slurm.output(ONE, "scontrol", "update", f"NodeName={TWO}", "State=DRAIN", "Reason=new memory")
    try:
        before = node(TWO)
        seen = use.ask(site, ["beta"])
        assert busy.next_action(Rule(), seen["beta"], Position(), time.monotonic(), "r1").step is Step.ACTIVATE
        assert seen["beta"].remarks[0].startswith(f"node {TWO} is IDLE+DRAIN: new memory (root, ")
        for changed in (use.drain(site, seen, "r1", "x"), use.resume(site, seen)):
            assert (changed.nodes["beta"].changed, changed.nodes["beta"].foreign) == (False, (TWO,))
        assert node(TWO) == before
    finally:
        slurm.output(ONE, "scontrol", "update", f"NodeName={TWO}", "State=RESUME")


def test_drain_of_a_lost_command_is_found_and_lifted_from_another_host(site: Settings, tmp_path: Path) -> None:
    elsewhere = settings(tmp_path, "alpha")
    seen = use.ask(elsewhere, ["beta"])
    assert use.drain(elsewhere, seen, "r0", "then it was killed").failures == ()
    assert node(TWO).startswith("State=IDLE+DRAIN")
    seen = use.ask(site, ["alpha", "beta"])
    assert {host: one.drains for host, one in seen.items()} == {"alpha": (), "beta": ("r0",)}
    changed = use.resume(site, {"beta": seen["beta"]})
    assert changed.nodes["beta"].changed
    assert use.ask(site, ["beta"])["beta"].drains == ()


def test_refusal_of_slurm_is_told(site: Settings, tmp_path: Path) -> None:
    plain = settings(tmp_path, ansible_become=False)
    seen = use.ask(plain, ["beta"])
    (failure,) = use.drain(plain, seen, "r1", "x").failures
    assert failure.code == "slurm.refused"
    assert "Invalid user id" in failure.message
    assert "DRAIN" not in node(TWO)


def test_slurm_that_does_not_answer_makes_its_nodes_busy(site: Settings) -> None:
    engine.docker("exec", ONE, "systemctl", "stop", "slurmctld")
    try:
        silent: Seen = use.ask(site, ["beta"])["beta"]
        (found,) = silent.uses()
        assert "it is not known whether a job of Slurm is on the host: scontrol show node: " in found.as_text()
        assert [one.code for one in use.drain(site, {"beta": silent}, "r1", "x").failures] == ["busy"]
    finally:
        engine.docker("exec", ONE, "systemctl", "start", "slurmctld")
