"""Source edits on a tree: all or none are applied, once, and a wrong count shows the lines."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
FETCH = {"file": "install.sh", "pattern": "git fetch\n", "replacement": "", "count": 1, "reason": "no network"}
NVCC = {"file": "install.sh", "pattern": "nvcc", "replacement": "true", "count": 2, "reason": "no GPU"}
FFI = {"file": "lua/ffi.lua", "pattern": "maj ~= 8", "replacement": "maj < 8", "count": 1, "reason": "HDF5 1.10"}
TEXT = "é\ngit fetch\nnvcc a\nnvcc b\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An unpacked source at a path with a space and a quote."""
    root = tmp_path / "the 'source' tree"
    (root / "lua").mkdir(parents=True)
    (root / "install.sh").write_text(TEXT, encoding="utf-8")
    (root / "install.sh").chmod(0o755)
    (root / "lua" / "ffi.lua").write_bytes(b"if maj ~= 8 then\r\n")
    return root


def content(tree: Path) -> dict[str, bytes]:
    return {str(file.relative_to(tree)): file.read_bytes() for file in tree.rglob("*") if file.is_file()}


def test_edits_are_made_with_their_diff_and_keep_modes_and_line_ends(run_module: Run, tree: Path) -> None:
    said = run_module("source_edit", root=tree, edits=[FETCH, FFI, NVCC])
    assert said["changed"] is True
    assert said["files"] == ["install.sh", "lua/ffi.lua"]
    assert (tree / "install.sh").read_text(encoding="utf-8") == "é\ntrue a\ntrue b\n"
    assert (tree / "lua" / "ffi.lua").read_bytes() == b"if maj < 8 then\r\n"
    assert stat.S_IMODE((tree / "install.sh").stat().st_mode) == 0o755
    first, _second = said["diff"]
    assert (first["before"], first["after"]) == (TEXT, "é\ntrue a\ntrue b\n")


def test_edits_are_made_once(run_module: Run, tree: Path) -> None:
    run_module("source_edit", root=tree, edits=[FETCH, NVCC])
    before = content(tree)
    assert run_module("source_edit", root=tree, edits=[FETCH, NVCC])["changed"] is False
    assert content(tree) == before


def test_file_that_was_changed_since_is_not_taken_for_edited(run_module: Run, tree: Path) -> None:
    run_module("source_edit", root=tree, edits=[FETCH])
    (tree / "install.sh").write_text(TEXT, encoding="utf-8")
    assert run_module("source_edit", root=tree, edits=[FETCH])["changed"] is True


def test_other_edits_of_a_tree_that_was_edited_are_an_error(run_module: Run, tree: Path) -> None:
    run_module("source_edit", root=tree, edits=[FETCH])
    with pytest.raises(ModuleError, match="occurs 0 times"):
        run_module("source_edit", root=tree, edits=[FETCH, NVCC])


def test_count_that_differs_names_the_lines(run_module: Run, tree: Path) -> None:
    with pytest.raises(ModuleError) as caught:
        run_module("source_edit", root=tree, edits=[{**NVCC, "count": 1}])
    message = str(caught.value)
    assert "install.sh: 'nvcc' occurs 2 times, expected 1. The edit (no GPU)" in message
    assert "line 3: nvcc a\n  line 4: nvcc b" in message


def test_nothing_is_touched_where_one_of_several_edits_does_not_fit(run_module: Run, tree: Path) -> None:
    before = content(tree)
    for bad in ({**FFI, "pattern": "gone"}, {**FFI, "file": "lua/none.lua"}):
        with pytest.raises(ModuleError):
            run_module("source_edit", root=tree, edits=[FETCH, bad])
        assert content(tree) == before


def test_missing_file_is_named(run_module: Run, tree: Path) -> None:
    with pytest.raises(ModuleError, match=r"none\.lua: the source tree has no such file"):
        run_module("source_edit", root=tree, edits=[{**FFI, "file": "none.lua"}])


def test_check_mode_predicts_and_touches_nothing(run_module: Run, tree: Path) -> None:
    before = content(tree)
    said = run_module("source_edit", check=True, root=tree, edits=[FETCH])
    assert (said["changed"], len(said["diff"])) == (True, 1)
    assert content(tree) == before
    run_module("source_edit", root=tree, edits=[FETCH])
    assert run_module("source_edit", check=True, root=tree, edits=[FETCH])["changed"] is False


def test_check_mode_finds_an_edit_that_will_not_fit(run_module: Run, tree: Path) -> None:
    with pytest.raises(ModuleError):
        run_module("source_edit", check=True, root=tree, edits=[{**NVCC, "count": 1}])


def test_check_mode_predicts_a_change_of_a_tree_that_is_not_there_yet(run_module: Run, tmp_path: Path) -> None:
    assert run_module("source_edit", check=True, root=tmp_path / "none", edits=[FETCH])["changed"] is True
    with pytest.raises(ModuleError):
        run_module("source_edit", root=tmp_path / "none", edits=[FETCH])


def test_record_that_was_cut_short_is_no_record(run_module: Run, tree: Path, load: Callable[[str], ModuleType]) -> None:
    record = tree / load("source_edit").RECORD
    record.write_text('{"edits": [')
    assert run_module("source_edit", root=tree, edits=[FETCH])["changed"] is True
    assert json.loads(record.read_text())["edits"] == [FETCH]


def test_edit_sees_what_the_one_before_it_left(load: Callable[[str], ModuleType]) -> None:
    edits = load("rules.edits")
    one = {"file": "f", "pattern": "a", "replacement": "b", "count": 1, "reason": "r"}
    two = {"file": "f", "pattern": "b", "replacement": "c", "count": "2", "reason": "r"}
    assert edits.apply_edits("ab", [one, two]) == "cc"
    with pytest.raises(edits.EditError, match="occurs 1 times, expected 2"):
        edits.apply_edits("ab", [two, one])


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("if x then\nerror(identifier)\nend\n", "  line 2: error(identifier, 3)"),  # the longest line, its longest word
        ("  error(identifier .. x)\n", "  line 2: error(identifier, 3)"),
        ("()", "  line 4: stop()"),
        ("gone", "  none"),
    ],
)
def test_mismatch_shows_the_lines_that_the_pattern_may_mean(
    load: Callable[[str], ModuleType], pattern: str, lines: str
) -> None:
    edits = load("rules.edits")
    with pytest.raises(edits.EditError) as caught:
        edits.apply_edits(
            "if x then\n  error(identifier, 3)\nend\nstop()\n", [{**FETCH, "pattern": pattern, "count": 7}]
        )
    assert str(caught.value).partition("Similar lines:\n")[2] == lines


def test_edits_are_taken_file_by_file_in_the_order_of_first_mention(load: Callable[[str], ModuleType]) -> None:
    grouped = load("rules.edits").by_file([FETCH, FFI, NVCC])
    assert [(name, len(edits)) for name, edits in grouped] == [("install.sh", 2), ("lua/ffi.lua", 1)]


def test_lines_that_end_as_on_windows_are_named_instead_of_another_version(
    load: Callable[[str], ModuleType],
) -> None:
    edits = load("rules.edits")
    edit = {"file": "CMakeLists.txt", "pattern": "a(1)\nb(2)\n", "replacement": "", "count": 1, "reason": "r"}
    with pytest.raises(edits.EditError, match=r"end with CR LF, as on Windows.*core\.autocrlf=false") as raised:
        edits.apply_edits("a(1)\r\nb(2)\r\n", [edit])
    assert "compare the archive's version" not in str(raised.value)
    with pytest.raises(edits.EditError, match="compare the archive's version"):
        edits.apply_edits("a(1)\r\nc(2)\r\n", [edit])
