"""The findings of an inspection are written line by line and counted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.findings")


def test_each_finding_is_written_immediately_and_counted(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "it's.jsonl"
    with module.Findings(str(path)) as found:
        found.fault(os.fsdecode(b"\xff\n.jpg"), "", "empty", "it is empty")
        assert json.loads(path.read_text()) == {
            "file": "\\xff\\x0a.jpg", "place": "", "fault": "empty", "reason": "it is empty", "remark": False,
        }  # fmt: skip
        found.remark("c.h5", "/labels", "places", "é")
    assert len(path.read_text().splitlines()) == 2
    assert found.lines() == ["\\xff\\x0a.jpg: it is empty", "1 fault: 1 empty", "1 remark: 1 places"]
    assert found.counts == {"faults": {"empty": 1}, "remarks": {"places": 1}}


def test_first_findings_are_printed(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN", 1)
    with module.Findings(str(tmp_path / "f")) as found:
        for name in "abc":
            found.fault(name, "here", "empty", "it is empty")
    assert found.lines() == ["a here: it is empty", "and 2 more", "3 faults: 3 empty", "0 remarks"]
    assert [entry["file"] for entry in found.first] == ["a"]


@pytest.mark.parametrize("place", ["none/f", "/dev/full"])
def test_file_that_cannot_be_written_is_an_error(module: ModuleType, tmp_path: Path, place: str) -> None:
    with (
        pytest.raises(module.StackError, match=r"(none/f|/dev/full) cannot be written: No (such file|space left)"),
        module.Findings(str(tmp_path / place)) as found,
    ):
        found.fault("a", "", "empty", "it is empty")


def test_file_that_exists_is_not_overwritten(module: ModuleType, tmp_path: Path) -> None:
    """`inspect cap.csv --findings cap.csv` destroyed the captions."""
    file = tmp_path / "cap.csv"
    file.write_text("file,caption\n")
    with pytest.raises(module.StackError, match=r"cap\.csv exists already, and findings are written"):
        module.Findings(str(file))
    assert file.read_text() == "file,caption\n"
