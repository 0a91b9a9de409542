"""The split of each picture: by number, by share, or from the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.splits")


def pictures(*splits: str | None) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [{"file_path": f"{index}.jpg"} for index in range(len(splits))]
    return [{**entry, "split": split} if split else entry for entry, split in zip(named, splits, strict=True)]


def test_first_pictures_are_for_validation_the_next_for_the_test(module: ModuleType) -> None:
    splits = module.assign(pictures(*[None] * 6), {"num_val": 2, "num_test": 1})
    assert splits == ["val", "val", "test", "train", "train", "train"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_val": 0}, (100, 0, 0)),
        ({"num_val": None, "num_test": None, "val_share": 0.29, "test_share": 0.019}, (70, 29, 1)),
        ({"val_share": 0.5, "num_test": 3}, (47, 50, 3)),
        ({"num_val": 5, "num_test": 0, "test_share": 0.1}, (85, 5, 10)),
        ({"val_share": 0}, (100, 0, 0)),
    ],
)
def test_numbers_and_shares_rounded_down(
    module: ModuleType, options: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    counts = Counter(module.assign(pictures(*[None] * 100), options))
    assert (counts["train"], counts["val"], counts["test"]) == expected


def test_splits_of_the_source_need_no_numbers(module: ModuleType) -> None:
    assert module.assign(pictures("val", "train", "test"), {"num_val": None, "num_test": 0}) == ["val", "train", "test"]


@pytest.mark.parametrize(
    ("own", "options", "words"),
    [
        ([None] * 3, {}, "it is not specified which pictures are for validation"),
        ([None] * 3, {"num_test": 1}, "it is not specified which pictures are for validation"),
        ([None] * 3, {"num_val": 3}, "3 pictures for validation and 0 for the test leave none of 3 for training"),
        ([None] * 3, {"num_val": 10**9}, "leave none of 3"),
        ([None] * 3, {"num_val": 2, "num_test": 1}, "leave none of 3"),
        ([None] * 3, {"num_val": -1}, "num_val is the number -1; it has to be a whole number, 0 or more"),
        ([None] * 3, {"num_val": True}, "num_val is true"),
        ([None] * 3, {"num_val": "2"}, 'num_val is the text "2"; it has to be a whole number'),
        ([None] * 3, {"num_val": 1, "val_share": 0.1}, "both num_val and val_share are given"),
        ([None] * 3, {"val_share": float("nan")}, "val_share is the number nan"),
        ([None] * 3, {"val_share": 1.5}, "val_share is the number 1.5; it has to be a number from 0 to less than 1"),
        ([None] * 3, {"val_share": -0.1}, "val_share is the number -0.1"),
        (
            ["val", "train"],
            {"num_val": 0},
            "the source of the captions contains splits, and num_val would assign others: give `--split-column split` "
            "in its place, or add `--split-column -`",
        ),
        (["val", "train"], {"val_share": 0.1, "num_test": 1}, "val_share and num_test would"),
        (["val", "test"], {}, "no picture is left for training"),
        (["val", None, "train", None], {}, "2 of 4 pictures have no split.*the first without a split is 1.jpg"),
    ],
)
def test_invalid_options_are_refused(
    module: ModuleType, own: list[str | None], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(module.StackError, match=words):
        module.assign(pictures(*own), options)
