"""On a host like that of the manual procedure: rocks for its card, the right branch of cudnn, and v5 instead of v4."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from testinfra.host import Host

from tests.lab import engine
from tests.molecule.conftest import EPHEMERAL, Stack
from tests.standin import dataset

TREE = "/usr/local/cuda-7.5"
PRIVATE = "gpu-legacy-2"
PARTS = ("cuda", "cutorch", "cunn", "cudnn", "cudnn-rock")


def is_private(stack: Stack) -> bool:
    """Whether TensorFlow keeps its v4 on this host."""
    return bool(stack.host.backend.get_hostname() == PRIVATE)


def test_the_recipe_is_what_works_together_on_a_k80(stack: Stack) -> None:
    gpu = stack.recipe["gpu"]
    assert (gpu["profile"], gpu["archs"], gpu["cuda"], gpu["toolkit"]) == ("legacy", "3.7", "7.5", TREE)
    assert (gpu["cudnn"], gpu["cudnn_mode"]) == ("5.0.5", "private" if is_private(stack) else "swap")
    assert [part["name"] for part in stack.recipe["parts"] if part["role"] == "gpu_stack"] == list(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_stamp_has_evidence(stack: Stack, part: str) -> None:
    assert stack.stamp(part)["digest"] == stack.part(part)["digest"]
    assert stack.stamp(part)["evidence"]


def test_toolkit_links_to_the_hosts_and_compiled_a_test_program_for_the_card(host: Host, stack: Stack) -> None:
    assert host.file(f"{stack.path}/cuda/lib64").linked_to == f"{TREE}/lib64"
    assert "compiled a trial for 3.7" in stack.stamp("cuda")["evidence"]


@pytest.mark.parametrize(
    ("rock", "libraries"), [("cutorch", {"libTHC.so", "libcutorch.so"}), ("cunn", {"libTHCUNN.so"})]
)
def test_libraries_have_all_symbols_and_the_rock_computed(stack: Stack, rock: str, libraries: set[str]) -> None:
    evidence = stack.evidence(rock)
    assert libraries <= set(evidence)
    assert all(evidence[library]["version"].endswith("all symbols found") for library in libraries)
    assert rock in evidence
    assert "a trial" in evidence


def test_rock_was_compiled_only_for_the_card(host: Host, stack: Stack) -> None:
    output = host.check_output(f"grep -o 'sm_[0-9]*\\|compute_[0-9]*' {stack.path}/logs/cutorch.log | sort -u")
    assert set(output.split()) == {"compute_37", "sm_37"}


def test_cutorch_finds_the_card(stack: Stack) -> None:
    assert (
        stack.lua("require 'cutorch'; print(cutorch.getDeviceCount(), cutorch.getDeviceProperties(1).name)")
        == "4\tTesla K80"
    )


def test_cudnn_rock_uses_v5(stack: Stack) -> None:
    assert stack.lua("require 'cudnn'; print(cudnn.version)").splitlines()[-1] == "5005"


def test_v5_replaced_v4_and_the_loader_finds_it(host: Host, stack: Stack) -> None:
    if is_private(stack):
        pytest.skip("v4 stays on this host")
    assert host.check_output(f"readlink {TREE}/lib64/libcudnn.so.5") == "libcudnn.so.5.0.5"
    assert f"{TREE}/lib64/libcudnn.so.5" in host.check_output("/sbin/ldconfig -p")
    assert "CUDNN_PATH" not in host.file(f"{stack.path}/environment").content_string


def test_v4_is_kept_unchanged(host: Host, stack: Stack) -> None:
    """In the backup directory of the manual procedure; with a private v5, in its old place."""
    before = dict(line.split(" ", 1) for line in host.file("/var/tmp/before").content_string.splitlines())
    assert len(before) == 5
    backup = "" if is_private(stack) else "/cudnn_v4"
    for name, expected in before.items():
        folder, file = name.rsplit("/", 1)
        kept = host.check_output(f"find {TREE}/{folder}{backup}/{file} -printf '%y %m %U %G %T@ %s'")
        assert kept == expected


def test_private_v5_is_used_only_inside_the_stack(host: Host, stack: Stack) -> None:
    if not is_private(stack):
        pytest.skip("v5 is in the CUDA directory of this host")
    library = f"{stack.path}/cudnn/lib64/libcudnn.so.5"
    assert stack.run("sh", "-c", "echo $CUDNN_PATH").stdout.strip() == library
    assert not host.file(f"{TREE}/.neuraltalk-cudnn").exists
    assert "libcudnn.so.5" not in host.check_output("/sbin/ldconfig -p")
    ask = "import ctypes; print(ctypes.CDLL('libcudnn.so.5').cudnnGetVersion())"
    assert stack.run("python3", "-c", ask).stdout.strip() == "5005"
    assert host.run(f'python3 -c "{ask}"').rc != 0


def test_environment_contains_cuda(host: Host, stack: Stack) -> None:
    assert "$NEURALTALK_STACK/cuda/lib64" in host.file(f"{stack.path}/environment").content_string


def provision(*arguments: str) -> dict[str, Any]:
    """The output of `provision ARGUMENTS --json`, with the scenario's hosts."""
    command = (
        sys.executable,
        "-m",
        "neuraltalk_provision",
        *arguments[:1],
        "--inventory",
        str(EPHEMERAL / "inventory"),
    )
    done = subprocess.run([*command, "--json", *arguments[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return cast(dict[str, Any], json.loads(done.stdout))


def test_training_uses_the_requested_card_and_the_backend_of_the_host(host: Host, stack: Stack, tmp_path: Path) -> None:
    """The cards are stand-ins. Their nvidia-smi reports processes on all four, so one is requested by UUID."""
    name = str(host.backend.get_hostname())
    dataset.write(tmp_path, images=6)
    engine.docker("cp", f"{tmp_path}/.", f"{name}:/data")
    engine.docker("exec", name, "chmod", "-R", "a+rX", "/data")
    uuid = host.check_output("nvidia-smi --query-gpu=uuid --format=csv,noheader").splitlines()[2]
    data = ("-input_h5", "/data/cocotalk.h5", "-input_json", "/data/cocotalk.json")
    options = "-batch_size 1 -seq_per_img 2 -max_iters 4 -save_checkpoint_every 2 -val_images_use 2".split()
    end = provision("train", "--host", name, "--id", "on-a-card", "--gpu", uuid, "--", *data, *options)
    assert end["exit_code"] == 0
    assert any(checkpoint["file"].endswith(".t7") for checkpoint in end["checkpoints"])
    record = json.loads(host.file(f"{stack.root}/runs/on-a-card/process.json").content_string)
    assert record["card"]["uuid"] == uuid
    assert (record["effective"]["gpuid"], record["effective"]["backend"]) == ("0", "cudnn")


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
