"""Whether the JSON beside an HDF5 file is what train.lua reads, and what is said where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SPLITS = ("train", "val", "test")


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.dataset_json")


def listed() -> dict[str, Any]:
    return {
        "ix_to_word": {str(number): f"word{number}" for number in range(1, 6)},
        "images": [{"split": split, "file_path": f"{split}.jpg", "id": at} for at, split in enumerate(SPLITS)],
    }


def checked(module: ModuleType, folder: Path, told: Any, *splits: str) -> tuple[list[str], list[str], tuple[Any, Any]]:
    """Faults and remarks, each `place: reason`, and (words, {split: pictures})."""
    from plugins.module_utils.inspecting.found import Found

    path, found = folder / "c.json", Found()
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    read = module.read_told(str(path), found)
    seen = (module.check_words(str(path), read, found), module.check_listed(str(path), read, found, splits))
    assert {entry["file"] for entry in found.faults + found.remarks} <= {str(path)}
    return lines(found.faults), lines(found.remarks), seen


def lines(entries: list[dict[str, str]]) -> list[str]:
    return [f"{entry['place']}: {entry['reason']}" for entry in entries]


def test_what_prepro_writes_is_well(module: ModuleType, tmp_path: Path) -> None:
    assert checked(module, tmp_path, listed(), *SPLITS) == ([], [], (5, {"train": 1, "val": 1, "test": 1}))
    assert checked(module, tmp_path, json.dumps(listed()) + "\n")[0] == []


def test_file_that_is_missing_or_too_large_is_a_fault(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.module_utils.inspecting.found import Found

    found = Found()
    assert module.read_told(str(tmp_path / "none"), found) is None
    monkeypatch.setattr(module, "MOST", 5)
    assert checked(module, tmp_path, "123456")[0] == [": it has 6 bytes, more than the 5 that are read"]
    assert lines(found.faults) == [": it cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: "{", ": it is not JSON: "),
        (lambda told: "[" * 100000, ": it is not JSON: "),
        (lambda told: "\ufeff{}", ": it is not JSON: "),
        (
            lambda told: json.dumps(told, indent=1),
            ": it has several lines, and train.lua reads only the first",
        ),
        (lambda told: [told], "ix_to_word: it has no ix_to_word (an object of words)"),
        (
            lambda told: {**told, "ix_to_word": ["a", "b"]},
            "ix_to_word: it has no ix_to_word (an object of words)",
        ),
        (lambda told: {**told, "images": {}}, "images: it has no images (a list)"),
        (lambda told: {**told, "ix_to_word": {}}, "ix_to_word: it contains no word"),
        (
            lambda told: {**told, "ix_to_word": {str(number): "w" for number in (0, 1, 2, 3, 5)}},
            'ix_to_word: its keys are not "1" to "5": it lacks 4',
        ),
        (
            lambda told: {**told, "ix_to_word": {**told["ix_to_word"], "2": 7}},
            'ix_to_word["2"]: its value is not a word',
        ),
        (lambda told: {**told, "images": [7, *told["images"][1:]]}, "images[0]: it has no split"),
        (lambda told: {**told, "images": [*told["images"][:2], {}]}, "images[2]: it has no split"),
        (
            lambda told: {**told, "images": [told["images"][0]] * 3},
            "images: no picture is of the split val",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    module: ModuleType, tmp_path: Path, change: Callable[[Any], Any], words: str
) -> None:
    faults = checked(module, tmp_path, change(listed()), "train", "val")[0]
    assert any(line.startswith(words) for line in faults), faults


def test_what_may_be_meant_so_is_remarked_on(module: ModuleType, tmp_path: Path) -> None:
    told = listed()
    told["images"][1].update(id=0, file_path="train.jpg", split="restval")
    told["images"][2] = {"split": "test", "id": None}
    told["ix_to_word"]["5"] = "word1"
    faults, remarks, seen = checked(module, tmp_path, told)
    assert (faults, seen) == ([], (5, {"train": 1, "restval": 1, "test": 1}))
    assert remarks == [
        "ix_to_word: words that occur more than once: 1",
        "images[2]: it has no id, which eval.lua and the scorer use",
        "images[2]: it has no file_path, which eval.lua and the scorer use",
        "images: the same file_path as a picture before it: 1",
        "images: the same id as a picture before it: 1",
        'images: no program reads the split "restval"',
    ]
