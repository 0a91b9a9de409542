"""What is in /usr/local, which compilers and CMake find before the OS packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.module_utils.host import build_tools
from tests.unit.programs import program

HEADERS = {
    "include/H5public.h": '#define H5_VERS_INFO    "HDF5 library version 1.14.5"      /* Full version string */\n',
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


@pytest.mark.parametrize("text", ["", "segmentation fault", "cmake version", "cmake version x"])
def test_what_says_no_version_is_left_out(tmp_path: Path, text: str) -> None:
    assert "cmake" not in build_tools.own(str(local(tmp_path, cmake=text)))


def test_nothing_is_there(tmp_path: Path) -> None:
    assert build_tools.own(str(tmp_path)) == {}
    (tmp_path / "bin" / "cmake").mkdir(parents=True)
    (tmp_path / "include" / "H5public.h").mkdir(parents=True)
    assert build_tools.own(str(tmp_path)) == {}
