"""The CUDA directories and compilers of a host, with stand-ins for nvcc and gcc."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.standin import cudnn
from tests.unit.programs import program


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("gpu.toolkits")


def cuda(root: Path, version: str, lacks: tuple[str, ...] = ()) -> Path:
    """A CUDA directory with a stand-in nvcc that tells its release."""
    release = f"Cuda compilation tools, release {version}, V{version}.17"
    program(root / "bin" / "nvcc", f"#!/bin/sh\necho 'nvcc: NVIDIA (R) Cuda compiler driver'\necho '{release}'\n")
    (root / "include").mkdir()
    for name, header in (("cudart", "cuda_runtime.h"), ("cublas", "cublas_v2.h"), ("curand", "curand.h")):
        if name not in lacks:
            (root / "include" / header).write_text("")
    if "cusparse" not in lacks:
        (root / "include" / "cusparse.h").write_text("")
    return root


def test_cuda_directories_are_found_once_whatever_links_point_there(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cuda(tmp_path / "the site's cuda-7.5", "7.5")
    cudnn.place(own, "4.0.7")
    cuda(tmp_path / "cuda-13.0", "13.0", lacks=("cublas", "cusparse"))
    (tmp_path / "cuda").symlink_to(own)
    (tmp_path / "cuda-broken" / "bin").mkdir(parents=True)
    monkeypatch.setattr(module, "TREES", (f"{tmp_path}/cuda", f"{tmp_path}/*cuda-*"))
    found = {tree["version"]: tree for tree in module.toolkits()}
    assert set(found) == {"7.5", "13.0"}
    assert (found["7.5"]["path"], found["7.5"]["link"]) == (str(own), str(tmp_path / "cuda"))
    changed = found["7.5"]["cudnn"].pop("changed")
    assert changed == int((own / "lib64" / "libcudnn.so").stat().st_ctime)
    assert found["13.0"]["cudnn"]["changed"] is None
    assert found["7.5"]["cudnn"] == {"state": "whole", "header": "4.0.7", "library": "4.0.7", "phase": ""}
    assert found["7.5"]["lacks"] == []
    assert (found["13.0"]["lacks"], found["13.0"]["cudnn"]["state"]) == (["cublas", "cusparse"], "absent")
    assert [tree["version"] for tree in module.toolkits(str(tmp_path / "cuda-13.0"))] == ["13.0"]
    assert module.toolkits(str(tmp_path / "nowhere")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user takes root to make")
@pytest.mark.parametrize(("part", "how"), [
    (".", "owner"), ("..", "owner"), ("bin", "writable"), ("bin/nvcc", "owner"), ("bin/nvcc", "writable"),
    ("lib64/libcudnn.so", "writable"), ("include", "owner"),
])  # fmt: skip
def test_nothing_of_a_cuda_directory_that_another_user_can_change_is_executed(
    module: ModuleType, tmp_path: Path, part: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cuda(tmp_path / "srv" / "cuda-7.5", "7.5")
    cudnn.place(own, "4.0.7")
    place = (own / part).resolve()
    os.chown(place, 65534, 0) if how == "owner" else place.chmod(0o777)
    ran = list[Sequence[str]]()
    monkeypatch.setattr(module, "output_of", lambda argv, **_how: ran.append(argv) or ("", 0))
    monkeypatch.setattr(sys.modules[module.inspect.__module__], "output_of", module.output_of)
    (tree,) = module.toolkits(str(own))
    assert (tree["version"], tree["cudnn"]["state"]) == ("", "mixed")
    assert tree["problem"].startswith(f"{place} (")
    assert ("chown it to root" if how == "owner" else "chmod go-w it") in tree["problem"]
    assert tree["problem"].endswith(", or name another CUDA directory (gpu_stack_cuda, --cuda)")
    assert [argv for argv in ran if str(own / "bin" / "nvcc") in argv] == []
    assert (ran == []) == (part not in ("bin", "bin/nvcc", "include"))


def test_compiler_tells_its_version_and_one_that_is_not_there_tells_none(module: ModuleType, tmp_path: Path) -> None:
    old = program(tmp_path / "gcc-4.9", "#!/bin/sh\necho 4.9.4\n")
    assert module.compiler(str(old)) == ("4.9.4", "")
    assert module.compiler(str(tmp_path / "gcc")) == ("", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user takes root to make")
@pytest.mark.parametrize("part", ["..", ".", "gcc-4.9", "g++-4.9"])
@pytest.mark.parametrize("named", ["by its path", "by its name"])
def test_compiler_that_another_user_can_change_is_not_executed(
    module: ModuleType, tmp_path: Path, part: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "srv" / "bin"
    folder.mkdir(parents=True)
    for name in ("gcc-4.9", "g++-4.9"):
        program(folder / name, f"#!/bin/sh\ntouch {tmp_path}/executed\necho 4.9.4\n")
    monkeypatch.setattr(sys.modules[module.path_of.__module__], "PATH", str(folder))
    gcc = str(folder / "gcc-4.9") if named == "by its path" else "gcc-4.9"
    os.chown(folder / part, 65534, 0)
    version, problem = module.compiler(gcc)
    assert (version, (tmp_path / "executed").exists()) == ("", False)
    assert "belongs to nobody" in problem
    assert problem.endswith(", or name another compiler (gpu_stack_gcc)")
