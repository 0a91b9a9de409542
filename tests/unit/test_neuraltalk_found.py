"""Faults and remarks, and the number and first rows of each kind of fault."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.found")


def test_rows_are_counted_by_kind_and_the_first_are_named(module: ModuleType) -> None:
    rows = module.Rows()
    rows.add("a", 0, [3])
    rows.add("a", 10, list(range(30)))
    rows.add("b", 5, [])
    assert (rows.count("a"), rows.count("b"), rows.count("c")) == (31, 0, 0)
    assert rows.named("a") == "31 rows: 3, " + ", ".join(str(10 + row) for row in range(19)) + " and 11 more"


def test_one_row_is_one_row(module: ModuleType) -> None:
    rows = module.Rows()
    rows.add("a", 7, [0])
    assert rows.named("a") == "1 row: 7"


def test_faults_and_remarks_are_separate(module: ModuleType) -> None:
    found = module.Found()
    found.fault("f", "p", "k", "r")
    found.remark("g", "", "l", "s")
    assert found.faults == [{"file": "f", "place": "p", "fault": "k", "reason": "r"}]
    assert found.remarks == [{"file": "g", "place": "", "fault": "l", "reason": "s"}]
