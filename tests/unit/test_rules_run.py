"""Facts about runs."""

from __future__ import annotations

import pytest

from neuraltalk_provision.rules import run


@pytest.mark.parametrize("name", ["a", "7.b_c", "train-20260101-120000", "a" * 121, "run.newer"])
def test_id_of_a_run_is_a_plain_name(name: str) -> None:
    assert run.is_id(name)


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a b", "a/b", "a\n", "a" * 122, "base.last", "base.new"])
def test_what_could_be_another_file_or_no_name_is_no_id(name: str) -> None:
    assert not run.is_id(name)
