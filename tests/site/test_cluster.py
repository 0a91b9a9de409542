"""Hosts with systemd and Slurm: units, power cuts, jobs, and cards by gres."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import engine, hosts, slurm
from tests.lab.spec import Lab
from tests.site import cluster
from tests.site.command import Directory
from tests.site.host import ROOT, await_model
from tests.site.sites import Site
from tests.site.test_runs import DATA, TRAIN
from tests.standin import dataset

LAB = Lab("cluster", "cluster", hosts=2, airgap=True, systemd=True)
ONE, TWO = LAB.containers
EVERY = 10
PATIENCE = 300
REST = 5
"""Seconds between two commands that ask for states: each takes processor time from the trainings for which it waits."""
OWN = {name.lstrip("-"): value for name, value in TRAIN.items() if name != "-max_iters"}
# A stand-in card: the functions of cutorch and cunn that train.lua calls, computed on the CPU.
CUTORCH = """
require 'nn'
nn.Module.cuda = function(self) return self end
cutorch = {manualSeed = function() end, setDevice = function() end}
return cutorch
"""


@pytest.fixture(scope="module")
def nodes(
    converged: Site, work: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Directory]:
    """The working directory for two hosts with systemd, Slurm, the stack of the site and a data set."""
    hosts.up(LAB)
    try:
        folder = tmp_path_factory.mktemp("data")
        dataset.write(folder, images=8)
        for name in LAB.containers:
            cluster.copy_stack(converged.hosts[1].name, name, ROOT)
            engine.docker("cp", str(folder), f"{name}:{DATA}")
            engine.docker("exec", name, "chmod", "-R", "a+rX", DATA)
        directory = Directory(work / LAB.name)
        directory.configure(mirror=str(converged.mirror), inventory=str(LAB.inventory))
        # These hosts only lack the account that runs belong to, and one package.
        built = directory.provision("site", "--json").ended_with(0).document["changes"]
        assert {change["component"] for change in built if change["change"] == "build"} == {"account", "packages"}
        yield directory
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(LAB.name)


@pytest.fixture(scope="module")
def queue(nodes: Directory) -> Directory:
    """The same hosts with Slurm running. Used after the power cuts, which Slurm's daemons do not survive in a lab."""
    slurm.start(LAB)
    return nodes


def show(nodes: Directory, run_id: str) -> dict[str, Any]:
    """Everything about a run."""
    return nodes.provision("runs", "show", run_id, "--json").document


def runs(nodes: Directory) -> dict[str, dict[str, Any]]:
    """{id: row of the list}."""
    return {run["id"]: run for run in nodes.provision("runs", "list", "--json").document["runs"]}


def states(nodes: Directory, *ids: str) -> set[str]:
    rows = runs(nodes)
    return {rows[run_id]["health"]["state"] for run_id in ids}


def wait_until(nodes: Directory, what: str, ids: list[str], wanted: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := states(nodes, *ids)) != wanted:
        assert time.monotonic() < deadline, f"{what}: {found}, not {wanted}"
        time.sleep(REST)


def test_run_is_a_systemd_unit(nodes: Directory) -> None:
    arguments = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    started = nodes.provision("train", "--host", ONE, "--id", "unit", "--detach", "--", *arguments).ended_with(0)
    started.says("unit neuraltalk-unit")
    unit = engine.docker("exec", ONE, "systemctl", "show", "neuraltalk-unit", "-p", "ActiveState,ControlGroup")
    assert "ActiveState=active" in unit
    pids = engine.docker("exec", ONE, "systemctl", "status", "--no-pager", "-l", "neuraltalk-unit")
    assert "train.lua" in pids
    nodes.provision("runs", "stop", "unit").ended_with(0).says("stopped")
    state = engine.docker("exec", ONE, "sh", "-c", "systemctl is-active neuraltalk-unit || true")
    assert state.strip() in ("inactive", "unknown")


def test_after_a_power_cut_a_run_resumes_from_its_last_model_and_the_stages_follow(nodes: Directory) -> None:
    file = nodes.path / "cut.yml"
    stages = {"base": {"until": {"iterations": 100_000}}, "finetune": {"options": {"max_iters": 12}}}
    file.write_text(yaml.safe_dump({"host": ONE, "id": "cut", "options": OWN, "stages": stages}))
    nodes.provision("train", str(file), "--detach").ended_with(0)
    await_model(ONE, "cut-base")
    cluster.power_cut(ONE)
    rows = runs(nodes)
    assert rows["cut-base"]["health"]["state"] == "killed"
    assert "left no exit code" in rows["cut-base"]["health"]["evidence"]
    assert "it was never started" in rows["cut-finetune"]["health"]["evidence"]
    base = show(nodes, "cut-base")
    saved = max(model["iteration"] for model in base["models"])
    assert base["progress"]["losses"][-1][0] - saved <= EVERY
    resumed = nodes.provision("runs", "resume", "cut-base", "--", "-max_iters", "22").ended_with(0)
    resumed.says("cut-base-r2 ended well", "cut-finetune ended well")
    assert show(nodes, "cut-base-r2")["begins"] == saved
    assert show(nodes, "cut-finetune")["parent"]["id"] == "cut-base-r2"
    verdict = nodes.provision("runs", "verify", "cut-finetune", "--json").document
    gates = {gate["name"]: gate for gate in verdict["gates"]}
    assert {name for name, gate in gates.items() if gate["colour"] == "red"} <= {"captions differ"}
    assert "cut-base (" in gates["one history"]["evidence"]
    assert gates["evaluated again"]["colour"] == "green"


def test_slurm_distributes_a_sweep_of_six_over_both_nodes(queue: Directory, tmp_path: Path) -> None:
    nodes = queue
    file = nodes.path / "sweep.yml"
    grid = {"learning_rate": [0.0004, 0.0008, 0.0016], "seed": [1, 2]}
    options = {**OWN, "max_iters": 250}
    file.write_text(yaml.safe_dump({"id": "six", "options": options, "grid": grid}))
    command = ("sweep", str(file), "--gpu", "none", "--launcher", "slurm", "--host", ONE)
    nodes.provision(*command, "--plan").ended_with(0).says("would run on a Slurm node")
    jobs = nodes.provision(*command, "--sbatch=--hold", "--json").ended_with(0).document["jobs"]
    assert states(nodes, *(job["id"] for job in jobs)) == {"waiting"}
    engine.docker("exec", ONE, "scontrol", "release", ",".join(job["job"] for job in jobs))
    ids = [f"six-{number}" for number in range(1, 7)]
    wait_until(nodes, "the sweep", ids, {"ended"})
    found = {run_id: show(nodes, run_id) for run_id in ids}
    assert {found[run_id]["host"] for run_id in ids} == {ONE, TWO}
    assert all(found[run_id]["models"] and found[run_id]["job"] for run_id in ids)
    assert {(found[i]["asked"]["learning_rate"], found[i]["asked"]["seed"]) for i in ids} == {
        (rate, seed) for rate in ("0.0004", "0.0008", "0.0016") for seed in ("1", "2")
    }
    page = tmp_path / "six.html"
    nodes.provision("runs", "report", "six", "--out", str(page)).ended_with(0)
    assert all(run_id in page.read_text() for run_id in ids)


def test_run_in_the_queue_is_listed_and_can_be_stopped(queue: Directory) -> None:
    nodes = queue
    arguments = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    request = ("--launcher", "slurm", "--sbatch=--begin=now+1hour", "--host", ONE)
    nodes.provision("train", "--id", "later", *request, "--", *arguments).ended_with(0)
    nodes.provision("runs", "list").says("later", "waiting")
    nodes.provision("runs", "stop", "later", "--plan").ended_with(0).says("would be stopped")
    nodes.provision("runs", "stop", "later").ended_with(0).says("later", "stopped")
    assert runs(nodes)["later"]["health"]["state"] == "stopped"
    invalid = ("--launcher", "slurm", "--sbatch=--partition=none", "--host", ONE)
    nodes.provision("train", "--id", "no", *invalid, "--", *arguments).ended_with(1).says(
        "sbatch did not accept the job", "partition"
    )


def with_cards() -> None:
    """Give each node two stand-in cards, and change its stack as if it were built for them."""
    for name in LAB.containers:
        cluster.add_cards(name)
        share = f"{ROOT}/current/torch/share/lua/5.1"
        lua = f"cat > {share}/cutorch.lua && echo 'return {{}}' > {share}/cunn.lua"
        engine.docker("exec", "-i", name, "sh", "-c", lua, stdin=CUTORCH)
        engine.docker(
            "exec", "-i", name, "sh", "-c", f"cat > {ROOT}/current/stamps/cutorch.json", stdin='{"digest": "x"}'
        )


def test_runs_get_different_cards_and_each_process_is_measured_on_its_own_card(queue: Directory) -> None:
    nodes = queue
    with_cards()
    arguments = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    wanted = ("--launcher", "slurm", "--gpu", "auto", "--host", ONE)
    nodes.provision("train", "--id", "by-gres", *wanted, "--", *arguments).ended_with(0)
    nodes.provision("train", "--host", ONE, "--id", "by-name", "--gpu", "1", "--detach", "--", *arguments).ended_with(0)
    wait_until(nodes, "both", ["by-gres", "by-name"], {"running"})
    rows = runs(nodes)
    assert rows["by-gres"]["card"]["uuid"] != rows["by-name"]["card"]["uuid"] or rows["by-gres"]["host"] == TWO
    nodes.provision("train", "--host", ONE, "--id", "third", "--gpu", "1", "--", *arguments).ended_with(1).says(
        "run by-name uses it"
    )
    time.sleep(5)
    for run_id in ("by-gres", "by-name"):
        nodes.provision("runs", "stop", run_id).ended_with(0)
        verdict = nodes.provision("runs", "verify", run_id, "--no-evaluate", "--json").document
        gate = {gate["name"]: gate for gate in verdict["gates"]}["computed on its card"]
        assert gate["colour"] == "green", gate
        assert rows[run_id]["card"]["uuid"] in gate["evidence"]
        assert "3,007 MiB" in gate["evidence"]
    sweep = nodes.path / "cards.yml"
    sweep.write_text(
        yaml.safe_dump({"id": "spread", "options": {**OWN, "max_iters": 12}, "grid": {"seed": [1, 2, 3, 4, 5]}})
    )
    nodes.provision("sweep", str(sweep)).ended_with(0).says(f"{ONE}, GPU-", f"{TWO}, GPU-", "then spread-5")
    ids = [f"spread-{number}" for number in range(1, 6)]
    wait_until(nodes, "the spread sweep", ids, {"ended"})
    placed = [(row["host"], row["card"]["uuid"]) for run_id, row in runs(nodes).items() if run_id in ids]
    assert len(set(placed)) == 4
