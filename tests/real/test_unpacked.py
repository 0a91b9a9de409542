"""The stack from the real sources, built once: unpacked on a second bare host, which has no compiler, and in an image.

Both train a few iterations and caption pictures. The generation in the cache is the one that `test_site.py` built.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.mirror import lock
from tests.lab import engine, hosts, images, proof, shell
from tests.lab.spec import Lab
from tests.real.conftest import WORK, provision, put_data
from tests.real.test_site import show
from tests.real.training import DATA, NEW, OUT, PREPARE, SET

pytestmark = pytest.mark.real

ENGINES: dict[str, tuple[str, ...]] = {
    "docker": (),
    "podman": ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"),
}
"""Programs that run images, with options for each. By default Podman sets limits that a test machine may not allow."""
COMPILERS = "for name in gcc g++ cc c++ make cmake gfortran nvcc; do command -v $name; done; true"
TRAINING = (
    "-batch_size", "2", "-seq_per_img", "5", "-val_images_use", "4", "-max_iters", "12", "-save_checkpoint_every", "10",
    "-losses_log_every", "1", "-gpuid", "-1",
)  # fmt: skip
CAPTION = """
command -v gcc g++ cc make cmake >&2 && exit 1
th eval.lua -model /model.t7 -image_folder /pictures -num_images 3 -gpuid -1 >&2
cat vis/vis.json
"""
"""What is run in the image: prints the captions."""


def target_of(lab: Lab) -> Lab:
    """The lab of the host that unpacks."""
    return Lab(name=f"{lab.name}-target", image=lab.image, airgap=True)


@pytest.fixture(scope="module")
def target(host: str, lab: Lab) -> Iterator[str]:
    """A second bare host, with pictures and captions, without a route out."""
    name = target_of(lab).containers[0]
    with hosts.with_lab(target_of(lab)):
        put_data(name)
        yield name


@pytest.fixture(scope="module")
def inventory(target: str, lab: Lab) -> tuple[str, str]:
    """The option with the inventory of the second host."""
    return "--inventory", str(target_of(lab).inventory)


@pytest.fixture(scope="module")
def trained(target: str, inventory: tuple[str, str]) -> Path:
    """The model that the second host trained, copied to this machine."""
    engine.docker("exec", target, "install", "-d", "-o", "neuraltalk", OUT)
    provision("data", "prepare", *inventory, "--host", target, "--id", "prepared", *PREPARE, "--set-aside")
    provision("train", *inventory, "--host", target, "--id", "unpacked", "--", *SET, *TRAINING)
    (model,) = [one["file"] for one in show("unpacked", *inventory)["models"] if not one["file"].endswith(".last.t7")]
    copy = WORK / "model.t7"
    engine.docker("cp", "--follow-link", f"{target}:{model}", str(copy))
    copy.chmod(0o644)  # programs in an image do not run as root
    return copy


def captions_of(out: str) -> list[str]:
    """The captions in the output of CAPTION."""
    rows: list[dict[str, Any]] = json.loads(out)
    return [row["caption"] for row in rows if row["caption"]]


def test_a_host_without_compilers_unpacks_what_the_other_one_built(
    target: str, inventory: tuple[str, str], lab: Lab
) -> None:
    assert engine.docker("exec", target, "sh", "-c", COMPILERS) == ""
    assert f"built on {lab.containers[0]}" in provision("site", *inventory, "--plan")
    started = time.monotonic()
    done = json.loads(provision("site", *inventory, "--json"))
    print(f"provision site took {time.monotonic() - started:.0f} s on the host that unpacks")
    assert {change["change"] for change in done["changes"] if change["component"] == "generation"} == {"unpack"}
    assert not [change for change in done["changes"] if change["change"] == "build" and change["component"] == "torch"]
    (checked,) = json.loads(provision("verify", *inventory, "--json"))["hosts"]
    assert checked["passed"]
    assert engine.docker("exec", target, "sh", "-c", COMPILERS) == ""


def test_it_trains_and_captions(trained: Path, target: str, inventory: tuple[str, str]) -> None:
    assert trained.stat().st_size > 500_000_000
    model = show("unpacked", *inventory)["models"][0]["file"]
    arguments = ("eval", *inventory, "--host", target, "--id", "captions", "--json", "--", "-model", model)
    end = json.loads(provision(*arguments, "-image_folder", f"{DATA}/new"))
    assert len([entry for entry in end["captions"] if entry["caption"]]) == len(NEW)


def test_it_tried_to_reach_nothing_outside(trained: Path, lab: Lab) -> None:
    assert proof.record(target_of(lab).name) == []


@pytest.mark.parametrize("program", sorted(ENGINES))
def test_the_image_captions_without_a_network(
    program: str, trained: Path, lab: Lab, pytestconfig: pytest.Config
) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    platform = images.find(lab.image).platform
    if f"packages-{platform}" not in lock.read(Path(pytestconfig.getoption("--mirror"))).by_name():
        pytest.skip(f"an image needs packages-{platform}.tar as `provision mirror pull` makes it")
    name = image_of(platform, program)
    pictures = WORK / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    for scene in NEW[:3]:
        shutil.copy(WORK / "data" / "new" / Path(scene.file).name, pictures)
    mounts = ("--volume", f"{trained}:/model.t7:ro", "--volume", f"{pictures}:/pictures:ro")
    line = (program, "run", "--rm", *ENGINES[program], "--network", "none", *mounts, name, "sh", "-euc", CAPTION)
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=900, check=False)
    finally:
        shell.works(program, "image", "rm", "--force", name, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    captions = captions_of(done.stdout)
    print(f"{program}, without a network: {captions}")
    assert len(captions) == 3


def image_of(platform: str, program: str) -> str:
    """The name of the image, which the program has loaded."""
    file, known = WORK / "image.tar", WORK / "image.json"
    if not known.exists():
        shell.need("mmdebstrap", "mmdebstrap")
        made = provision("image", "--for", platform, "--to", str(file), "--json")
        known.write_text(made, encoding="utf-8")
    name: str = json.loads(known.read_text(encoding="utf-8"))["plan"]["name"]
    shell.run(program, "load", "--input", str(file), timeout=900)
    return name if program == "docker" else f"localhost/{name}"
