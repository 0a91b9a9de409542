"""The stand-in Torch and the CMake of the host: edited, it tells the files of its libraries to a CMake of any age."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.rules import edits as rules
from tests.standin import archives

TORCH = {edit.file for edit in catalogue.load().edits["torch"]}
PROJECT = """\
cmake_minimum_required(VERSION 3.5)
project(trial C)
set(Torch_INSTALL_LIB /place/lib)
set(Torch_INSTALL_INCLUDE /place/include)
add_subdirectory(luaT)
"""


def edited(file: str) -> str:
    """The stand-in's file with the source edits."""
    text = archives.members("torch")[f"torch/{file}"].decode()
    return rules.apply_edits(text, [edit.model_dump() for edit in catalogue.load().edits["torch"] if edit.file == file])


@pytest.mark.parametrize("name", ["luaT", "TH"])
def test_nothing_is_left_of_what_cmake_4_removed(name: str) -> None:
    file = f"pkg/torch/lib/{name}/CMakeLists.txt"
    assert "CMP0026 OLD" in archives.members("torch")[f"torch/{file}"].decode()
    assert file in TORCH
    text = edited(file)
    assert "CMP0026 OLD" not in text
    assert "LOCATION)" not in text


@pytest.mark.skipif(not shutil.which("cmake"), reason="this machine has no CMake")
def test_file_of_a_library_is_told_as_before(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "luaT").mkdir()
    (tmp_path / "luaT" / "CMakeLists.txt").write_text(edited("pkg/torch/lib/luaT/CMakeLists.txt"))
    (tmp_path / "luaT" / "luaT.c").write_text("")
    subprocess.run(["cmake", "-S", tmp_path, "-B", tmp_path / "build"], check=True, capture_output=True)
    assert "/place/lib/libluaT.so" in (tmp_path / "build" / "luaT" / "luaTConfig.cmake").read_text()
