"""The GPU stand-ins: toolkit, cuDNN, nvidia-smi and the archives of the rocks, without building a rock."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.standin import __main__ as standin
from tests.standin import archives, cuda, cudnn
from tests.standin.releases import RELEASES

SMI = Path(cuda.__file__).parent / "nvidia_smi"
K80 = cuda.devices("k80")
NO_CARD = "error {number} : no CUDA-capable device is detected"


def run(*argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a program printed, with nothing in its environment that chooses cards."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "STANDIN_"))}
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, text=True, env={**kept, **environment}, check=False)


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CUDA 7.5, whose nvcc takes the compiler of this machine, at a path with a space."""
    return cuda.write(tmp_path_factory.mktemp("a toolkit") / "cuda-7.5", any_gcc=True)


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cuda.write(tmp_path_factory.mktemp("newest") / "cuda-13.0", "13.0", any_gcc=True, size=1 << 20)


# The toolkit.


def test_nvcc_tells_its_release_in_four_lines(toolkit: Path) -> None:
    lines = run(toolkit / "bin" / "nvcc", "--version").stdout.splitlines()
    assert lines[0] == "nvcc: NVIDIA (R) Cuda compiler driver"
    assert lines[3:] == ["Cuda compilation tools, release 7.5, V7.5.17"]
    assert (toolkit / "version.txt").read_text() == "CUDA Version 7.5.17\n"
    assert "#define CUDA_VERSION 7050\n" in (toolkit / "include" / "cuda.h").read_text()


def test_toolkit_calls_itself_a_stand_in_wherever_it_can_be_read(toolkit: Path) -> None:
    read = [toolkit / "bin" / "nvcc", *(toolkit / "include").iterdir()]
    assert [path for path in read if "stand-in" not in path.read_text().lower()] == []


def test_libraries_are_real_and_have_the_names_of_their_release(toolkit: Path, newest: Path) -> None:
    for tree, sonames in ((toolkit, ("7.5", "7.5", "7.5", "7.5")), (newest, ("13", "13", "10", "12"))):
        for name, suffix in zip(("cudart", "cublas", "curand", "cusparse"), sonames, strict=True):
            library = tree / "lib64" / f"lib{name}.so"
            assert os.readlink(library) == f"lib{name}.so.{suffix}"  # noqa: PTH115
            assert library.read_bytes()[:4] == b"\x7fELF"
            assert f"lib{name}.so.{suffix}\0".encode() in library.read_bytes()
    assert (newest / "lib64" / "libcudart.so").stat().st_size == 1 << 20
    assert (newest / "version.json").is_file()


@pytest.mark.parametrize(
    ("words", "fatal"),
    [
        (["-gencode", "arch=compute_90,code=sm_90"], "Unsupported gpu architecture 'compute_90'"),
        (["--generate-code=arch=compute_37,code=[sm_37,sm_60]"], "Unsupported gpu architecture 'sm_60'"),
        (["-arch=sm_90"], "Value 'sm_90' is not defined for option 'gpu-architecture'"),
        (
            ["-gencode", "arch=compute_37,code=sm_37"],
            "No input files specified; use option --help for more information",
        ),
        (["--no-such-option"], "Unknown option '-no-such-option'"),
        (["missing.cu"], "Could not open input file 'missing.cu'"),
    ],
)
def test_nvcc_refuses(toolkit: Path, words: list[str], fatal: str) -> None:
    done = run(toolkit / "bin" / "nvcc", *words)
    assert (done.returncode, done.stderr) == (1, f"nvcc fatal   : {fatal}\n")


def test_what_a_release_builds_for_and_compiles_with_only_moves_forward() -> None:
    rows = list(RELEASES.values())
    assert RELEASES["7.5"].architectures[-1] == 53
    assert {90, 100} & set(RELEASES["12.4"].architectures) == {90}
    assert min(RELEASES["13.0"].architectures) == 75
    for one, two in itertools.pairwise(rows):
        assert one.numbers < two.numbers and one.number < two.number
        assert one.least <= two.least and one.greatest <= two.greatest


def test_nvcc_compiles_what_the_product_tries_and_runs_it(toolkit: Path, tmp_path: Path) -> None:
    source = tmp_path / "a trial.cu"
    source.write_text(
        "#include <cublas_v2.h>\n#include <cusparse.h>\n#include <cstdio>\n"
        "__global__ void add(float *x) { *x += ONE; }\n"
        "int main() { cublasHandle_t blas; cusparseHandle_t sparse; int count = 0;\n"
        "  int error = cudaGetDeviceCount(&count); float one = 1; add(&one);\n"
        '  printf("error %d : %s\\n", error, cudaGetErrorString((cudaError_t)error));\n'
        "  return (int)one - 2 + cublasCreate(&blas) + cusparseCreate(&sparse); }\n"
    )
    nvcc, lib = toolkit / "bin" / "nvcc", toolkit / "lib64"
    words = ["-gencode", "arch=compute_37,code=sm_37", "-DONE=1", "-Xcompiler", ',"-fPIC","-O1"', "-std=c++11"]
    built = run(nvcc, *words, source, "-o", tmp_path / "trial", "-lcublas", "-lcusparse", "-ccbin", "gcc")
    assert (built.returncode, built.stderr) == (0, "")

    gpus = tmp_path / "gpus"
    gpus.write_text(K80)
    cases = {
        NO_CARD.format(number=38): {"STANDIN_GPUS": "/nonexistent"},
        "error 0 : no error": {"STANDIN_GPUS": str(gpus)},
        "error 35 : CUDA driver version is insufficient for CUDA runtime version": {
            "STANDIN_GPUS": str(gpus),
            "STANDIN_DRIVER": "346.46",
        },
    }
    for said, environment in cases.items():
        done = run(tmp_path / "trial", LD_LIBRARY_PATH=str(lib), **environment)
        assert (done.returncode, done.stdout) == (0, f"{said}\n")


def test_nvcc_compiles_the_products_trial_and_notes_the_architectures(
    toolkit: Path, newest: Path, tmp_path: Path
) -> None:
    module = Path(__file__).parents[2] / "plugins" / "modules" / "cuda_toolkit.py"
    trial = re.search(r'^TRIAL = """(.*?)"""', module.read_text(), re.DOTALL | re.MULTILINE)
    assert trial
    (tmp_path / "trial.cu").write_text(trial[1])
    codes = (
        ("arch=compute_35,code=sm_35", "arch=compute_37,code=[sm_37,compute_37]"),
        ("arch=compute_90,code=sm_90",),
    )
    noted = (b"stand-in code for sm_35 sm_37 compute_37\0", b"stand-in code for sm_90\0")
    for tree, asked, text in zip((toolkit, newest), codes, noted, strict=True):
        words = [tree / "bin" / "nvcc", "-o", tmp_path / "trial", tmp_path / "trial.cu"]
        words += [word for code in asked for word in ("-gencode", code)]
        words += [f"-I{tree / 'include'}", f"-L{tree / 'lib64'}", "-lcublas", "-lcurand", "-lcusparse"]
        built = run(*words)
        assert (built.returncode, built.stderr) == (0, "")
        assert text in (tmp_path / "trial").read_bytes()
        assert run(tmp_path / "trial", LD_LIBRARY_PATH=str(tree / "lib64")).returncode == 0


def test_nvcc_refuses_a_compiler_that_is_too_new_for_it_unless_told_not_to(toolkit: Path, tmp_path: Path) -> None:
    strict = cuda.write(tmp_path / "strict")
    (tmp_path / "empty.cu").write_text("")
    words = (strict / "bin" / "nvcc", "-c", tmp_path / "empty.cu", "-o", tmp_path / "empty.o")
    refused = run(*words)
    assert refused.returncode == 1
    assert "error: #error -- unsupported GNU version! gcc versions later than 4.9 are not supported!" in refused.stderr
    assert not (tmp_path / "empty.o").exists()
    assert run(*words, STANDIN_ANY_GCC="1").returncode == 0
    assert (tmp_path / "empty.o").is_file()


ASK = """
import ctypes, sys
runtime = ctypes.CDLL(sys.argv[1])
count = ctypes.c_int()
error = runtime.cudaGetDeviceCount(ctypes.byref(count))
names = []
for index in range(count.value):
    prop = ctypes.create_string_buffer(1024)
    runtime.cudaGetDeviceProperties(prop, index)
    names.append(prop.value.decode())
print(error, count.value, *names, runtime.cudaSetDevice(count.value), sep="|")
"""


@pytest.mark.parametrize(
    ("visible", "said"),
    [
        (None, "0|4|Tesla V100-PCIE-16GB|Tesla K80|Tesla K80|GeForce GTX 1080|101"),
        ("1,0", "0|2|Tesla K80|Tesla V100-PCIE-16GB|101"),
        ("3,9,0", "0|1|GeForce GTX 1080|101"),
        ("GPU-5ad1a1d0-0004", "0|1|GeForce GTX 1080|101"),
        ("", "100|0|100"),
        ("9", "100|0|100"),
        ("GPU-ffff", "100|0|100"),
    ],
)
def test_runtime_sees_the_cards_that_are_visible(newest: Path, tmp_path: Path, visible: str | None, said: str) -> None:
    gpus = tmp_path / "gpus"
    gpus.write_text("# index by line\n" + cuda.devices("mixed"))
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    done = run(sys.executable, "-c", ASK, newest / "lib64" / "libcudart.so", STANDIN_GPUS=str(gpus), **environment)
    assert done.stdout == said + "\n", done.stderr


def test_devices_are_those_of_the_recording() -> None:
    lines = K80.splitlines()
    assert len(lines) == 4
    assert lines[0].split(";")[:4] == ["Tesla K80", "3", "7", str(11519 << 20)]
    assert cuda.devices("h200").startswith("NVIDIA H200;9;0;")


# cuDNN.


def test_cudnn_archive_has_nvidias_members_modes_and_links() -> None:
    with tarfile.open(fileobj=io.BytesIO(cudnn.archive())) as tar:
        members = {
            entry.name: entry.linkname if entry.issym() else f"{entry.mode:04o}" for entry in tar if not entry.isdir()
        }
        header = tar.extractfile("cuda/include/cudnn.h")
        assert header is not None
        assert re.findall(r"#define CUDNN_(?:MAJOR|MINOR|PATCHLEVEL) +(\d)", header.read().decode()) == ["5", "0", "5"]
    assert members == {
        "cuda/include/cudnn.h": "0444",
        "cuda/lib64/libcudnn.so": "libcudnn.so.5",
        "cuda/lib64/libcudnn.so.5": "libcudnn.so.5.0.5",
        "cuda/lib64/libcudnn.so.5.0.5": "0775",
        "cuda/lib64/libcudnn_static.a": "0664",
    }


@pytest.mark.parametrize(("version", "number"), [("4.0.7", "4007"), ("5.0.5", "5005"), ("7.6.5", "7605")])
def test_cudnn_answers_with_its_version(tmp_path: Path, version: str, number: str) -> None:
    cudnn.place(tmp_path, version)
    ask = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).cudnnGetVersion())"
    assert run(sys.executable, "-c", ask, tmp_path / "lib64" / "libcudnn.so").stdout.strip() == number


def test_cudnn_of_another_machine_and_of_another_size() -> None:
    library = cudnn.library("5.0.5", machine="aarch64", size=1 << 20)
    assert struct.unpack_from("<H", library, 18)[0] == 183
    assert len(library) == 1 << 20


def test_cudnn_as_tensorflow_left_it_is_three_equal_files(tmp_path: Path) -> None:
    cudnn.place(tmp_path)
    files = [tmp_path / "lib64" / f"libcudnn.so{end}" for end in ("", ".4", ".4.0.7")]
    assert not any(path.is_symlink() for path in files)
    assert len({path.read_bytes() for path in files}) == 1
    assert {f"{path.stat().st_mode & 0o777:o}" for path in files} == {"755"}


# nvidia-smi.


def smi(cards: str, *words: str) -> tuple[int, str]:
    done = run(SMI / "nvidia-smi", *words, STANDIN_NVIDIA_SMI=str(SMI / cards))
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("csv,noheader,nounits", "NVIDIA H200, 143771, 0\n"),
        ("csv,noheader", "NVIDIA H200, 143771 MiB, 0 %\n"),
        ("csv,nounits", "name, memory.total [MiB], utilization.gpu [%]\nNVIDIA H200, 143771, 0\n"),
        ("csv", "name, memory.total [MiB], utilization.gpu [%]\nNVIDIA H200, 143771 MiB, 0 %\n"),
    ],
)
def test_smi_prints_the_fields_in_the_order_that_was_asked_for(form: str, printed: str) -> None:
    assert smi("h200", "--query-gpu=name,memory.total,utilization.gpu", f"--format={form}") == (0, printed)


def test_smi_of_an_old_driver_does_not_know_compute_capabilities() -> None:
    query = ("--query-gpu=index,compute_cap", "--format=csv,noheader,nounits")
    assert smi("k80", *query) == (2, 'Field "compute_cap" is not a valid field to query.\n\n')
    assert smi("mixed", *query)[1].splitlines() == ["0, 7.0", "1, 3.7", "2, 3.7", "3, 6.1"]
    used = smi("k80", "--query-gpu=memory.used", "--format=csv,noheader,nounits")[1]
    assert used.split() == ["3007", "470", "163", "163"]


def test_smi_tells_who_computes_where() -> None:
    query = ("--query-compute-apps=gpu_uuid,used_memory,pid", "--format=csv,noheader,nounits")
    uuids = [line.split(";")[4] for line in K80.splitlines()]
    lines = smi("k80", *query)[1].splitlines()
    assert [line.split(", ") for line in lines] == [
        [uuid, memory, "20861"] for uuid, memory in zip(uuids, ("2951", "414", "107", "107"), strict=True)
    ]
    assert smi("h200", *query) == (0, "")
    assert smi("mixed", *query)[1].endswith(", [N/A], 977\n")


def test_smi_lists_cards_and_shows_a_table() -> None:
    assert smi("h200", "-L") == (0, "GPU 0: NVIDIA H200 (UUID: GPU-5ad1a1d0-0001-4200-8000-000000000200)\n")
    assert "|   3007MiB / 11519MiB |" in smi("k80")[1]


def test_smi_without_a_driver_says_so_whatever_it_is_asked() -> None:
    for words in ((), ("-L",), ("--query-gpu=name", "--format=csv")):
        code, text = smi("broken", *words)
        assert code == 9
        assert text.startswith("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")


def test_smi_refuses_what_it_does_not_know() -> None:
    for words in (("--query-gpu=name",), ("--query-gpu=name", "--format=xml"), ("-q",)):
        assert smi("k80", *words)[0] == 2


# The archives of the rocks.


def test_gpu_archives_are_written_only_when_they_are_asked_for(tmp_path: Path) -> None:
    added = {"cutorch.tgz", "cunn.tgz", "cudnn.torch.tgz", "cudnn-7.5-linux-x64-v5.0-ga.tgz"}
    assert {file for file, _ in standin.gpu_artifacts().values()} == added
    assert not added & {file for file, _ in standin.artifacts().values()}
    assert {path.name for path in standin.write(tmp_path / "all", gpu=True)} >= added | {"torch.tgz"}
    assert [path.name for path in standin.write(tmp_path / "one", ["cunn"])] == ["cunn.tgz"]


def test_rocks_are_laid_out_as_upstreams() -> None:
    wanted = {
        "cutorch": ("rocks/cutorch-scm-1.rockspec", "lib/THC/CMakeLists.txt", "init.lua"),
        "cunn": ("rocks/cunn-scm-1.rockspec", "lib/THCUNN/CMakeLists.txt", "init.lua"),
        "cudnn.torch": ("cudnn-scm-1.rockspec", "ffi.lua", "init.lua"),
    }
    for name, paths in wanted.items():
        members = archives.members(name)
        assert {f"{name}/{path}" for path in (*paths, "STAND-IN.md")} <= members.keys()
    assert b"libcudnn.so.5" in archives.members("cudnn.torch")["cudnn.torch/ffi.lua"]
    for name in ("cutorch", "cunn"):
        assert [path for path in archives.members(name) if path.endswith(".cu")]


def test_live_cards_show_the_run_that_sees_them_and_no_other(tmp_path: Path) -> None:
    # The cards of this test have identifiers of their own: the runs of a site test beside it are on this machine too.
    folder = Path(shutil.copytree(SMI / "live", tmp_path / "live"))
    first, second = (f"GPU-{uuid.uuid4()}" for _ in range(2))
    elsewhere = f"GPU-{uuid.uuid4()}"
    listed = folder / "gpu.csv"
    text = listed.read_text()
    for old, new in zip(re.findall(r"GPU-[0-9a-f-]+", text), (first, second), strict=True):
        text = text.replace(old, new)
    listed.write_text(text)
    luajit = tmp_path / "luajit"
    luajit.write_text("#!/bin/sh\nread _\n")
    luajit.chmod(0o755)
    with contextlib.ExitStack() as stack:
        runs = []
        for card in (second, elsewhere):
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": card}
            start = subprocess.Popen([luajit, "train.lua", "-x"], stdin=subprocess.PIPE, env=environment)
            runs.append(stack.enter_context(start))
            stack.callback(start.communicate, b"\n")
        ask = ("--query-compute-apps=pid,gpu_uuid,used_memory", "--format=csv,noheader,nounits")
        seen = run(SMI / "nvidia-smi", *ask, STANDIN_NVIDIA_SMI=str(folder)).stdout.splitlines()
        assert seen == [f"{runs[0].pid}, {second}, 3007"]
        ask = ("--query-gpu=uuid,memory.used,memory.free,utilization.gpu", "--format=csv,noheader,nounits")
        cards = run(SMI / "nvidia-smi", *ask, STANDIN_NVIDIA_SMI=str(folder)).stdout.splitlines()
        assert cards == [f"{first}, 0, 11441, 0", f"{second}, 3007, 8434, 99"]
