"""A run outlives its controller, is called what became of it, goes on where it was, and is judged."""

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
from tests.site.host import ROOT
from tests.site.sites import Site
from tests.site.test_runs import DATA, HOST, TRAIN, data, options, run

__all__ = ["data", "run"]  # the fixtures of the runs that end by themselves
PATIENCE = 240
ENVELOPE = {
    "name": "the stand-in's",
    "ranges": {"loss": [{"iteration": 0, "least": 0.5, "most": 4}], "CIDEr": [{"iteration": 0, "least": 0, "most": 9}]},
}


def told(site: Site, run_id: str) -> dict[str, Any]:
    """All that is known of a run; nothing while there is none."""
    said = site.directory.provision("runs", "show", run_id, "--json").document
    return said if "health" in said else {}


def wait_for(what: Callable[[], Any], words: str) -> Any:
    """What it gives, as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, words
        time.sleep(0.2)
    return found


def pid_of(run_id: str, host: str = HOST) -> int:
    """The process of a run, which leads a group of its own."""
    return int(json.loads(engine.docker("exec", host, "cat", f"{ROOT}/runs/{run_id}/process.json"))["pid"])


def alive(run_id: str) -> bool:
    """Whether a process of the run still runs on its host."""
    said = engine.docker("exec", HOST, "sh", "-c", f"pgrep -g {pid_of(run_id)} || true")
    return bool(said.strip())


@pytest.fixture
def endless(converged: Site, data: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A training without an end that has left a model, and whose controller was killed by SIGKILL; its id."""
    run_id = f"endless-{request.node.name[-12:].strip('_')}"
    engine.docker("exec", HOST, "sh", "-c", "echo 0.05 > /etc/standin-pause")
    words = ("train", "--host", HOST, "--id", run_id, "--", *options(max_iters="-1"))
    controller = converged.directory.start(*words)
    try:
        wait_for(lambda: told(converged, run_id).get("models"), "it did not begin")
    finally:
        controller.kill()
        controller.communicate(timeout=PATIENCE)
    yield run_id
    engine.docker("exec", HOST, "sh", "-c", f"rm -f /etc/standin-pause; pkill -KILL -g {pid_of(run_id)} || true")


def test_run_outlives_its_controller_and_ends_when_it_is_stopped(converged: Site, endless: str) -> None:
    before = told(converged, endless)
    assert before["health"]["state"] == "running"
    assert told(converged, endless)["progress"]["losses"][-1][0] > before["progress"]["losses"][-1][0]
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


def test_run_that_somebody_killed_goes_on_as_another_with_one_history(
    converged: Site, endless: str, tmp_path: Path
) -> None:
    provision = converged.directory.provision
    provision("runs", "resume", endless, "--", "-max_iters", "30").ended_with(2).says("is running", "runs stop")
    engine.docker("exec", HOST, "sh", "-c", f"kill -9 -{pid_of(endless)}")
    wait_for(lambda: not alive(endless), "it lives on")
    provision("runs", "list").ended_with(1).says(f"{endless} on {HOST} is killed: pid ", "ended by signal 9 (SIGKILL)")
    engine.docker("exec", HOST, "rm", "/etc/standin-pause")
    planned = provision("runs", "resume", endless, "--plan", "--", "-max_iters", "30").ended_with(0)
    planned.says(f"from the last model of {endless}", "the optimiser starts without its state")
    done = provision("runs", "resume", endless, "--", "-max_iters", "30").ended_with(0)
    done.says(f"{endless}-r2 continues from ", "initializing weights from ", f"{endless}-r2 ended well")
    again = told(converged, f"{endless}-r2")
    model = told(converged, endless)["models"][-1]
    assert again["begins"] == model["iteration"] > 0
    assert again["arguments"]["start_from"] == model["file"]
    assert again["progress"]["losses"][0][1] < told(converged, endless)["progress"]["losses"][0][1]
    report = tmp_path / "report.html"
    provision("runs", "report", f"{endless}-r2", "--out", str(report)).ended_with(0)
    page = report.read_text()
    assert "<svg" in page
    assert f"{endless}-r2" in page
    # As much older as the run that was killed had come by its model.
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
    base, tune = told(converged, "staged-base"), told(converged, "staged-finetune")
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
    """A training with scores, on a host that was given a java in name only: the stand-in of the scorer calls none."""
    refused = run("train", "no-java", options(language_eval="1")).ended_with(1)
    refused.says("-language_eval 1 is not possible on this host", "java")
    java = "printf '#!/bin/sh\\n' > /usr/local/bin/java && chmod 755 /usr/local/bin/java"
    engine.docker("exec", HOST, "sh", "-c", java)
    run("train", "scored", options(language_eval="1", max_iters="42", val_images_use="4")).ended_with(0).says("CIDEr")
    return "scored"


def gates(done: Done) -> dict[str, tuple[str, str]]:
    return {gate["name"]: (gate["colour"], gate["evidence"]) for gate in done.document["gates"]}


def test_training_is_judged_by_what_it_left_and_evaluated_again(
    converged: Site, scored: str, envelope: str, tmp_path: Path
) -> None:
    report = tmp_path / "verdict.html"
    words = ("runs", "verify", scored, "--envelope", envelope, "--out", str(report), "--json")
    said = converged.directory.provision(*words).ended_with(0)
    seen = gates(said)
    assert said.document["green"]
    assert {name for name, (colour, _evidence) in seen.items() if colour != "green"} == set()
    assert "s of CPU time" in seen["computed on the processor"][1]
    assert "CIDEr" in seen["evaluated again"][1]
    assert "scores written" in seen["scores are fresh"][1]
    assert "evaluated again" in report.read_text()


def test_model_that_was_damaged_or_exchanged_is_red(
    converged: Site, scored: str, run: Callable[..., Done], envelope: str
) -> None:
    place = f"{ROOT}/runs/{scored}/checkpoint/model_id{scored}"
    keep = f"cp -p {place}.t7 /root/kept.t7 && cp -p {place}.json /root/kept.json"
    engine.docker("exec", HOST, "sh", "-c", f"{keep} && head -c 100 /root/kept.t7 > {place}.t7")
    verify = ("runs", "verify", scored, "--envelope", envelope, "--json")
    cut = gates(converged.directory.provision(*verify).ended_with(1))
    assert cut["models open"][0] == "red"
    assert "does not" in cut["models open"][1]
    # Another training's model: it opens, and is not what the report tells of.
    run("train", "another", options(learning_rate="0.02", max_iters="42")).ended_with(0)
    other = f"{ROOT}/runs/another/checkpoint/model_idanother.t7"
    engine.docker("exec", HOST, "cp", other, f"{place}.t7")
    false = gates(converged.directory.provision(*verify).ended_with(1))
    assert "its report says validation loss" in false["models open"][1]
    assert false["evaluated again"][0] == "red"
    engine.docker("exec", HOST, "cp", "-p", "/root/kept.t7", f"{place}.t7")


def test_captions_stand_beside_their_pictures_in_one_file(
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


def test_run_that_is_none(converged: Site) -> None:
    converged.directory.provision("runs", "show", "nosuch").ended_with(2).says("no host has a run called nosuch")
    converged.directory.provision("runs", "verify", "nosuch").ended_with(2).says("no host has a run called nosuch")
