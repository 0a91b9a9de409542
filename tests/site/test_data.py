"""A user's own pictures on a host: inspect, prepare and train, with the account that runs belong to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import engine
from tests.site.sites import Site
from tests.site.test_runs import HOST, options
from tests.standin import own as pictures

FOLDER = "/own"
OUT = f"{FOLDER}/out"
PREPARE = (
    "--input_json", f"{FOLDER}/captions.csv", "--images_root", f"{FOLDER}/pictures", "--val_share", "0.2",
    "--word_count_threshold", "0", "--output_json", f"{OUT}/own.json", "--output_h5", f"{OUT}/own.h5",
)  # fmt: skip


@pytest.fixture(scope="module")
def own(converged: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A directory of pictures with a CSV of captions, one truncated picture, and a directory that runs can write to."""
    folder = tmp_path_factory.mktemp("own")
    picture = pictures.write(folder, count=12)[-1].read_bytes()
    (folder / "pictures" / "cut.png").write_bytes(picture[: len(picture) // 2])
    with (folder / "captions.csv").open("a", encoding="utf-8") as file:
        file.write("cut.png,half a picture\n")
    engine.docker("cp", str(folder), f"{HOST}:{FOLDER}")
    script = f"chmod -R a+rX {FOLDER} && mkdir {OUT} && chown neuraltalk {OUT}"
    engine.docker("exec", HOST, "sh", "-c", script)
    return converged


def test_own_pictures_are_inspected_prepared_and_trained_on(own: Site) -> None:
    provision = own.directory.provision
    found = provision("data", "inspect", FOLDER + "/pictures", "--host", HOST, "--json").ended_with(1).document
    assert found["faults"] == {"truncated": 1}
    refused = provision("data", "prepare", "--host", HOST, "--id", "own-1", *PREPARE).ended_with(1)
    assert "cut.png" in refused.out + refused.err
    done = provision("data", "prepare", "--host", HOST, "--id", "own-2", *PREPARE, "--set-aside", "--json")
    made = done.ended_with(0).document
    assert made["pictures"] == 12
    listed = {run["id"]: run for run in provision("runs", "list", "--json").document["runs"]}
    assert (listed["own-2"]["program"], listed["own-2"]["health"]["state"]) == ("prepare", "ended")
    assert listed["own-1"]["health"]["state"] == "failed"
    provision("data", "inspect", f"{OUT}/own.h5", "--host", HOST).ended_with(0)
    arguments = options(input_h5=f"{OUT}/own.h5", input_json=f"{OUT}/own.json")
    trained = provision("train", "--host", HOST, "--id", "own", "--json", "--", *arguments).ended_with(0).document
    assert trained["losses"][-1][1] < trained["losses"][0][1]
    annotations = json.loads(engine.docker("exec", HOST, "cat", f"{OUT}/own.annotations.json"))
    assert {Path(image["file_name"]).name for image in annotations["images"]} <= {
        entry["file_path"] for entry in json.loads(engine.docker("exec", HOST, "cat", f"{OUT}/own.json"))["images"]
    }


def test_existing_outputs_are_refused_before_a_run_is_created(own: Site) -> None:
    again = own.directory.provision("data", "prepare", "--host", HOST, "--id", "own-3", *PREPARE, "--set-aside")
    again.ended_with(1).says(f"{OUT}/own.", "exists already, and is not overwritten")
    assert "own-3" not in {run["id"] for run in own.directory.provision("runs", "list", "--json").document["runs"]}
