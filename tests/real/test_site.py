"""`provision site` on a bare Debian without a route out, from the real sources; then data preparation, a training
that passes `runs verify`, and captions.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab import engine, proof
from tests.lab.spec import Lab
from tests.real import made, releases
from tests.real.conftest import WORK, provision
from tests.real.training import BAD, DATA, ENVELOPE, NEW, OUT, PREPARE, QUALITY, SHORT, STAGED, right

pytestmark = pytest.mark.real

# Torch's own unchanged installer, in a second prefix on the same host.
OWN_INSTALLER = """
set -e
rm -rf /root/own && mkdir -p /root/own/prefix && cd /root/own
tar xf /opt/neuraltalk/artifacts/*-torch.t*
cd torch
TERM=dumb PREFIX=/root/own/prefix bash install.sh -s > /root/own/log 2>&1
LD_LIBRARY_PATH=/root/own/prefix/lib /root/own/prefix/bin/luajit \
  -e 'require "torch"; print(torch.Tensor(2, 2):fill(1):sum())'
"""


def built(document: str) -> set[str]:
    """The components that were built, or would be built, according to a `site --json` document."""
    return {change["component"] for change in json.loads(document)["changes"] if change["change"] == "build"}


def show(run_id: str, *options: str) -> dict[str, Any]:
    """Everything about a run."""
    found: dict[str, Any] = json.loads(provision("runs", "show", run_id, *options, "--json", code=None))
    return found


def test_site_builds_what_check_predicted_and_the_second_run_changes_nothing(
    host: str, measured: dict[str, Any]
) -> None:
    predicted = built(provision("site", "--check", "--json"))
    started = time.monotonic()
    done = provision("site", "--json")
    measured["seconds"] = round(time.monotonic() - started)
    print(f"provision site took {measured['seconds']} s")
    assert built(done) == predicted
    assert {"torch", "nn", "loadcaffe", "hdf5", "neuraltalk2", "coco-caption", "vgg16"} <= predicted
    started = time.monotonic()
    again = json.loads(provision("site", "--json"))
    print(f"a second provision site took {time.monotonic() - started:.1f} s")
    assert not again["changed"]
    (checked,) = json.loads(provision("verify", "--json"))["hosts"]
    measured["verified"] = f"{sum(check['passed'] for check in checked['checks'])} of {len(checked['checks'])}"


def test_pictures_and_a_csv_become_a_data_set(host: str) -> None:
    engine.docker("exec", host, "install", "-d", "-o", "neuraltalk", OUT)
    provision("data", "prepare", "--host", host, "--id", "refused", *PREPARE, code=1)
    assert "cut.png" in provision("runs", "logs", "refused")
    arguments = ("data", "prepare", "--host", host, "--id", "prepared", *PREPARE, "--set-aside", "--json")
    result = json.loads(provision(*arguments))
    assert (result["pictures"], result["set_aside"]) == (made.PICTURES, 1)
    provision("data", "inspect", f"{OUT}/made.h5", "--host", host)


def test_training_passes_verification(host: str, short: bool) -> None:
    train_shortly(host) if short else train_killed_and_resumed(host)


def train_shortly(host: str) -> None:
    """Train a few iterations of the first stage."""
    spec = WORK / "train.yml"
    few = {"options": {"max_iters": SHORT, "save_checkpoint_every": SHORT - 2}}
    spec.write_text(json.dumps({"host": host, **STAGED, "stages": {"base": few}}), encoding="utf-8")
    started = time.monotonic()
    provision("train", str(spec), "--detach")
    provision("runs", "watch", "made-base", "--every", "15")
    print(f"the training took {time.monotonic() - started:.0f} s")
    gates = json.loads(provision("runs", "verify", "made-base", "--json", code=None))["gates"]
    print("\n".join(f"{gate['name']}: {gate['colour']}: {gate['evidence']}" for gate in gates))
    assert [one["name"] for one in gates if one["colour"] != "green" and one["name"] not in QUALITY] == []
    assert show("made-base")["models"]


def train_killed_and_resumed(host: str) -> None:
    """Train both stages; the first is killed and resumed."""
    spec, envelope = WORK / "train.yml", WORK / "envelope.yml"
    spec.write_text(json.dumps({"host": host, **STAGED}), encoding="utf-8")
    envelope.write_text(json.dumps(ENVELOPE), encoding="utf-8")
    started = time.monotonic()
    provision("train", str(spec), "--detach")
    while not show("made-base")["models"]:
        assert show("made-base")["health"]["state"] in ("running", "waiting"), show("made-base")["health"]
        time.sleep(10)
    engine.docker("exec", host, "pkill", "-9", "-f", "luajit.*train.lua")
    time.sleep(3)
    provision("runs", "list", code=1)
    provision("runs", "resume", "made-base", "--detach")
    provision("runs", "watch", "made-base-r2", "--every", "30")
    provision("runs", "watch", "made-finetune", "--every", "30")
    print(f"both stages took {time.monotonic() - started:.0f} s")
    assert show("made-base-r2")["begins"] == 150
    assert show("made-finetune")["parent"]["id"] == "made-base-r2"
    for run_id in ("made-base-r2", "made-finetune"):
        output = provision("runs", "verify", run_id, "--envelope", str(envelope), "--json", code=None)
        gates = json.loads(output)["gates"]
        print("\n".join(f"{gate['name']}: {gate['colour']}: {gate['evidence']}" for gate in gates))
        assert [gate["name"] for gate in gates if gate["colour"] != "green"] == []
    provision("runs", "report", "made-finetune", "--out", str(WORK / "made.html"))


def test_scores_are_the_same_when_scored_again(host: str, short: bool) -> None:
    last = "made-base" if short else "made-finetune"
    claimed = dict(show(last)["progress"]["scores"][-1][1])
    assert {"Bleu_4", "METEOR", "ROUGE_L", "CIDEr"} <= claimed.keys()
    again = json.loads(provision("runs", "score", last, "--json"))["scores"]
    assert again == pytest.approx(claimed, abs=1e-6)


def test_new_pictures_are_captioned_and_invalid_ones_are_set_aside_with_a_reason(host: str, short: bool) -> None:
    # The best model, or the last one if finetuning improved nothing.
    model = min(
        show("made-base" if short else "made-finetune")["models"], key=lambda one: one["file"].endswith(".last.t7")
    )["file"]
    arguments = ("eval", "--host", host, "--id", "captions", "--json", "--", "-model", model)
    end = json.loads(provision(*arguments, "-image_folder", f"{DATA}/new"))
    assert {entry["file"] for entry in end["set_aside"]} == set(BAD)
    assert all(entry["reason"] for entry in end["set_aside"])
    captions = {entry["file"]: entry["caption"] for entry in end["captions"]}
    scenes = {Path(scene.file).name: scene for scene in NEW}
    assert captions.keys() == scenes.keys()
    print(f"{right(captions, scenes)} of {len(captions)} captions name the colour and the shape")
    assert all(captions.values())
    assert short or right(captions, scenes) > len(captions) / 2


def test_nothing_tried_to_cross_the_air_gap(host: str, lab: Lab) -> None:
    record = proof.record(lab.name)
    print(f"attempts to reach anything outside: {record}")
    assert record == []


def test_torch_takes_about_as_long_as_with_its_own_installer(
    host: str, short: bool, pytestconfig: pytest.Config
) -> None:
    if short or pytestconfig.getoption("--release") in releases.NO_OWN_INSTALLER:
        pytest.skip("not in a short test, and not where CMake refuses Torch's own sources")
    # This is the last test because the unchanged install.sh tries to download submodules.
    stamp = json.loads(engine.docker("exec", host, "cat", "/opt/neuraltalk/current/stamps/torch.json"))
    ours = stamp["evidence"]["seconds"]
    started = time.monotonic()
    printed = engine.docker("exec", host, "bash", "-c", OWN_INSTALLER, timeout=1800)
    own = time.monotonic() - started
    print(f"Torch: {ours:.0f} s by the role, {own:.0f} s by install.sh -s as it is; ratio {ours / own:.2f}")
    assert printed.strip().endswith("4"), "the build of the unchanged install.sh does not load"
