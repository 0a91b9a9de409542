"""The check that the JSON for an HDF5 file is valid for train.lua, and its findings."""

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


def checked(
    module: ModuleType, folder: Path, content: Any, *splits: str
) -> tuple[list[str], list[str], tuple[Any, Any]]:
    """Faults and remarks, each `place: reason`, and (words, {split: pictures})."""
    from plugins.module_utils.inspecting.found import Found

    path, found = folder / "c.json", Found()
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    read = module.read_json(str(path), found)
    result = (module.check_words(str(path), read, found), module.check_listed(str(path), read, found, splits))
    assert {entry["file"] for entry in found.faults + found.remarks} <= {str(path)}
    return lines(found.faults), lines(found.remarks), result


def lines(entries: list[dict[str, str]]) -> list[str]:
    return [f"{entry['place']}: {entry['reason']}" for entry in entries]


def test_json_of_prepro_has_no_faults(module: ModuleType, tmp_path: Path) -> None:
    assert checked(module, tmp_path, listed(), *SPLITS) == ([], [], (5, {"train": 1, "val": 1, "test": 1}))
    assert checked(module, tmp_path, json.dumps(listed()) + "\n")[0] == []


def test_file_that_is_missing_or_too_large_is_a_fault(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.module_utils.inspecting.found import Found

    found = Found()
    assert module.read_json(str(tmp_path / "none"), found) is None
    monkeypatch.setattr(module, "MOST", 5)
    assert checked(module, tmp_path, "123456")[0] == [": it has 6 bytes, more than the 5 that are read"]
    assert lines(found.faults) == [": it cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: "{", ": it is not JSON: "),
        (lambda content: "[" * 100000, ": it is not JSON: "),
        (lambda content: "\ufeff{}", ": it is not JSON: "),
        (
            lambda content: json.dumps(content, indent=1),
            ": it has several lines, but train.lua reads only the first",
        ),
        (lambda content: [content], "ix_to_word: it has no ix_to_word (an object of words)"),
        (
            lambda content: {**content, "ix_to_word": ["a", "b"]},
            "ix_to_word: it has no ix_to_word (an object of words)",
        ),
        (lambda content: {**content, "images": {}}, "images: it has no images (a list)"),
        (lambda content: {**content, "ix_to_word": {}}, "ix_to_word: it contains no word"),
        (
            lambda content: {**content, "ix_to_word": {str(number): "w" for number in (0, 1, 2, 3, 5)}},
            'ix_to_word: its keys are not "1" to "5": it lacks 4',
        ),
        (
            lambda content: {**content, "ix_to_word": {**content["ix_to_word"], "2": 7}},
            'ix_to_word["2"]: its value is not a word',
        ),
        (lambda content: {**content, "images": [7, *content["images"][1:]]}, "images[0]: it has no split"),
        (lambda content: {**content, "images": [*content["images"][:2], {}]}, "images[2]: it has no split"),
        (
            lambda content: {**content, "images": [content["images"][0]] * 3},
            "images: no picture has the split val",
        ),
    ],
)
def test_faults_have_their_place(module: ModuleType, tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    faults = checked(module, tmp_path, change(listed()), "train", "val")[0]
    assert any(line.startswith(words) for line in faults), faults


def test_unusual_content_is_a_remark(module: ModuleType, tmp_path: Path) -> None:
    content = listed()
    content["images"][1].update(id=0, file_path="train.jpg", split="restval")
    content["images"][2] = {"split": "test", "id": None}
    content["ix_to_word"]["5"] = "word1"
    faults, remarks, result = checked(module, tmp_path, content)
    assert (faults, result) == ([], (5, {"train": 1, "restval": 1, "test": 1}))
    assert remarks == [
        "ix_to_word: words that occur more than once: 1",
        "images[2]: it has no id, which eval.lua and the scorer use",
        "images[2]: it has no file_path, which eval.lua and the scorer use",
        "images: pictures with the same file_path as an earlier picture: 1",
        "images: pictures with the same id as an earlier picture: 1",
        'images: no program reads the split "restval"',
    ]
