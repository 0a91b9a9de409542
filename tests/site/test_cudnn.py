"""`provision cudnn` over SSH: status, swap of v4 for v5 and restore; and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.mirror import store
from tests.lab import engine, hosts
from tests.lab.spec import Lab
from tests.site.command import Directory
from tests.standin import cuda, cudnn

LAB = Lab(name="cudnn-cli", image="ready")
(HOST,) = LAB.containers
TREE = "/usr/local/cuda-7.5"
LIST = (
    f"cd {TREE} && find . ! -type d -printf '%p %y %m %T@ %l ' -type f -exec sha256sum {{}} ';' -o -printf '\\n' | sort"
)
HOLD = f"import ctypes, time; ctypes.CDLL('{TREE}/lib64/libcudnn.so.4'); open('/tmp/held', 'w'); time.sleep(600)"


def on_host(command: str) -> str:
    """Run a command as root on the host; its output."""
    return engine.docker("exec", HOST, "sh", "-c", command)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A host with a stand-in CUDA 7.5 in which TensorFlow left cuDNN v4, and a mirror with v5."""
    engine.ensure()
    inventory = hosts.up(LAB)
    folder = tmp_path_factory.mktemp("the site's cudnn")
    made = cuda.write(folder / "cuda-7.5", "7.5", any_gcc=True)
    cudnn.place(made, "4.0.7")
    engine.docker("cp", "--archive", str(made), f"{HOST}:{TREE}")
    on_host("ln -s cuda-7.5 /usr/local/cuda")
    archive = folder / cudnn.archive_name()
    archive.write_bytes(cudnn.archive())
    store.add(folder / "mirror", archive, catalogue.load())
    yield Directory(folder / "work").configure(mirror=str(folder / "mirror"), inventory=str(inventory))
    hosts.down(LAB.name)


def test_v4_is_found_swapped_once_and_restored_unchanged(site: Directory) -> None:
    before = on_host(LIST)
    site.provision("cudnn", "status").ended_with(0).says(f"{TREE}: whole, header 4.0.7, library 4.0.7")
    site.provision("cudnn", "swap", "--plan").ended_with(0).says("would change")
    assert on_host(LIST) == before
    site.provision("cudnn", "swap").ended_with(0).says(
        f"cuDNN 4.0.7 replaced by cuDNN 5.0.5 in {TREE}", "whole, header 5.0.5, library 5.0.5"
    )
    again = site.provision("cudnn", "swap", "--json").ended_with(0).document
    assert again["changed"] is False
    kept = site.provision("cudnn", "status", "--json").ended_with(0).document["hosts"][0]["after"]["backup"]
    assert f"{TREE}/lib64/cudnn_v4/libcudnn.so.4.0.7" in kept
    assert "libcudnn.so.5" in on_host("ldconfig -p")
    site.provision("cudnn", "restore").ended_with(0).says("the previous files were restored", "library 4.0.7")
    assert on_host(LIST) == before
    site.provision("cudnn", "restore").ended_with(0).says("nothing to change")


def test_link_is_refused_and_its_target_is_named(site: Directory) -> None:
    before = on_host(LIST)
    refused = site.provision("cudnn", "swap", "--cuda", "/usr/local/cuda").ended_with(1)
    refused.says(HOST, "/usr/local/cuda is a link", f"name the directory itself, {TREE}")
    assert on_host(LIST) == before


def test_process_that_uses_the_library_is_named(site: Directory) -> None:
    before = on_host(LIST)
    engine.docker("exec", "--detach", HOST, "python3", "-c", HOLD)
    on_host("until test -e /tmp/held; do sleep 0.1; done")
    try:
        site.provision("cudnn", "status").ended_with(0).says("in use by pid")
        site.provision("cudnn", "swap").ended_with(1).says("is in use by pid", "--in-use")
        assert on_host(LIST) == before
        site.provision("cudnn", "swap", "--in-use").ended_with(0).says("replaced by cuDNN 5.0.5")
    finally:
        engine.docker("exec", HOST, "pkill", "-f", "time.sleep")
    site.provision("cudnn", "restore").ended_with(0)
    assert on_host(LIST) == before


def test_archive_for_another_cuda_is_refused(site: Directory, tmp_path: Path) -> None:
    other = tmp_path / cudnn.archive_name("5.1.10", "8.0")
    other.write_bytes(cudnn.archive("5.1.10"))
    store.add(tmp_path / "mirror", other, catalogue.load())
    refused = site.provision("cudnn", "swap", "--mirror", str(tmp_path / "mirror")).ended_with(2)
    refused.says("is for CUDA 8.0", f"{HOST}: {TREE} is CUDA 7.5")
