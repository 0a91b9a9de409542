"""Hosts that systemd runs and Slurm shares: units, power cuts, jobs, cards by gres."""

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
from tests.site.host import ROOT
from tests.site.sites import Site
from tests.site.test_runs import DATA, TRAIN
from tests.standin import dataset

LAB = Lab("cluster", "cluster", hosts=2, airgap=True, systemd=True)
ONE, TWO = LAB.containers
EVERY = 10
PATIENCE = 300
OWN = {name.lstrip("-"): value for name, value in TRAIN.items() if name != "-max_iters"}
# A card in name only: what train.lua asks of cutorch and cunn, answered on the processor.
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
    """Two hosts with systemd and a Slurm of their own, the stack of the site's and a data set; where to call from."""
    hosts.up(LAB)
    try:
        folder = tmp_path_factory.mktemp("data")
        dataset.write(folder, images=8)
        for name in LAB.containers:
            cluster.copy_stack(converged.hosts[1].name, name, ROOT)
            engine.docker("exec", name, "rm", "-rf", f"{ROOT}/runs", f"{ROOT}/queue")
            engine.docker("cp", str(folder), f"{name}:{DATA}")
            engine.docker("exec", name, "chmod", "-R", "a+rX", DATA)
        directory = Directory(work / LAB.name)
        directory.settle(mirror=str(converged.mirror), inventory=str(LAB.inventory))
        # All that these hosts lack is the account that runs belong to, and one package.
        built = directory.provision("site", "--json").ended_with(0).document["changes"]
        assert {change["component"] for change in built if change["change"] == "build"} == {"account", "packages"}
        yield directory
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(LAB.name)


@pytest.fixture(scope="module")
def queue(nodes: Directory) -> Directory:
    """The same once Slurm has its nodes: after the power cuts, which its daemons in a lab do not outlive."""
    slurm.start(LAB)
    return nodes


def whole(nodes: Directory, run_id: str) -> dict[str, Any]:
    """All that is told of a run."""
    return nodes.provision("runs", "show", run_id, "--json").document


def runs(nodes: Directory) -> dict[str, dict[str, Any]]:
    """{id: its row}."""
    return {run["id"]: run for run in nodes.provision("runs", "list", "--json").document["runs"]}


def states(nodes: Directory, *ids: str) -> set[str]:
    told = runs(nodes)
    return {told[run_id]["health"]["state"] for run_id in ids}


def wait_until(nodes: Directory, what: str, ids: list[str], wanted: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while (seen := states(nodes, *ids)) != wanted:
        assert time.monotonic() < deadline, f"{what}: {seen}, not {wanted}"


def test_run_is_a_unit_of_systemds(nodes: Directory) -> None:
    words = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    started = nodes.provision("train", "--host", ONE, "--id", "unit", "--detach", "--", *words).ended_with(0)
    started.says("unit neuraltalk-unit")
    unit = engine.docker("exec", ONE, "systemctl", "show", "neuraltalk-unit", "-p", "ActiveState,ControlGroup")
    assert "ActiveState=active" in unit
    pids = engine.docker("exec", ONE, "systemctl", "status", "--no-pager", "-l", "neuraltalk-unit")
    assert "train.lua" in pids
    nodes.provision("runs", "stop", "unit").ended_with(0).says("stopped")
    gone = engine.docker("exec", ONE, "sh", "-c", "systemctl is-active neuraltalk-unit || true")
    assert gone.strip() in ("inactive", "unknown")


def test_power_cut_costs_no_more_than_what_was_not_saved_and_the_stages_still_follow(nodes: Directory) -> None:
    file = nodes.path / "cut.yml"
    stages = {"base": {"until": {"iterations": 100_000}}, "finetune": {"options": {"max_iters": 12}}}
    file.write_text(yaml.safe_dump({"host": ONE, "id": "cut", "options": OWN, "stages": stages}))
    nodes.provision("train", str(file), "--detach").ended_with(0)
    deadline = time.monotonic() + PATIENCE
    while not whole(nodes, "cut-base").get("models"):
        assert time.monotonic() < deadline, "no model was written"
    cluster.power_cut(ONE)
    told = runs(nodes)
    assert told["cut-base"]["health"]["state"] == "killed"
    assert "left no exit code" in told["cut-base"]["health"]["evidence"]
    assert "it was never started" in told["cut-finetune"]["health"]["evidence"]
    base = whole(nodes, "cut-base")
    saved = max(model["iteration"] for model in base["models"])
    assert base["progress"]["losses"][-1][0] - saved <= EVERY
    again = nodes.provision("runs", "resume", "cut-base", "--", "-max_iters", "22").ended_with(0)
    again.says("cut-base-r2 ended well", "cut-finetune ended well")
    assert whole(nodes, "cut-base-r2")["begins"] == saved
    assert whole(nodes, "cut-finetune")["parent"]["id"] == "cut-base-r2"
    verdict = nodes.provision("runs", "verify", "cut-finetune", "--json").document
    gates = {gate["name"]: gate for gate in verdict["gates"]}
    assert {name for name, gate in gates.items() if gate["colour"] == "red"} <= {"captions differ"}
    assert "cut-base (" in gates["one history"]["evidence"]
    assert gates["evaluated again"]["colour"] == "green"


def test_sweep_of_six_goes_through_slurm_over_both_nodes(queue: Directory, tmp_path: Path) -> None:
    nodes = queue
    file = nodes.path / "sweep.yml"
    grid = {"learning_rate": [0.0004, 0.0008, 0.0016], "seed": [1, 2]}
    options = {**OWN, "max_iters": 250}
    file.write_text(yaml.safe_dump({"id": "six", "options": options, "grid": grid}))
    words = ("sweep", str(file), "--gpu", "none", "--launcher", "slurm", "--host", ONE)
    nodes.provision(*words, "--plan").ended_with(0).says("would run on a Slurm node")
    jobs = nodes.provision(*words, "--sbatch=--hold", "--json").ended_with(0).document["jobs"]
    assert states(nodes, *(job["id"] for job in jobs)) == {"waiting"}
    engine.docker("exec", ONE, "scontrol", "release", ",".join(job["job"] for job in jobs))
    ids = [f"six-{number}" for number in range(1, 7)]
    wait_until(nodes, "the sweep", ids, {"ended"})
    told = {run_id: whole(nodes, run_id) for run_id in ids}
    assert {told[run_id]["host"] for run_id in ids} == {ONE, TWO}
    assert all(told[run_id]["models"] and told[run_id]["job"] for run_id in ids)
    assert {(told[i]["asked"]["learning_rate"], told[i]["asked"]["seed"]) for i in ids} == {
        (rate, seed) for rate in ("0.0004", "0.0008", "0.0016") for seed in ("1", "2")
    }
    page = tmp_path / "six.html"
    nodes.provision("runs", "report", "six", "--out", str(page)).ended_with(0)
    assert all(run_id in page.read_text() for run_id in ids)


def test_run_that_waits_in_the_queue_is_told_and_taken_back(queue: Directory) -> None:
    nodes = queue
    words = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    asked = ("--launcher", "slurm", "--sbatch=--begin=now+1hour", "--host", ONE)
    nodes.provision("train", "--id", "later", *asked, "--", *words).ended_with(0)
    nodes.provision("runs", "list").says("later", "waiting")
    nodes.provision("runs", "stop", "later", "--plan").ended_with(0).says("would be stopped")
    nodes.provision("runs", "stop", "later").ended_with(0).says("later", "stopped")
    assert runs(nodes)["later"]["health"]["state"] == "stopped"
    refused = ("--launcher", "slurm", "--sbatch=--partition=none", "--host", ONE)
    nodes.provision("train", "--id", "no", *refused, "--", *words).ended_with(1).says(
        "sbatch did not accept the job", "partition"
    )


def with_cards() -> None:
    """Two cards in name only on each node, and a stack that thinks it was built for them."""
    for name in LAB.containers:
        cluster.add_cards(name)
        share = f"{ROOT}/current/torch/share/lua/5.1"
        lua = f"cat > {share}/cutorch.lua && echo 'return {{}}' > {share}/cunn.lua"
        engine.docker("exec", "-i", name, "sh", "-c", lua, stdin=CUTORCH)
        engine.docker(
            "exec", "-i", name, "sh", "-c", f"cat > {ROOT}/current/stamps/cutorch.json", stdin='{"digest": "x"}'
        )


def test_cards_are_shared_out_and_the_process_is_seen_on_its_own(queue: Directory) -> None:
    nodes = queue
    with_cards()
    words = [word for name, value in OWN.items() for word in (f"-{name}", str(value))]
    wanted = ("--launcher", "slurm", "--gpu", "auto", "--host", ONE)
    nodes.provision("train", "--id", "by-gres", *wanted, "--", *words).ended_with(0)
    nodes.provision("train", "--host", ONE, "--id", "by-name", "--gpu", "1", "--detach", "--", *words).ended_with(0)
    wait_until(nodes, "both", ["by-gres", "by-name"], {"running"})
    told = runs(nodes)
    assert told["by-gres"]["card"]["uuid"] != told["by-name"]["card"]["uuid"] or told["by-gres"]["host"] == TWO
    nodes.provision("train", "--host", ONE, "--id", "third", "--gpu", "1", "--", *words).ended_with(1).says(
        "by-name has it"
    )
    time.sleep(5)
    for run_id in ("by-gres", "by-name"):
        nodes.provision("runs", "stop", run_id).ended_with(0)
        verdict = nodes.provision("runs", "verify", run_id, "--no-evaluate", "--json").document
        seen = {gate["name"]: gate for gate in verdict["gates"]}["computed on its card"]
        assert seen["colour"] == "green", seen
        assert told[run_id]["card"]["uuid"] in seen["evidence"]
        assert "3,007 MiB" in seen["evidence"]
    swept = nodes.path / "cards.yml"
    swept.write_text(
        yaml.safe_dump({"id": "spread", "options": {**OWN, "max_iters": 12}, "grid": {"seed": [1, 2, 3, 4, 5]}})
    )
    nodes.provision("sweep", str(swept)).ended_with(0).says(f"{ONE}, GPU-", f"{TWO}, GPU-", "then spread-5")
    ids = [f"spread-{number}" for number in range(1, 6)]
    wait_until(nodes, "the spread sweep", ids, {"ended"})
    placed = [(told["host"], told["card"]["uuid"]) for run_id, told in runs(nodes).items() if run_id in ids]
    assert len(set(placed)) == 4
