"""A run continues without its controller, has the right state in lists, can be resumed, and can be verified."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import engine
from tests.site.command import Done
from tests.site.host import ROOT, await_model
from tests.site.sites import Site
from tests.site.test_runs import DATA, HOST, TRAIN, data, options, run

__all__ = ["data", "run"]  # the fixtures of the runs that end by themselves
PATIENCE = 240
ENVELOPE = {
    "name": "the stand-in's",
    "ranges": {"loss": [{"iteration": 0, "least": 0.5, "most": 4}], "CIDEr": [{"iteration": 0, "least": 0, "most": 9}]},
}


def show_run(site: Site, run_id: str) -> dict[str, Any]:
    """Everything about a run; empty while it does not exist."""
    document = site.directory.provision("runs", "show", run_id, "--json").document
    return document if "health" in document else {}


def wait_for(what: Callable[[], Any], message: str) -> Any:
    """Call `what` until its result is not empty; the result. Fails with the message after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, message
        time.sleep(0.2)
    return found


def pid_of(run_id: str, host: str = HOST) -> int:
    """The pid of a run, which is also its process group."""
    return int(json.loads(engine.docker("exec", host, "cat", f"{ROOT}/runs/{run_id}/process.json"))["pid"])


def alive(run_id: str) -> bool:
    """Whether a process of the run still runs on its host."""
    pids = engine.docker("exec", HOST, "sh", "-c", f"pgrep -g {pid_of(run_id)} || true")
    return bool(pids.strip())


@pytest.fixture
def endless(converged: Site, data: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The id of a training without an end that has written a model, and whose controller was killed with SIGKILL."""
    run_id = f"endless-{request.node.name[-12:].strip('_')}"
    engine.docker("exec", HOST, "sh", "-c", "echo 0.05 > /etc/standin-pause")
    arguments = ("train", "--host", HOST, "--id", run_id, "--", *options(max_iters="-1"))
    controller = converged.directory.start(*arguments)
    try:
        await_model(HOST, run_id)
    finally:
        controller.kill()
        controller.communicate(timeout=PATIENCE)
    yield run_id
    engine.docker("exec", HOST, "sh", "-c", f"rm -f /etc/standin-pause; pkill -KILL -g {pid_of(run_id)} || true")


def test_run_continues_without_its_controller_until_it_is_stopped(converged: Site, endless: str) -> None:
    before = show_run(converged, endless)
    assert before["health"]["state"] == "running"
    assert show_run(converged, endless)["progress"]["losses"][-1][0] > before["progress"]["losses"][-1][0]
    provision = converged.directory.provision
    provision("runs", "watch", endless, "--once").ended_with(0).says("running", "iteration ", "loss ", "iterations/s")
    provision("runs", "stop", endless, "--plan").ended_with(0).says("would be stopped")
    assert alive(endless)
    provision("runs", "stop", endless).ended_with(0).says(f"{endless} on {HOST} stopped")
    assert not alive(endless)
    provision("runs", "show", endless).ended_with(0).says(
        "stopped", "train.lua -", "the last lines of its log:", "iter "
    )
    provision("runs", "logs", endless).ended_with(0).says("iter 0:", "validation loss:")
    provision("runs", "stop", endless).ended_with(0).says("was not running")


def test_killed_run_is_resumed_as_a_new_run_with_one_history(converged: Site, endless: str, tmp_path: Path) -> None:
    provision = converged.directory.provision
    provision("runs", "resume", endless, "--", "-max_iters", "30").ended_with(2).says("is running", "runs stop")
    engine.docker("exec", HOST, "sh", "-c", f"kill -9 -{pid_of(endless)}")
    wait_for(lambda: not alive(endless), "it still runs")
    provision("runs", "list").ended_with(1).says(f"{endless} on {HOST} is killed: pid ", "ended by signal 9 (SIGKILL)")
    engine.docker("exec", HOST, "rm", "/etc/standin-pause")
    planned = provision("runs", "resume", endless, "--plan", "--", "-max_iters", "30").ended_with(0)
    planned.says(f"from the last model of {endless}", "the optimiser starts without its state")
    done = provision("runs", "resume", endless, "--", "-max_iters", "30").ended_with(0)
    done.says(f"{endless}-r2 continues from ", "initializing weights from ", f"{endless}-r2 ended well")
    resumed = show_run(converged, f"{endless}-r2")
    model = show_run(converged, endless)["models"][-1]
    assert resumed["begins"] == model["iteration"] > 0
    assert resumed["arguments"]["start_from"] == model["file"]
    assert resumed["progress"]["losses"][0][1] < show_run(converged, endless)["progress"]["losses"][0][1]
    report = tmp_path / "report.html"
    provision("runs", "report", f"{endless}-r2", "--out", str(report)).ended_with(0)
    page = report.read_text()
    assert "<svg" in page
    assert f"{endless}-r2" in page
    # It starts at the iteration of the killed run's last model.
    show = provision("runs", "show", f"{endless}-r2").ended_with(0)
    show.says(f"continues {endless} (last model, of its iteration {model['iteration']})")


def test_stages_follow_each_other_without_a_controller(converged: Site, data: str) -> None:
    file = converged.directory.path / "staged.yml"
    own = {name.lstrip("-"): value for name, value in TRAIN.items() if name != "-max_iters"}
    stages = {"base": {"until": {"iterations": 20}}, "finetune": {"options": {"max_iters": 12}}}
    file.write_text(yaml.safe_dump({"host": HOST, "id": "staged", "options": own, "stages": stages}))
    provision = converged.directory.provision
    provision("train", str(file), "--detach").ended_with(0).says("staged-finetune waits for staged-base")
    ended = provision("runs", "watch", "staged-base").ended_with(0)
    ended.says("staged-finetune on site-2: ended (exit code 0)")
    base, tune = show_run(converged, "staged-base"), show_run(converged, "staged-finetune")
    assert base["health"]["state"] == "ended"
    assert base["health"]["evidence"].startswith("iteration ")
    assert tune["arguments"]["finetune_cnn_after"] == "0"
    assert tune["arguments"]["start_from"].endswith("staged-base/checkpoint/model_idstaged-base.t7")
    assert tune["parent"] == {"id": "staged-base", "choose": "best"}
    assert tune["begins"] in {iteration for iteration, _file in base["progress"]["checkpoints"]}


@pytest.fixture(scope="module")
def envelope(converged: Site) -> str:
    file = converged.directory.path / "envelope.yml"
    file.write_text(yaml.safe_dump(ENVELOPE))
    return str(file)


@pytest.fixture(scope="module")
def scored(converged: Site, run: Callable[..., Done], data: str) -> str:
    """A training with scores, on a host with an empty java program: the stand-in of the scorer does not call it."""
    refused = run("train", "no-java", options(language_eval="1")).ended_with(1)
    refused.says("-language_eval 1 is not possible on this host", "java")
    java = "printf '#!/bin/sh\\n' > /usr/local/bin/java && chmod 755 /usr/local/bin/java"
    engine.docker("exec", HOST, "sh", "-c", java)
    run("train", "scored", options(language_eval="1", max_iters="42", val_images_use="4")).ended_with(0).says("CIDEr")
    return "scored"


def gates(done: Done) -> dict[str, tuple[str, str]]:
    return {gate["name"]: (gate["colour"], gate["evidence"]) for gate in done.document["gates"]}


def test_runs_verify_checks_the_files_and_evaluates_the_model_again(
    converged: Site, scored: str, envelope: str, tmp_path: Path
) -> None:
    report = tmp_path / "verdict.html"
    command = ("runs", "verify", scored, "--envelope", envelope, "--out", str(report), "--json")
    done = converged.directory.provision(*command).ended_with(0)
    found = gates(done)
    assert done.document["green"]
    assert {name for name, (colour, _evidence) in found.items() if colour != "green"} == set()
    assert "s of CPU time" in found["computed on the processor"][1]
    assert "CIDEr" in found["evaluated again"][1]
    assert "scores written" in found["scores are fresh"][1]
    assert "evaluated again" in report.read_text()


def test_model_that_was_damaged_or_replaced_fails(
    converged: Site, scored: str, run: Callable[..., Done], envelope: str
) -> None:
    place = f"{ROOT}/runs/{scored}/checkpoint/model_id{scored}"
    keep = f"cp -p {place}.t7 /root/kept.t7 && cp -p {place}.json /root/kept.json"
    engine.docker("exec", HOST, "sh", "-c", f"{keep} && head -c 100 /root/kept.t7 > {place}.t7")
    verify = ("runs", "verify", scored, "--envelope", envelope, "--json")
    cut = gates(converged.directory.provision(*verify).ended_with(1))
    assert cut["models open"][0] == "red"
    assert "cannot be opened" in cut["models open"][1]
    # The model of another training: it opens, but does not match the report.
    run("train", "another", options(learning_rate="0.02", max_iters="42")).ended_with(0)
    other = f"{ROOT}/runs/another/checkpoint/model_idanother.t7"
    engine.docker("exec", HOST, "cp", other, f"{place}.t7")
    wrong = gates(converged.directory.provision(*verify).ended_with(1))
    assert "in its report" in wrong["models open"][1]
    assert wrong["evaluated again"][0] == "red"
    engine.docker("exec", HOST, "cp", "-p", "/root/kept.t7", f"{place}.t7")


def test_report_has_captions_and_pictures_in_one_file(
    converged: Site, scored: str, run: Callable[..., Done], tmp_path: Path
) -> None:
    model = f"{ROOT}/runs/{scored}/checkpoint/model_id{scored}.t7"
    run("eval", "pictured", ["-model", model, "-image_folder", f"{DATA}/images"]).ended_with(0)
    page = tmp_path / "captions.html"
    converged.directory.provision("runs", "report", "pictured", "--out", str(page)).ended_with(0)
    text = page.read_text()
    assert text.count('src="data:image/') == 8
    assert "ümlaut.png" in text
    assert "$(touch evil).jpg" in text


def test_unknown_run(converged: Site) -> None:
    converged.directory.provision("runs", "show", "nosuch").ended_with(2).says("no host has a run called nosuch")
    converged.directory.provision("runs", "verify", "nosuch").ended_with(2).says("no host has a run called nosuch")
