"""COCO's captions files, in any order, and Karpathy's splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.sources")


def coco(name: str, ids: list[int], first: int = 1) -> dict[str, Any]:
    """A file of annotations: two captions of each picture, those of the last picture first."""
    images = [{"id": n, "file_name": f"COCO_{name}_{n:012}.jpg", "license": 3} for n in ids]
    texts = [(n, f"{turn} of {n}") for turn in ("one", "two") for n in reversed(ids)]
    annotations = [{"image_id": n, "id": k, "caption": text} for k, (n, text) in enumerate(texts, first)]
    return {"info": {}, "images": images, "licenses": [], "annotations": annotations, "type": "captions"}


def written(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def notebook(val: dict[str, Any], train: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the result of neuraltalk2's notebook (coco/coco_preprocess.ipynb) for two files."""
    texts: dict[int, list[str]] = {}
    for one in val["annotations"] + train["annotations"]:
        texts.setdefault(one["image_id"], []).append(one["caption"])
    return [
        {
            "file_path": f"{'train2014' if 'train' in image['file_name'] else 'val2014'}/{image['file_name']}",
            "id": image["id"],
            "captions": texts[image["id"]],
        }
        for image in val["images"] + train["images"]
    ]


def test_files_in_any_order_give_the_result_of_the_notebook(module: ModuleType, tmp_path: Path) -> None:
    val, train = coco("val2014", [42, 7, 9]), coco("train2014", [5, 30], first=70)
    paths = [written(tmp_path / "b.json", train), written(tmp_path / "a.json", val)]
    for order in (paths, paths[::-1]):
        found = module.read(order)
        assert [entry.get("scored", True) for entry in found] == [True] * 3 + [False] * 2
        plain = [{key: entry[key] for key in entry if key != "scored"} for entry in found]
        assert plain == notebook(val, train)


def test_single_file_is_scored_always(module: ModuleType, tmp_path: Path) -> None:
    for name in ("train2014", "val2014"):
        found = module.read([written(tmp_path / "a.json", coco(name, [1, 2]))])
        assert all(entry.get("scored", True) for entry in found)


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("captions_val2017.json", "000000000139.jpg", "val2017/000000000139.jpg"),
        ("captions_train2017.json", "000000000139.jpg", "train2017/000000000139.jpg"),
        ("captions_val2014.json", "COCO_train2014_1.jpg", "train2014/COCO_train2014_1.jpg"),
        ("mine.json", "a.jpg", "a.jpg"),
    ],
)
def test_folder_follows_from_the_picture_else_from_the_file(
    module: ModuleType, tmp_path: Path, file: str, name: str, expected: str
) -> None:
    value = {"images": [{"id": 1, "file_name": name}], "annotations": [{"image_id": 1, "caption": "a"}]}
    assert [entry["file_path"] for entry in module.read([written(tmp_path / file, value)])] == [expected]


def test_every_problem_of_both_files_is_named(module: ModuleType, tmp_path: Path) -> None:
    val, train = coco("val2014", [1, 2, 3]), coco("train2014", [4, 2])
    val["annotations"] = [
        {"image_id": 1, "caption": "a"}, {"image_id": 99, "caption": "b"}, {"image_id": 2}, "c", {"caption": "d"},
        {"image_id": 3, "caption": 5},
    ]  # fmt: skip
    val["images"] += [{"id": 5}, 6, {"file_name": "x.jpg"}, {"id": [1], "file_name": "y.jpg"}]
    train["annotations"] = [{"image_id": 2, "caption": "b"}]
    with pytest.raises(module.StackError) as caught:
        module.read([written(tmp_path / "train.json", train), written(tmp_path / "val.json", val)])
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{tmp_path}/val.json and {tmp_path}/train.json: 11 problems:"
    for words in (
        "val.json, images entry 5: it is the number 6, not an object",
        "val.json, images entry 6: the id is null; it has to be a number or text",
        "val.json, images entry 7: the id is a list; it has to be a number or text",
        "val.json, annotations entry 2: image_id is the number 99, and no picture has this id",
        "val.json, annotations entry 3: there is no caption; COCO's files with captions are captions_train2014.json",
        'val.json, annotations entry 4: it is the text "c", not an object',
        "val.json, annotations entry 5: image_id is null, and no picture has this id",
        "val.json, images entry 3: val2014/COCO_val2014_000000000003.jpg: caption 1 is the number 5, not text",
        "val.json, images entry 4: the file is null, not text",
        "train.json, images entry 1: train2014/COCO_train2014_000000000004.jpg: there are no captions",
        "train.json, images entry 2: id 2 is also the id of val.json, images entry 2",
    ):
        assert any(line.strip().startswith(words) for line in lines), (words, lines)


def test_fields_with_another_type_are_reported(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(module.StackError, match="annotations is an object, not a list"):
        module.read([written(tmp_path / "a.json", {"images": [], "annotations": {}})])
    with pytest.raises(module.StackError, match="there is no picture with captions"):
        module.read([written(tmp_path / "a.json", {"images": [], "annotations": []})])
    with pytest.raises(module.StackError, match="COCO's captions files have no column with splits"):
        module.read([written(tmp_path / "a.json", coco("val2014", [1]))], split_column="fold")


def test_several_files_are_refused_except_for_coco(module: ModuleType, tmp_path: Path) -> None:
    own = written(tmp_path / "own.json", {"a.jpg": ["a"]})
    with pytest.raises(module.StackError, match="more than one file can be given only for COCO's annotations"):
        module.read([written(tmp_path / "val.json", coco("val2014", [1])), own])


def split_file(path: Path, *images: dict[str, Any]) -> str:
    return written(path, {"images": list(images), "dataset": "coco"})


def test_karpathy_splits_are_found_by_file_else_by_id(module: ModuleType, tmp_path: Path) -> None:
    captions = written(tmp_path / "captions_val2017.json", coco("val2017", [1, 2, 3, 4]))
    splits = split_file(
        tmp_path / "dataset_coco.json",
        {"filename": "COCO_val2017_000000000001.jpg", "split": "restval", "cocoid": 4},
        {"filename": "COCO_val2017_000000000002.jpg", "split": "val", "cocoid": 2},
        {"filename": "COCO_val2014_000000000003.jpg", "split": "test", "cocoid": 3},
        {"filename": "COCO_val2014_000000000004.jpg", "split": "train", "cocoid": 4},
        {"filename": "COCO_val2014_000000000005.jpg", "split": "train", "cocoid": 5},
    )
    found = module.read([captions], karpathy_split=splits)
    assert [entry["split"] for entry in found] == ["train", "val", "test", "train"]


def test_karpathy_splits_of_own_pictures_are_found_only_by_file(module: ModuleType, tmp_path: Path) -> None:
    own = written(tmp_path / "own.json", {"x/a.jpg": ["a"], "b.jpg": ["b"]})
    splits = split_file(tmp_path / "s.json", {"filename": "a.jpg", "split": "val", "cocoid": 2})
    with pytest.raises(module.StackError, match=r"s\.json has no split for 1 of 2 pictures: b\.jpg\. Use"):
        module.read([own], karpathy_split=splits)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "is not a list of splits"),
        ({"images": 5}, "is not a list of splits"),
        ({"images": [5]}, "images entry 1: it is the number 5, not an object"),
        ({"images": [{"filename": 5, "split": "val"}]}, "filename is the number 5 and split is the text"),
        ({"images": [{"filename": "a", "split": "dev"}]}, 'the split is the text "dev"; it has to be one of restval'),
        ({"images": [{"filename": "a", "split": s} for s in ("val", "test")]}, "a is in two splits, val and test"),
    ],
)
def test_split_file_of_another_shape_is_refused(module: ModuleType, tmp_path: Path, value: Any, words: str) -> None:
    own = written(tmp_path / "own.json", {"a": ["a"]})
    with pytest.raises(module.StackError, match=words):
        module.read([own], karpathy_split=written(tmp_path / "s.json", value))


def test_splits_come_from_one_place(module: ModuleType, tmp_path: Path) -> None:
    own = written(tmp_path / "own.json", {"a": ["a"]})
    with pytest.raises(module.StackError, match="both --karpathy-split and --split-column"):
        module.read([own], karpathy_split=own, split_column="split")
