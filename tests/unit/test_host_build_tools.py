"""What is in /usr/local, which compilers and CMake find before the OS packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.module_utils.host import build_tools
from tests.unit.programs import program

# As in HDF5's own header: 1.10.6 has tabs and comments in these lines, and 1.10.8 and later have spaces.
NUMBERS = "#define H5_VERS_MAJOR\t1\t/* For major changes */\n#define H5_VERS_MINOR 14\n#define H5_VERS_RELEASE 5\n"
OTHERS = '#define H5_VERS_SUBRELEASE ""\n#define H5_VERS_INFO "HDF5 library version: 1.14.5"\n'
HEADERS = {
    "include/H5public.h": NUMBERS + OTHERS,
    "include/google/protobuf/stubs/common.h": "#define GOOGLE_PROTOBUF_VERSION 3021012\n",
}


def local(folder: Path, **programs: str) -> Path:
    """A directory like /usr/local; each program prints its text."""
    for path, text in HEADERS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in programs.items():
        program(folder / "bin" / name, f"#!/bin/sh\n[ \"$1\" = --version ] && printf '%s\\n' '{text}'\n")
    return folder


def test_versions_of_programs_and_libraries_are_read(tmp_path: Path) -> None:
    found = build_tools.own(str(local(tmp_path, cmake="cmake version 3.31.6", protoc="libprotoc 25.1")))
    assert found == {"cmake": "3.31.6", "protoc": "25.1", "hdf5": "1.14.5", "protobuf": "3.21.12"}


def test_version_of_headers_is_the_one_that_their_compiler_prints(tmp_path: Path) -> None:
    header = local(tmp_path) / "include" / "google" / "protobuf" / "stubs" / "common.h"
    header.write_text("#define GOOGLE_PROTOBUF_VERSION 4025001\n", encoding="utf-8")
    assert build_tools.own(str(tmp_path))["protobuf"] == "25.1"


def test_hdf5_of_a_distribution_s_layout_is_found_too(tmp_path: Path) -> None:
    folder = local(tmp_path) / "include" / "hdf5" / "serial"
    folder.mkdir(parents=True)
    (tmp_path / "include" / "H5public.h").rename(folder / "H5public.h")
    assert build_tools.own(str(tmp_path))["hdf5"] == "1.14.5"


@pytest.mark.parametrize("folder", ["lib", "lib64", "lib/hdf5/serial"])
def test_version_of_hdf5_s_library_is_that_in_its_file(tmp_path: Path, folder: str) -> None:
    assert "libhdf5" not in build_tools.own(str(local(tmp_path)))
    library = tmp_path / folder / "libhdf5.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"\x7fELF\0\xffHDF5 library version: 1.12.0\0more\0")
    assert build_tools.own(str(tmp_path))["libhdf5"] == "1.12.0"
    library.write_bytes(b"INPUT(libhdf5.so.200)\n")  # nothing is known of it, so it is taken to fit
    assert build_tools.own(str(tmp_path))["libhdf5"] == "1.14.5"
    (tmp_path / "include" / "H5public.h").unlink()
    assert "libhdf5" not in build_tools.own(str(tmp_path))


def test_version_of_hdf5_needs_all_three_numbers(tmp_path: Path) -> None:
    header = local(tmp_path) / "include" / "H5public.h"
    header.write_text(NUMBERS.replace("H5_VERS_RELEASE 5", "H5_VERS_RELEASE"), encoding="utf-8")
    assert "hdf5" not in build_tools.own(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("cmake version 4.0.0-rc1", "4.0.0"),
        ("cmake3 version 3.17.5", "3.17.5"),  # EPEL's cmake3 of EL 7, under the name cmake
    ],
)
def test_version_of_cmake_is_read_whatever_it_calls_itself(tmp_path: Path, text: str, version: str) -> None:
    assert build_tools.own(str(local(tmp_path, cmake=text)))["cmake"] == version


@pytest.mark.parametrize("text", ["", "segmentation fault", "cmake version", "cmake version x"])
def test_what_says_no_version_is_left_out(tmp_path: Path, text: str) -> None:
    assert "cmake" not in build_tools.own(str(local(tmp_path, cmake=text)))


def test_nothing_is_there(tmp_path: Path) -> None:
    assert build_tools.own(str(tmp_path)) == {}
    (tmp_path / "bin" / "cmake").mkdir(parents=True)
    (tmp_path / "include" / "H5public.h").mkdir(parents=True)
    assert build_tools.own(str(tmp_path)) == {}
