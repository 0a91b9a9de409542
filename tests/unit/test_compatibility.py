"""What goes with what: a consistent choice, or the smallest set of facts that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.compatibility import RULES, Assignment, Contradiction, Fact, number, solve, within

TABLE = catalogue.load().compatibility


def facts(**known: str | tuple[str, ...]) -> list[Fact]:
    """Facts from {variable: value or values}, the toolkit first, as it is told first; the words are the values."""
    order = sorted(known, key=lambda name: name != "cuda")
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in known.items()}
    return [Fact(name, values[name], f"{name} {known[name]}") for name in order]


def chosen(**known: str | tuple[str, ...]) -> Assignment:
    answer = solve(TABLE, facts(**known))
    assert not isinstance(answer, Contradiction), str(answer)
    return answer


def contradiction(skip_checks: tuple[str, ...] = (), **known: str | tuple[str, ...]) -> Contradiction:
    answer = solve(TABLE, facts(**known), skip_checks)
    assert isinstance(answer, Contradiction), str(answer)
    return answer


K80: dict[str, Any] = {"driver": "352.79", "capability": "3.7", "gcc": "4.8.5", "glibc": "2.17"}
H200: dict[str, Any] = {"driver": "580.65.06", "capability": "9.0", "gcc": "12.2.0", "glibc": "2.36"}


@pytest.mark.parametrize(
    ("version", "bounds", "inside"),
    [
        ("4.9.4", ("0", "4.9"), True),
        ("4.10", ("0", "4.9"), False),
        ("5.4.0", ("0", "5"), True),
        ("12.2.0", ("0", "4.9"), False),
        ("7.5", ("7.5", "12.1"), True),
        ("12.1", ("7.5", "12.1"), True),
        ("12.2", ("7.5", "12.1"), False),
        ("3.7", ("7.5", "12.1"), False),
        ("1.10.8", ("1.8", "1.10"), True),
        ("1.12.0", ("1.8", "1.10"), False),
    ],
)
def test_versions_are_compared_number_by_number(version: str, bounds: tuple[str, str], inside: bool) -> None:
    assert within(version, bounds) is inside


@pytest.mark.parametrize(
    ("known", "profile", "cuda"),
    [
        ({**K80, "cuda": "7.5"}, "legacy", "7.5"),
        ({**K80, "cuda": "7.5", "cudnn": "5.0.5", "cudnn_cuda": "7.5", "rock": "R5"}, "legacy", "7.5"),
        ({**H200, "cuda": "13.0"}, "modern", "13.0"),
        ({**H200, "cuda": ("11.8", "13.0", "7.5")}, "modern", "13.0"),
        ({**H200, "cuda": ("11.8", "13.0"), "driver": "535.104.05", "gcc": "11.4"}, "modern", "11.8"),
        ({**H200, "cuda": "13.0", "cudnn": "5.0.5", "cudnn_cuda": "7.5", "rock": "R5"}, "modern", "13.0"),
        ({"cuda": "13.0", "capability": "9.0"}, "modern", "13.0"),  # a build host, nothing installed yet
        ({"cuda": "8.0", "capability": "6.1", "gcc": "5.4.0"}, "legacy", "8.0"),
        ({**H200, "cuda": ("12.9", "13.0"), "glibc": "2.41"}, "modern", "13.0"),
        ({**H200, "cuda": "13.0", "driver": "610.20"}, "modern", "13.0"),  # a driver newer than any toolkit here
    ],
)
def test_what_goes_together_is_one_choice(known: dict[str, Any], profile: str, cuda: str) -> None:
    answer = chosen(**known)
    assert (answer["profile"], answer["cuda"]) == (profile, cuda)


@pytest.mark.parametrize(
    ("known", "variables", "words"),
    [
        ({**K80, "cuda": "13.0", "driver": "580.65.06", "gcc": "12"}, {"cuda", "capability"}, "not for 3.7"),
        ({**H200, "cuda": "7.5", "gcc": "4.9", "glibc": "2.17"}, {"cuda", "capability"}, "not for 9.0"),
        (
            {**K80, "cuda": "7.5", "cudnn": "6.0.21", "cudnn_cuda": "7.5", "rock": "R5"},
            {"cuda", "cudnn", "rock"},
            "cuDNN 6.0.21 needs the branch R6 of the cudnn rock, but the mirror has R5",
        ),
        (
            {**K80, "cuda": "7.5", "gcc": "12.2.0"},
            {"cuda", "gcc"},
            "nvcc of CUDA 7.5 accepts gcc up to 4.9, but the host has 12.2.0",
        ),
        # A gcc that no nvcc of the table accepts: the toolkit is named all the same, and it is that of the host.
        ({**H200, "cuda": "13.0", "gcc": "16.2.0"}, {"cuda", "gcc"}, "nvcc of CUDA 13.0 accepts gcc up to 15"),
        ({**K80, "cuda": "7.5", "glibc": "2.36"}, {"cuda", "glibc"}, "can read headers of glibc up to 2.25"),
        ({**H200, "cuda": "12.9", "glibc": "2.41"}, {"cuda", "glibc"}, "can read headers of glibc up to 2.40"),
        ({**H200, "cuda": "13.0", "glibc": "2.42"}, {"cuda", "glibc"}, "can read headers of glibc up to 2.41"),
        ({**H200, "cuda": "13.0", "driver": "570.124"}, {"cuda", "driver"}, "CUDA 13.0 needs driver 580.65.06"),
        ({**H200, "cuda": "13.0", "profile": "legacy"}, {"cuda", "profile"}, "compile with CUDA 7.5 to 9.2, not 13.0"),
        ({**H200, "cuda": "14.2"}, {"cuda"}, "CUDA 14.2 is not one of the supported releases 7.5 to 13.0"),
        (
            {**K80, "cuda": "7.5", "cudnn": "5.0.5", "cudnn_cuda": "8.0", "rock": "R5"},
            {"cuda", "cudnn_cuda"},
            "the cuDNN archive is for CUDA 8.0, not 7.5",
        ),
        ({**H200, "cuda": "13.0", "capability": "3.7,9.0", "gcc": "9"}, {"cuda", "capability"}, "not for 3.7"),
    ],
)
def test_contradiction_is_told_by_the_facts_that_make_it(
    known: dict[str, Any], variables: set[str], words: str
) -> None:
    found = contradiction(**known)
    assert {fact.variable for fact in found.facts} == variables
    assert words in str(found)


def test_no_fact_of_a_contradiction_can_be_left_out() -> None:
    known = {**K80, "cuda": "7.5", "gcc": "12.2.0", "glibc": "2.36", "cudnn": "6.0.21", "rock": "R5"}
    found = contradiction(**known)
    for fact in found.facts:
        rest = [other for other in found.facts if other is not fact]
        assert not isinstance(solve(TABLE, rest), Contradiction)


def test_rule_that_somebody_leaves_out_is_not_asked() -> None:
    known = {**K80, "cuda": "7.5", "gcc": "12.2.0", "glibc": "2.36"}
    assert contradiction(("cuda-glibc",), **known).rules == ("cuda-gcc",)
    assert not isinstance(solve(TABLE, facts(**known), ("cuda-glibc", "cuda-gcc")), Contradiction)


def test_every_rule_can_be_broken() -> None:
    """A rule that no facts break would be one that was written in vain."""
    broken = set()
    for known in (
        {"cuda": "14.2"},
        {"cuda": "13.0", "driver": "352.79"},
        {"cuda": "7.5", "gcc": "12"},
        {"cuda": "7.5", "glibc": "2.36"},
        {"cuda": "7.5", "capability": "9.0"},
        {"cuda": "13.0", "profile": "legacy"},
        {"cuda": "7.5", "cudnn_cuda": "8.0"},
        {"cuda": "9.1", "cudnn": "5.0.5", "profile": "legacy"},
        {"cudnn": "5.0.5", "capability": "7.0", "profile": "legacy"},
        {"cuda": "7.5", "cudnn": "6.0.21", "rock": "R5", "profile": "legacy"},
    ):
        broken |= set(contradiction(**known).rules)
    assert broken == {rule.name for rule in RULES}


def test_table_is_in_order_and_each_range_the_right_way_round() -> None:
    assert sorted(TABLE.cuda, key=number) == list(TABLE.cuda)
    drivers = [number(row.driver) for row in TABLE.cuda.values()]
    assert drivers == sorted(drivers)
    for row in (*TABLE.cuda.values(), *TABLE.cudnn.values()):
        assert number(row.capability[0]) < number(row.capability[1])
    for profile in TABLE.profiles.values():
        assert all(bound in TABLE.cuda for bound in profile.cuda)
