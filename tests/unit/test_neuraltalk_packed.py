"""A program of several modules packed into one file that any Python runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

MAIN = """import sys
from ansible.module_utils import neuraltalk_found, neuraltalk_packed
again = neuraltalk_packed.packed((neuraltalk_found, neuraltalk_packed), "print('packed by a packed one')")
open(sys.argv[1], "wb").write(again)
"""


def test_packed_program_runs_without_what_it_was_packed_from_and_can_pack(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    packed = load("neuraltalk_packed")
    modules = [packed, load("neuraltalk_found"), load("neuraltalk_stack")]
    first, second = tmp_path / "first one.zip", tmp_path / "second.zip"
    first.write_bytes(packed.packed(modules, MAIN))
    for words in ([first, second], [second]):
        done = subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "packed by a packed one\n"
