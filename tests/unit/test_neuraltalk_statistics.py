"""The statistics of captions, and the remarks about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Laid = Callable[..., dict[str, Any]]


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.statistics")


@pytest.fixture
def facts(load: Callable[[str], ModuleType]) -> Laid:
    """The statistics of pictures with these captions, one each."""

    def facts(*captions: str, ids: bool = True, **options: Any) -> dict[str, Any]:
        entries = [{"file_path": f"{n}.jpg", "captions": [text], "id": n} for n, text in enumerate(captions)]
        for entry in entries if not ids else ():
            del entry["id"]
        chosen = {"num_val": 1, "word_count_threshold": 0, **options}
        found: dict[str, Any] = load("captions.encoding").lay_out(entries, chosen).statistics
        return found

    return facts


def test_numbers_are_those_that_prepro_py_prints(facts: Laid) -> None:
    found = facts("a a b", "A.", "a c d", word_count_threshold=1, max_length=1)
    json.dumps(found)
    assert found["splits"] == {"train": 2, "val": 1, "test": 0}
    assert sorted(found["examples"]) == [["a"], ["a", "a", "b"], ["a", "c", "d"]]
    assert found["top_words"] == [[4, "a"], [1, "d"], [1, "c"], [1, "b"]]
    expected = {
        "pictures": 3, "captions": 3, "total_words": 7, "different_words": 4, "bad_words": 3, "vocabulary": 1,
        "unks": 3, "has_unk": True, "max_sentence_length": 3, "sentence_lengths": [0, 1, 0, 2], "clipped": 2,
        "beyond_ascii": 0, "unspaced": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_statistics_are_printed_in_the_words_of_prepro_py(module: ModuleType, facts: Laid) -> None:
    lines = module.lines(facts("a a b\x1b", "A.", "ä c d", word_count_threshold=1))
    assert lines[0] == "example processed tokens:"
    assert "number of bad words: 4/5 = 80.00%" in lines
    assert "number of UNKs: 4/7 = 57.14%" in lines
    assert " 3:          2   66.666667%" in lines
    assert "inserting the special UNK token" in lines
    assert lines[-1] == "assigned 2 to train, 1 to val, 0 to test."
    assert any("b\\x1b" in line for line in lines) and not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("captions", "options", "words"),
    [
        (["一个男人骑着一匹棕色的马"] * 2, {}, "2 of 2 captions are in a script without spaces.*--tokens chars"),
        (["a b"] * 2, {"word_count_threshold": 5}, "no word occurs more than 5 times.*smaller --word-count-threshold"),
        (["a b", "a c"], {"word_count_threshold": 1}, r"50\.0% of all words occur 1 times or less"),
        (["a b", "a c"], {"max_length": 1}, "2 of 2 captions have more than 1 words and were cut"),
        (["a", "b"], {"num_val": 0}, "no picture is for validation"),
        (["a", "b"], {"ids": False}, r"2 of 2 pictures have no id, for example .\.jpg.*-language_eval 1"),
    ],
)
def test_probable_mistakes_are_remarks(facts: Laid, captions: list[str], options: dict[str, Any], words: str) -> None:
    (remark,) = facts(*captions, **options)["remarks"]
    assert re.search(words, remark)


def test_validation_pictures_that_are_not_scored_are_a_remark(load: Callable[[str], ModuleType]) -> None:
    entries = [
        {"file_path": f"{split}.jpg", "captions": ["a"], "id": n, "split": split, "scored": split != "val"}
        for n, split in enumerate(("train", "val"))
    ]
    (remark,) = load("captions.encoding").lay_out(entries, {"word_count_threshold": 0}).statistics["remarks"]
    assert "no picture for validation is in the file of COCO's validation set" in remark


def test_usual_captions_have_no_remarks(facts: Laid) -> None:
    assert facts("a cat", "ein süßer Hund", "一个 男人 骑 马")["remarks"] == []
    assert facts("一个男人骑着一匹棕色的马", "一匹马", tokens="chars")["remarks"] == []
