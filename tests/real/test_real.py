"""`provision site` on a bare Debian 12 without a route out, from the real sources; then a training and captions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lab import engine, proof
from tests.real.conftest import LAB, WORK, provision

pytestmark = pytest.mark.real

RUN = "real-base"
MODEL = f"/opt/neuraltalk/runs/{RUN}/checkpoint/model_id{RUN}.t7"
TRAINING = (
    "-input_h5 /data/cocotalk.h5 -input_json /data/cocotalk.json -batch_size 1 -seq_per_img 2 -max_iters 4 "
    "-save_checkpoint_every 2 -val_images_use 2 -losses_log_every 1"
).split()
STAGED = {
    "id": "staged",
    "options": {
        "input_h5": "/data/cocotalk.h5",
        "input_json": "/data/cocotalk.json",
        "batch_size": 2,
        "seq_per_img": 5,
        "val_images_use": 4,
        "save_checkpoint_every": 10,
        "losses_log_every": 1,
        "learning_rate": 0.004,
    },
    "stages": {
        "base": {"until": {"iterations": 20}},
        "finetune": {"options": {"max_iters": 9, "save_checkpoint_every": 4}},
    },
}
ENVELOPE = {
    "name": "ten pictures of circles",
    "ranges": {"loss": [{"iteration": 0, "least": 0.3, "most": 3.5}, {"iteration": 30, "least": 0.3, "most": 0.9}]},
}
# Torch's own installer as its authors mean it, in a second prefix on the same host.
OWN_INSTALLER = """
set -e
rm -rf /root/own && mkdir -p /root/own/prefix && cd /root/own
tar xzf /opt/neuraltalk/artifacts/*-torch.tgz
cd torch
TERM=dumb PREFIX=/root/own/prefix bash install.sh -s > /root/own/log 2>&1
LD_LIBRARY_PATH=/root/own/prefix/lib /root/own/prefix/bin/luajit \
  -e 'require "torch"; print(torch.Tensor(2, 2):fill(1):sum())'
"""


def built(document: str) -> set[str]:
    """The components that a `site --json` document says were, or would be, built."""
    return {change["component"] for change in json.loads(document)["changes"] if change["change"] == "build"}


def test_site_builds_what_check_predicted_and_the_second_run_changes_nothing(host: str) -> None:
    predicted = built(provision("site", "--check", "--json"))
    started = time.monotonic()
    done = provision("site", "--json")
    print(f"provision site took {time.monotonic() - started:.0f} s")
    assert built(done) == predicted
    assert {"torch", "nn", "loadcaffe", "hdf5", "neuraltalk2", "vgg16"} <= predicted
    started = time.monotonic()
    again = json.loads(provision("site", "--json"))
    print(f"a second provision site took {time.monotonic() - started:.1f} s")
    assert not again["changed"]
    provision("verify")


def test_a_training_leaves_a_model_and_a_lower_loss(host: str) -> None:
    end = json.loads(provision("train", "--host", host, "--id", RUN, "--json", "--", *TRAINING))
    print("\n".join(f"iter {iteration}: {loss}" for iteration, loss in end["losses"]))
    assert end["exit_code"] == 0
    assert end["losses"][-1][1] < end["losses"][0][1]
    assert any(checkpoint["file"] == MODEL and checkpoint["bytes"] > 500_000_000 for checkpoint in end["checkpoints"])


def test_captions_come_out_with_a_macs_leftovers_in_the_folder(host: str) -> None:
    words = ("eval", "--host", host, "--id", "real-captions", "--json", "--", "-model", MODEL)
    end = json.loads(provision(*words, "-image_folder", "/data/images"))
    pictures = {path.name for path in (WORK / "data" / "images").iterdir()}
    assert {entry["file"] for entry in end["set_aside"]} == {"._red.jpg", "empty.jpg"}
    assert {entry["file"] for entry in end["captions"]} == pictures - {"._red.jpg", "empty.jpg"}
    assert all(entry["caption"] for entry in end["captions"])


def told(run_id: str) -> dict[str, Any]:
    """All that is known of a run."""
    found: dict[str, Any] = json.loads(provision("runs", "show", run_id, "--json", code=None))
    return found


def test_a_killed_training_goes_on_is_finetuned_and_judged(host: str) -> None:
    spec, envelope = WORK / "train.yml", WORK / "envelope.yml"
    spec.write_text(json.dumps({"host": host, **STAGED}), encoding="utf-8")
    envelope.write_text(json.dumps(ENVELOPE), encoding="utf-8")
    provision("train", str(spec), "--detach")
    while not any(model["iteration"] >= 10 for model in told("staged-base")["models"]):
        time.sleep(5)
    engine.docker("exec", host, "pkill", "-9", "-f", "luajit.*train.lua")
    time.sleep(3)
    provision("runs", "list", code=1)
    provision("runs", "resume", "staged-base", "--detach")
    provision("runs", "watch", "staged-base-r2", "--every", "20")
    assert told("staged-base-r2")["begins"] == 10
    assert told("staged-finetune")["health"]["state"] == "ended"
    assert told("staged-finetune")["parent"]["id"] == "staged-base-r2"
    said = provision("runs", "verify", "staged-finetune", "--envelope", str(envelope), "--json", code=None)
    gates = {gate["name"]: gate for gate in json.loads(said)["gates"]}
    # Random weights in VGG-16 see no difference between pictures: the one gate that may be red.
    assert {name for name, gate in gates.items() if gate["colour"] == "red"} <= {"captions differ"}
    assert gates["evaluated again"]["colour"] == "green"
    provision("runs", "report", "staged-finetune", "--out", str(WORK / "staged.html"))


def test_nothing_tried_to_cross_the_air_gap(host: str) -> None:
    record = proof.record(LAB.name)
    print(f"attempts to reach anything outside: {record}")
    assert record == []


def test_torch_costs_about_what_its_own_installer_costs(host: str) -> None:
    # Last: install.sh as it is asks the network for submodules.
    stamp = json.loads(engine.docker("exec", host, "cat", "/opt/neuraltalk/current/stamps/torch.json"))
    ours = stamp["evidence"]["seconds"]
    started = time.monotonic()
    printed = engine.docker("exec", host, "bash", "-c", OWN_INSTALLER, timeout=1800)
    own = time.monotonic() - started
    print(f"Torch: {ours:.0f} s by the role, {own:.0f} s by install.sh -s as it is; ratio {ours / own:.2f}")
    assert printed.strip().endswith("4"), "the peer's own build does not load"
