"""What `data prepare` and `data inspect` are asked: refused before anything is read where it cannot be met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.dataset import request
from neuraltalk_provision.dataset.request import Inspect, Prepare
from neuraltalk_provision.errors import UsageError

ASKED = Prepare(("/d/raw.json",), "/d/talk.json", "/d/talk.h5", num_val=10)


def test_request_has_prepros_names_and_is_what_json_can_hold() -> None:
    asked = ASKED.as_request()
    assert asked["input_json"] == ["/d/raw.json"]
    assert (asked["num_val"], asked["num_test"], asked["max_length"], asked["word_count_threshold"]) == (10, 0, 16, 5)
    assert (asked["tokens"], type(asked["tokens"])) == ("words", str)


@pytest.mark.parametrize(
    "asked",
    [
        ASKED,
        replace(ASKED, num_val=None, val_share=0.1, test_share=0.1),
        replace(ASKED, num_val=None, split_column="part"),
        replace(ASKED, split_column="-"),
        replace(ASKED, num_val=None, karpathy_split="/d/dataset_coco.json"),
        replace(ASKED, num_val=0, num_test=3, jobs=64, word_count_threshold=0, max_length=1),
        replace(ASKED, input_json=('/d/it\'s "quoted" $HOME.json',), images_root="/d/Bilder für alle"),
    ],
)
def test_request_that_can_be_met_is_accepted(asked: Prepare) -> None:
    request.check(asked)


def test_splits_of_the_captions_are_named_as_a_way_to_choose() -> None:
    """One message said to leave out --num_val if the captions have splits; the next one said to give it."""
    with pytest.raises(UsageError) as said:
        request.check(replace(ASKED, num_val=None))
    assert "`--split_column split` if the captions have splits" in said.value.advice
    request.check(replace(ASKED, num_val=None, split_column="split"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_json": ()}, "no captions are given"),
        ({"num_val": None}, "no option chooses the pictures for validation"),
        ({"num_val": None, "split_column": "-"}, "no option chooses the pictures for validation"),
        ({"val_share": 0.1}, "--num_val and --val_share choose the validation pictures in two ways"),
        ({"split_column": "part"}, "--num_val and --split_column"),
        ({"num_val": None, "split_column": "part", "karpathy_split": "/d/k"}, "--split_column and --karpathy_split"),
        ({"num_val": None, "val_share": 0.1, "num_test": 5}, "--num_test needs --num_val"),
        ({"test_share": 0.1}, "--test_share needs --val_share"),
        ({"num_val": None, "val_share": 0.5, "test_share": 0.5}, "leave no pictures for training"),
        ({"num_val": None, "val_share": 1.0}, "--val_share 1.0: must be at least 0 and less than 1"),
        ({"num_val": None, "val_share": float("nan")}, "--val_share nan"),
        ({"num_val": -1}, "--num_val -1"),
        ({"num_val": 1 << 40}, "--num_val 1099511627776"),
        ({"max_length": 0}, "--max_length 0: must be a whole number from 1"),
        ({"word_count_threshold": -1}, "--word_count_threshold -1"),
        ({"jobs": -2}, "--jobs -2"),
        ({"output_h5": "/d/talk.json"}, "are both /d/talk.json"),
        ({"output_json": "/d/talk"}, "must end in .json"),
        ({"images_root": "pictures"}, "--images_root pictures: must be an absolute path"),
        ({"images_root": "/d/a\nb"}, "control characters"),
        ({"images_root": "/d/caf\udce9"}, "not UTF-8"),
        ({"input_json": ("/" + "a" * 5000,)}, "at most 4095 bytes"),
    ],
)
def test_request_that_cannot_be_met_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        request.check(replace(ASKED, **changes))
    assert words in caught.value.message


def test_inspection_either_moves_aside_or_takes_back() -> None:
    request.check(Inspect("/d", quarantine="/d/aside"))
    with pytest.raises(UsageError, match="give only one of them"):
        request.check(Inspect("/d", quarantine="/d/aside", undo="/d/aside/quarantine.jsonl"))


def test_coco_is_found_as_its_archives_unpack() -> None:
    files, root = request.of_coco("/data/coco")
    assert files == (
        "/data/coco/annotations/captions_val2014.json",
        "/data/coco/annotations/captions_train2014.json",
    )
    assert root == "/data/coco"
