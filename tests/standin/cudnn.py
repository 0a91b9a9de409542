"""python -m tests.standin.cudnn DIR [--version V] [--place]: a stand-in cuDNN, as NVIDIA's archive or put in place.

The libraries are real ELF files that only have the function cudnnGetVersion.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import struct
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.standin import elf

MACHINES = {"x86_64": 62, "aarch64": 183}
SIZE = 64 << 10
TIME = 1461405120  # 23 April 2016, as in NVIDIA's archive
HEADER = """/* Stand-in for cuDNN's header: it tells the version and declares nothing. */
#define CUDNN_MAJOR      {0}
#define CUDNN_MINOR      {1}
#define CUDNN_PATCHLEVEL {2}

#define CUDNN_VERSION    (CUDNN_MAJOR * 1000 + CUDNN_MINOR * 100 + CUDNN_PATCHLEVEL)
"""


def numbers(version: str) -> tuple[int, int, int]:
    """The three numbers of a version."""
    first, second, third = (int(part) for part in version.split("."))
    return first, second, third


def library(version: str, machine: str = "x86_64", size: int = SIZE) -> bytes:
    """A library of at least `size` bytes whose cudnnGetVersion returns 5005 for `5.0.5`."""
    major, minor, patch = numbers(version)
    number = major * 1000 + minor * 100 + patch
    with tempfile.TemporaryDirectory() as folder:
        source = f"unsigned long cudnnGetVersion(void) {{ return {number}; }}\n"
        content = bytearray(elf.library(Path(folder) / "cudnn.so", source, f"libcudnn.so.{major}").read_bytes())
    struct.pack_into("<H", content, 18, MACHINES[machine])
    return bytes(content) + bytes(max(0, size - len(content)))


def archive_name(version: str = "5.0.5", cuda: str = "7.5") -> str:
    """NVIDIA's name of the archive, for example cudnn-7.5-linux-x64-v5.0-ga.tgz."""
    major, minor, _patch = numbers(version)
    return f"cudnn-{cuda}-linux-x64-v{major}.{minor}-ga.tgz"


def archive(version: str = "5.0.5", machine: str = "x86_64", size: int = SIZE) -> bytes:
    """The archive, with the members, links and modes of NVIDIA's."""
    major = numbers(version)[0]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, content: bytes | str, mode: int = 0o777) -> None:
            entry = tarfile.TarInfo(f"cuda/{name}")
            entry.mode, entry.mtime = mode, TIME
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))

        add("include/cudnn.h", HEADER.format(*numbers(version)).encode(), 0o444)
        add("lib64/libcudnn.so", f"libcudnn.so.{major}")
        add(f"lib64/libcudnn.so.{major}", f"libcudnn.so.{version}")
        add(f"lib64/libcudnn.so.{version}", library(version, machine, size), 0o775)
        add("lib64/libcudnn_static.a", b"!<arch>\n" + bytes(size), 0o664)
    return gzip.compress(buffer.getvalue(), mtime=0)


def place(tree: Path, version: str = "4.0.7", *, links: bool = False, size: int = SIZE) -> None:
    """Put a cuDNN into a CUDA directory: with `links` as NVIDIA packs it, else as TensorFlow left v4 there.

    TensorFlow left libcudnn.so, .so.4 and .so.4.0.7 as three regular files with the same content and mode 0755, the
    static library 0644, the header 0444.
    """
    major = numbers(version)[0]
    include, lib = tree / "include", tree / "lib64"
    include.mkdir(parents=True, exist_ok=True)
    lib.mkdir(parents=True, exist_ok=True)
    put(include / "cudnn.h", HEADER.format(*numbers(version)).encode(), 0o444)
    put(lib / "libcudnn_static.a", b"!<arch>\n" + bytes(size), 0o644)
    content = library(version, size=size)
    put(lib / f"libcudnn.so.{version}", content, 0o755)
    for name, target in (("libcudnn.so", f"libcudnn.so.{major}"), (f"libcudnn.so.{major}", f"libcudnn.so.{version}")):
        if links:
            (lib / name).symlink_to(target)
        else:
            put(lib / name, content, 0o755)


def put(path: Path, content: bytes, mode: int) -> None:
    """Write a file with that content and mode, and the time in the manual procedure."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, (1471428540, 1471428540))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standin.cudnn", description=__doc__)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--version", default="5.0.5", metavar="V")
    parser.add_argument("--cuda", default="7.5", metavar="V", help="version of CUDA in the name of the archive")
    parser.add_argument("--size", type=int, default=SIZE, metavar="N", help="bytes of the library")
    parser.add_argument("--place", action="store_true", help="put it into DIR as a CUDA directory, as regular files")
    parser.add_argument("--links", action="store_true", help="with --place: with links, as NVIDIA packs it")
    given = parser.parse_args(arguments)
    if given.place:
        place(given.dir, given.version, links=given.links, size=given.size)
        print(given.dir)
        return 0
    given.dir.mkdir(parents=True, exist_ok=True)
    path = given.dir / archive_name(given.version, given.cuda)
    path.write_bytes(archive(given.version, size=given.size))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
