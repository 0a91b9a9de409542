"""A host of another distribution family: from the OS packages to a training and captions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from testinfra.host import Host

from tests.lab import engine
from tests.molecule.conftest import EPHEMERAL, Stack
from tests.standin import dataset, images, pictures

MODEL = "/opt/neuraltalk/runs/base/checkpoint/model_idbase.t7"
TRAINING = (
    "-input_h5 /data/cocotalk.h5 -input_json /data/cocotalk.json -batch_size 1 -seq_per_img 2 -max_iters 12 "
    "-save_checkpoint_every 6 -val_images_use 2 -losses_log_every 2"
).split()


def provision(*arguments: str) -> dict[str, Any]:
    """The JSON output of a command with the inventory of the scenario. The first argument is `verb` or `group verb`."""
    verb = arguments[0].split()
    command = (sys.executable, "-m", "neuraltalk_provision", *verb, "--json", "--inventory", "inventory/lab.yml")
    done = subprocess.run(
        [*command, *arguments[1:]], cwd=EPHEMERAL, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return cast(dict[str, Any], json.loads(done.stdout))


@pytest.fixture(scope="module")
def host_name(host: Host, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The host's name in the inventory, with a data set and pictures on it."""
    name = cast(str, host.backend.get_hostname())
    folder: Path = tmp_path_factory.mktemp("whole") / "data"
    dataset.write(folder, images=10)
    images.write(folder / "images", apple_double=True, empty=True)
    engine.docker("cp", str(folder), f"{name}:/data")
    engine.docker("exec", name, "chmod", "-R", "a+rX", "/data")
    return name


def test_the_generation_is_current_sealed_and_stamped_according_to_the_recipe(host: Host, stack: Stack) -> None:
    assert host.check_output(f"readlink {stack.root}/current") == f"generations/{stack.recipe['id']}"
    seal = json.loads(host.file(f"{stack.path}/generation.json").content_string)
    digests = {part["name"]: part["digest"] for part in stack.recipe["parts"]}
    assert seal["components"] == digests
    assert {name: stack.stamp(name)["digest"] for name in digests} == digests
    assert not host.file(stack.build).exists


def test_activation_loaded_every_module_through_the_link(host: Host, stack: Stack) -> None:
    log = host.file(f"{stack.path}/logs/verify.log").content_string
    loads = [module for part in stack.recipe["parts"] for module in part["loads"]]
    assert {"torch", "hdf5", "loadcaffe"} <= set(loads)
    assert [module for module in loads if f"\nloaded {module} " not in log] == []
    assert log.count("-language_eval") == 2


def test_the_packages_were_installed_by_the_hosts_own_manager(host: Host, stack: Stack) -> None:
    assert stack.recipe["manager"] in ("dnf", "yum")
    required = stack.recipe["required"]
    assert host.run(f"rpm -q {' '.join(required)}").rc == 0
    absent = [name for name in stack.recipe["optional"] if host.run(f"rpm -q {name}").rc != 0]
    assert absent == ["sox-plugins-freeworld"]


def test_h5py_is_imported_by_the_hosts_python(host: Host, stack: Stack) -> None:
    python = "python2.7" if host.run("python3 -c 1").rc else "python3"
    done = stack.run(python, "-c", "import h5py, IPython; print(h5py.__file__)")
    assert done.stdout.startswith(f"{stack.path}/python/"), done.stderr


def test_a_training_writes_a_model_that_captions_pictures(host: Host, host_name: str) -> None:
    training = provision("train", "--host", host_name, "--id", "base", "--", *TRAINING)
    assert training["exit_code"] == 0
    assert training["losses"][-1][1] < training["losses"][0][1]
    command = ("eval", "--host", host_name, "--id", "captions", "--", "-model", MODEL)
    captioned = provision(*command, "-image_folder", "/data/images")
    captions = {entry["file"]: entry["caption"] for entry in captioned["captions"]}
    assert set(captions) == {"red.jpg", "blue.jpg", *(name for name in captions if name.endswith(".png"))}
    assert len(captions) == 5
    for file, caption in captions.items():
        (colour,) = re.findall("|".join(pictures.COLOURS), file)
        assert colour in caption
    assert {entry["file"] for entry in captioned["set_aside"]} == {"._red.jpg", "empty.jpg"}


def test_runs_verify_passes_and_evaluates_the_model_again(host_name: str) -> None:
    """Also on hosts with Python 2.7."""
    verdict = provision("runs verify", "base")
    gates = {gate["name"]: gate for gate in verdict["gates"]}
    assert verdict["green"]
    for name in ("models open", "evaluated again", "computed on the processor", "one history"):
        assert gates[name]["colour"] == "green", gates[name]


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
