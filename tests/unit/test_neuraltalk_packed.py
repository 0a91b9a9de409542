"""A program of several modules packed into one file that any Python runs."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

MAIN = """import sys
from module_utils.inspecting import found
from module_utils.programs import packed
again = packed.packed((found, packed), "print('packed by a packed one')")
open(sys.argv[1], "wb").write(again)
"""


def test_packed_program_runs_without_what_it_was_packed_from_and_can_pack(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    packed = load("programs.packed")
    modules = [packed, load("inspecting.found"), load("host.files"), load("host.texts")]
    modules += [load(name) for name in ("host.access_lists", "rules.access_list", "rules.texts")]  # which these import
    first, second = tmp_path / "first one.zip", tmp_path / "second.zip"
    first.write_bytes(packed.packed(modules, MAIN))
    for words in ([first, second], [second]):
        done = subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "packed by a packed one\n"


def test_what_was_packed_once_is_packed_again_without_its_archive(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by an account that may not read what Ansible has brought for root."""
    packed = load("programs.packed")
    brought = tmp_path / "payload.zip"
    with zipfile.ZipFile(brought, "w") as archive:
        archive.writestr("only_in_payload.py", "WORD = 'here'\n")
    monkeypatch.syspath_prepend(str(brought))
    module = importlib.import_module("only_in_payload")
    first = packed.source_of(module)
    brought.unlink()
    assert packed.source_of(module) == first == "WORD = 'here'\n"
