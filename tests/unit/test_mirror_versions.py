"""What archives tell of their version when they are filed, and those that are refused for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import store
from tests.standin import cudnn
from tests.unit.archives import pack

CATALOGUE = catalogue.load()


def add(tmp_path: Path, file: Path, version: str = "") -> str:
    """The version that the lock has of the file once it is filed."""
    return store.add(tmp_path / "the 'mirror'", file, CATALOGUE, version=version).version


def rock(path: Path, ffi: str) -> Path:
    pack(path, {"cudnn.torch/cudnn-scm-1.rockspec": "", "cudnn.torch/ffi.lua": ffi})
    return path


def wheels(path: Path, *names: str) -> Path:
    pack(path, {f"./{name}-py3-none-manylinux_2_27_x86_64.whl": "zip" for name in names}, mode="w")
    return path


def test_cudnn_tells_what_its_header_says_whatever_was_said_of_it(tmp_path: Path) -> None:
    file = tmp_path / cudnn.archive_name("5.1.10", "8.0")
    file.write_bytes(cudnn.archive("5.1.10"))
    assert add(tmp_path, file, version="5.0") == "5.1.10"


def test_cudnn_for_another_machine_is_refused(tmp_path: Path) -> None:
    file = tmp_path / cudnn.archive_name()
    file.write_bytes(cudnn.archive(machine="aarch64"))
    with pytest.raises(MirrorError, match=r"libcudnn\.so\.5\.0\.5 is a library for another machine"):
        add(tmp_path, file)


def test_cudnn_rock_tells_the_branch_by_the_library_that_it_opens(tmp_path: Path) -> None:
    assert add(tmp_path, rock(tmp_path / "cudnn.torch.tgz", "local names = {'libcudnn.so.5'}")) == "R5"
    with pytest.raises(MirrorError, match="does not name the libcudnn that it opens"):
        add(tmp_path, rock(tmp_path / "cudnn.torch-x.tgz", "print('nothing')"))


NVCC, RUNTIME, LINKER = "nvidia_cuda_nvcc-13.0.88", "nvidia_cuda_runtime-13.0.96", "nvidia_nvjitlink-13.0.88"


@pytest.mark.parametrize(
    ("names", "version"),
    [
        ((NVCC, RUNTIME, LINKER, "nvidia_cublas-13.1.0.3"), "13.0"),
        ((RUNTIME, LINKER), "13.0-libraries"),
        (("nvidia_cuda_runtime_cu12-12.8.90", "nvidia_cublas_cu12-12.8.4.1"), "12.8-libraries"),
    ],
)
def test_cuda_wheels_tell_their_release_and_whether_a_compiler_is_among_them(
    tmp_path: Path, names: tuple[str, ...], version: str
) -> None:
    assert add(tmp_path, wheels(tmp_path / "cuda-wheels-debian-12-x86_64.tar", *names)) == version


@pytest.mark.parametrize("names", [(NVCC, "nvidia_cuda_runtime-12.8.90"), ("nvidia_cublas-13.1.0.3",)])
def test_cuda_wheels_of_no_one_release_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(MirrorError, match=re.escape("must belong to one CUDA release; found: ")):
        add(tmp_path, wheels(tmp_path / "cuda-wheels-debian-12-x86_64.tar", *names))
