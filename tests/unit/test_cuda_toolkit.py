"""One CUDA toolkit from a directory of the host, from wheels, or from both; tested before a long build starts."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.standin import cuda
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole stand-in toolkit of release 13.0."""
    return cuda.write(tmp_path_factory.mktemp("cuda") / "cuda-13.0", "13.0", any_gcc=True)


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("cuda_toolkit")


def wheel(path: Path, source: Path, *names: str) -> None:
    """A wheel with these files of a toolkit, as NVIDIA packs them: lib and not lib64, sonames only, no modes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"nvidia/cu13/{name.replace('lib64', 'lib')}", (source / name).read_bytes())
        archive.writestr("nvidia_x-13.0.dist-info/METADATA", "Name: stand-in\n")
        archive.writestr("nvidia/cu13/include/../../../escaped", "no")


@pytest.fixture
def lacking(standin: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A toolkit without cuBLAS and cuSPARSE, and wheels with these two and nothing else."""
    host, wheels = tmp_path / "the site's cuda", tmp_path / "wheels"
    wheels.mkdir()
    parts = {"cublas": "include/cublas_v2.h", "cusparse": "include/cusparse.h"}
    for path in sorted(standin.rglob("*")):
        if path.is_file() and not any(part in path.name for part in parts):
            target = host / path.relative_to(standin)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target, follow_symlinks=False)
    for part, header in parts.items():
        (soname,) = {p.name for p in (standin / "lib64").glob(f"lib{part}.so.*") if p.is_symlink()}
        wheel(wheels / f"nvidia_{part}-13.whl", standin, header, f"lib64/{soname}")
    return host, wheels


def bring(run_module: Run, tmp_path: Path, **given: Any) -> tuple[Path, str]:
    """(the destination, the evidence)."""
    place = tmp_path / "generation" / "cuda"
    defaults = {"release": "13.0", "archs": "9.0", "log": tmp_path / "logs" / "cuda.log"}
    return place, run_module("cuda_toolkit", destination=place, **{**defaults, **given})["evidence"]


def test_whole_toolkit_of_the_host_is_one_link_a_part(run_module: Run, standin: Path, tmp_path: Path) -> None:
    place, evidence = bring(run_module, tmp_path, toolkit=standin)
    for part in ("bin", "include", "lib64"):
        assert (place / part).resolve() == standin / part
    assert evidence.startswith("nvcc 13.0.")
    assert f"from {standin} compiled a trial for 9.0 in " in evidence


def test_what_the_host_lacks_comes_from_wheels_with_the_names_that_they_leave_out(
    run_module: Run, lacking: tuple[Path, Path], tmp_path: Path
) -> None:
    host, wheels = lacking
    with pytest.raises(ModuleError, match=r"nvcc does not compile a trial for 9\.0"):
        bring(run_module, tmp_path, toolkit=host)
    place, evidence = bring(run_module, tmp_path, toolkit=host, wheels=wheels)
    assert f"from {host} and 2 wheels" in evidence
    library = place / "lib64" / "libcublas.so"
    assert library.is_symlink()
    assert library.resolve().name.startswith("libcublas.so.13")
    assert not list(tmp_path.rglob("escaped"))


def test_wheels_can_be_all_of_it(run_module: Run, standin: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    files = [str(path.relative_to(standin)) for path in sorted(standin.rglob("*")) if path.is_file()]
    plain = [name for name in files if not name.endswith(".so")]
    wheel(wheels / "nvidia_all-13.whl", standin, *plain)
    place, evidence = bring(run_module, tmp_path, wheels=wheels)
    assert os.access(place / "bin" / "nvcc", os.X_OK)
    assert "from 1 wheels" in evidence
    assert (place / "lib").resolve() == place / "lib64"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"archs": "3.7"}, r"nvcc does not compile a trial for 3\.7(.|\n)*Unsupported gpu architecture 'compute_37'"),
        ({"release": "12.8"}, r"is not of release 12\.8: it prints"),
        ({"gcc": "/nowhere/gcc"}, "nvcc does not compile a trial"),
    ],
)
def test_what_nvcc_does_not_take_is_known_before_the_build(
    run_module: Run, standin: Path, tmp_path: Path, given: dict[str, str], words: str
) -> None:
    with pytest.raises(ModuleError, match=words):
        bring(run_module, tmp_path, toolkit=standin, **given)


def test_gcc_that_is_too_new_is_told_by_nvcc_itself(run_module: Run, tmp_path: Path) -> None:
    strict = cuda.write(tmp_path / "cuda-7.5", "7.5")
    with pytest.raises(ModuleError, match=r"unsupported GNU version! gcc versions later than 4\.9"):
        bring(run_module, tmp_path, toolkit=strict, release="7.5", archs="3.7")


def test_truncated_wheel_and_a_toolkit_without_nvcc_are_named(run_module: Run, standin: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "nvidia_cut-13.whl").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ModuleError, match=r"nvidia_cut-13\.whl is not a complete wheel"):
        bring(run_module, tmp_path, wheels=wheels)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModuleError, match=r"neither .*empty nor the wheels contain nvcc"):
        bring(run_module, tmp_path, toolkit=tmp_path / "empty")


def test_check_mode_builds_nothing(run_module: Run, standin: Path, tmp_path: Path) -> None:
    place, evidence = bring(run_module, tmp_path, toolkit=standin, check=True)
    assert (evidence, place.exists()) == ("", False)


def test_debians_toolkit_is_found_where_its_packages_put_it(module: ModuleType, tmp_path: Path) -> None:
    for place in ("lib/nvidia-cuda-toolkit/bin", "lib/x86_64-linux-gnu", "include", "lib/nvidia-cuda-toolkit/nvvm"):
        (tmp_path / "usr" / place).mkdir(parents=True)
    root = str(tmp_path / "usr" / "lib" / "nvidia-cuda-toolkit")
    found = {part: module.part_of(root, part) for part in module.FOLDERS}
    usr = str(tmp_path / "usr")
    assert found == {
        "bin": f"{root}/bin",
        "include": f"{usr}/include",
        "lib64": f"{usr}/lib/x86_64-linux-gnu",
        "nvvm": f"{root}/nvvm",
    }
