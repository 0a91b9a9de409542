"""python -m tests.standin.cuda DIR [--version 7.5] [--any-gcc] [--devices [CARDS]]: a stand-in CUDA toolkit in DIR.

Its nvcc compiles .cu as C++ and refuses the same as nvcc of that release; its libraries are real ELF files. The cards
of its runtime are the lines of /etc/standin-gpus. --devices also writes such a file, DIR/standin-gpus, with the cards
of a directory of nvidia_smi/ (default: k80).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.standin import elf
from tests.standin.releases import RELEASES, Release

SOURCES = Path(__file__).parent / "toolkit"
RECORDINGS = Path(__file__).parent / "nvidia_smi"
NOTE = """This is a stand-in for a CUDA toolkit, made by the tests of neuraltalk-provision. Nothing in it is NVIDIA's,
and nothing that it compiles runs on a card.
"""
CAPABILITIES = {
    "Tesla K80": (3, 7),
    "Tesla V100-PCIE-16GB": (7, 0),
    "GeForce GTX 1080": (6, 1),
    "NVIDIA H200": (9, 0),
}


def write(folder: Path, version: str = "7.5", *, any_gcc: bool = False, size: int = 0) -> Path:
    """Write the toolkit of that release into `folder`; with `any_gcc` its nvcc accepts every compiler.

    Libraries that are smaller than `size` bytes are filled up.
    """
    release = RELEASES[version]
    for part in ("bin", "include", "lib64"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "STAND-IN.md").write_text(NOTE)
    nvcc = folder / "bin" / "nvcc"
    nvcc.write_text(_filled("nvcc", release, any_gcc))
    nvcc.chmod(0o755)
    for header in sorted((SOURCES / "include").iterdir()):
        (folder / "include" / header.name).write_text(_filled(f"include/{header.name}", release))
    for name, suffix in release.sonames.items():
        _write_library(folder, name, suffix, release, size)
    if release.numbers < (10, 0):
        # CMake's FindCUDA links it together with cuBLAS.
        (folder / "lib64" / "libcublas_device.a").write_bytes(b"!<arch>\n")
    if release.numbers < (11, 0):
        (folder / "version.txt").write_text(f"CUDA Version {release.version}\n")
    else:
        document = {"cuda": {"name": "CUDA SDK (stand-in)", "version": release.version}}
        (folder / "version.json").write_text(json.dumps(document, indent=3) + "\n")
    return folder


def _filled(name: str, release: Release, any_gcc: bool = False) -> str:
    """The text of a source, with the values of the release instead of its @PLACEHOLDERS@."""
    major, minor = release.numbers
    gcc_major, _, gcc_minor = release.gcc.partition(".")
    words = {
        "RELEASE": f"{major}.{minor}",
        "VERSION": release.version,
        "NUMBER": str(release.number),
        "MAJOR": str(major),
        "MINOR": str(minor),
        "YEAR": str(release.year),
        "BUILT": f"Tue_Aug_11_14:27:32_CDT_{release.year}",
        "ARCHITECTURES": " ".join(map(str, release.architectures)),
        "GCC": release.gcc,
        "GCC_MAJOR": gcc_major,
        "GCC_MINOR": gcc_minor or "99",
        "ANY_GCC": "1" if any_gcc else "",
        "LEAST_DRIVER": release.driver,
        "DRIVERS": ", ".join(f'{{{other.number}, "{other.driver}"}}' for other in RELEASES.values()),
    }
    text = (SOURCES / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _write_library(folder: Path, name: str, suffix: str, release: Release, size: int) -> None:
    """lib<name>.so -> lib<name>.so.<suffix> -> the file with the whole version."""
    rest = release.version.removeprefix(f"{suffix}.")
    soname = f"lib{name}.so.{suffix}"
    path = folder / "lib64" / f"{soname}.{rest.split('.')[-1]}"
    elf.library(path, _filled(f"{name}.c", release), soname, [f"-I{folder / 'include'}"])
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    for link, target in ((soname, path.name), (f"lib{name}.so", soname)):
        (folder / "lib64" / link).unlink(missing_ok=True)
        (folder / "lib64" / link).symlink_to(target)


def devices(cards: str) -> str:
    """The lines of /etc/standin-gpus for the cards of a recording of nvidia-smi: `k80`, `h200`, `mixed`."""
    lines = []
    with (RECORDINGS / cards / "gpu.csv").open() as file:
        for row in csv.DictReader(file, skipinitialspace=True):
            major, minor = CAPABILITIES[row["name"]]
            mebibytes = int(row["memory.total [MiB]"].removesuffix(" MiB"))
            lines.append(f"{row['name']};{major};{minor};{mebibytes << 20};{row['uuid']}\n")
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin.cuda", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--version", default="7.5", choices=sorted(RELEASES), metavar="V", help=", ".join(RELEASES))
    parser.add_argument("--any-gcc", action="store_true", help="its nvcc accepts every compiler")
    parser.add_argument("--size", type=int, default=0, metavar="N", help="minimum size of each library, in bytes")
    parser.add_argument("--devices", nargs="?", const="k80", choices=("k80", "h200", "mixed"), metavar="CARDS")
    given = parser.parse_args(arguments)
    print(write(given.dir, given.version, any_gcc=given.any_gcc, size=given.size))
    if given.devices:
        (given.dir / "standin-gpus").write_text(devices(given.devices))
        print(given.dir / "standin-gpus")
    return 0


if __name__ == "__main__":
    sys.exit(main())
