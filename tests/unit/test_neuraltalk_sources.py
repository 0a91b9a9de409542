"""Captions files of users: the format is recognised by content, and every field is checked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.sources")


@pytest.fixture
def read(module: ModuleType, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return the entries of a file with this content: text, or a value to be written as JSON."""

    def read(content: Any, name: str = "in", **options: str) -> list[dict[str, Any]]:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text, encoding="utf-8")
        found: list[dict[str, Any]] = module.read([str(tmp_path / name)], **options)
        return found

    return read


Read = Callable[..., list[dict[str, Any]]]
TWO = [{"file_path": "a.jpg", "captions": ["x", "y"], "id": 1}, {"file_path": "b.jpg", "captions": ["z"], "id": 2}]


def test_raw_json_of_prepro_py_stays_as_it_is(read: Read) -> None:
    raw = [
        {"file_path": "/data/a.jpg", "captions": ["x"], "image_id": 9, "license": {}},
        {"file_path": "b.jpg", "captions": ["y", "y"], "id": 7.5},
        {"captions": ["z"], "id": "c", "file_path": "ü\U0001f600.jpg", "split": "restval"},
    ]
    assert read(raw) == [
        {"file_path": "/data/a.jpg", "captions": ["x"]},
        {"file_path": "b.jpg", "captions": ["y", "y"], "id": 7.5},
        {"file_path": "ü\U0001f600.jpg", "captions": ["z"], "id": "c", "split": "train"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        [{"file": "a.jpg", "captions": ["x", "y"]}, {"file": "b.jpg", "caption": "z"}],
        [{"image": "a.jpg", "text": "x"}, {"image": "b.jpg", "text": "z"}, {"image": "a.jpg", "text": "y"}],
        {"a.jpg": ["x", "y"], "b.jpg": "z"},
        '{"filename": "a.jpg", "caption": ["x", "y"]}\n\n{"filename": "b.jpg", "caption": "z"}\n',
        ' \n{"filename": "a.jpg", "caption": ["x", "y"]}\r\n{"filename": "b.jpg", "caption": "z"}',
        "\ufefffile,caption\na.jpg,x\nb.jpg,z\na.jpg,y\n",
        {
            "images": [
                {"filename": "a.jpg", "sentences": [{"raw": "x", "tokens": ["x"]}, {"raw": "y"}], "imgid": 5},
                {"filename": "b.jpg", "sentences": [{"raw": "z"}]},
            ],
            "dataset": "flickr8k",
        },
    ],
)
def test_own_pictures_are_numbered_in_their_order(read: Read, content: Any) -> None:
    for name in ("in.csv", "in.json", "in"):
        assert read(content, name) == TWO


def test_one_object_is_one_picture(read: Read) -> None:
    for name in ("in.jsonl", "in.json"):
        assert read('{"file": "a.jpg", "caption": "x"}', name) == [{"file_path": "a.jpg", "captions": ["x"], "id": 1}]


def test_ids_and_splits_of_a_table(read: Read) -> None:
    text = "file,caption,split,id\na,x, Val ,12\nb,x,train,007\nc,x,TEST,-3\nd,x,restval,123456789012345\na,y,val,12\n"
    assert [(entry["id"], entry["split"], len(entry["captions"])) for entry in read(text)] == [
        (12, "val", 2),
        ("007", "train", 1),
        (-3, "test", 1),
        ("123456789012345", "train", 1),
    ]


def test_id_of_a_picture_is_image_id_where_rows_have_ids_too(read: Read) -> None:
    assert [entry["id"] for entry in read("id,image_id,file,caption\n1,7,a,x\n2,7,a,y\n3,8,b,x\n")] == [7, 8]


def test_empty_image_id_is_not_taken_from_the_ids_of_rows(read: Read) -> None:
    assert [entry["id"] for entry in read("id,image_id,file,caption\n5,,a,x\n6,,a,y\n")] == [1]


def test_splits_of_the_source_can_be_ignored(read: Read) -> None:
    assert "split" not in read("file,caption,split\na,x,odd\n", split_column="-")[0]
    assert "split" not in read([{**TWO[0], "split": "odd"}], split_column="-")[0]


def test_splits_of_a_named_field(read: Read) -> None:
    assert [entry["split"] for entry in read([{**one, "fold": "test"} for one in TWO], split_column="fold")] == [
        "test",
        "test",
    ]
    with pytest.raises(Exception, match="has the field fold, which should contain the splits"):
        read(TWO, split_column="fold")


def test_karpathy_set_is_a_source_too(read: Read) -> None:
    image = {"filepath": "val2014", "filename": "a.jpg", "cocoid": 4, "split": "restval", "sentences": [{"raw": "A."}]}
    assert read({"images": [image], "dataset": "coco"}) == [
        {"file_path": "val2014/a.jpg", "captions": ["A."], "id": 4, "split": "train"}
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (5, "entry 2: it is the number 5, not an object"),
        ({"captions": ["x"]}, r"entry 2: its fields have to include .*they are: captions"),
        ({"file_path": "b"}, "entry 2: its fields have to include"),
        ({"file_path": None, "captions": ["x"]}, "entry 2: the file is null, not text"),
        ({"file_path": "", "captions": ["x"]}, "entry 2: the file has no name"),
        ({"file_path": "b\0", "captions": ["x"]}, r'entry 2: no file has the name "b\\u0000"'),
        ({"file_path": "b\ud800", "captions": ["x"]}, "entry 2: no file has the name"),
        ({"file_path": "b" * 5000, "captions": ["x"]}, "entry 2: no file has the name"),
        ({"file_path": "../b", "captions": ["x"]}, r"entry 2: \.\./b leads out of its folder"),
        ({"file_path": "c/../../b", "captions": ["x"]}, r"leads out of its folder with `\.\.`"),
        ({"file_path": "b", "captions": []}, "entry 2: b: there are no captions"),
        ({"file_path": "b", "captions": "x"}, 'entry 2: b: the captions are the text "x", not a list of texts'),
        ({"file_path": "b", "captions": {"x": 1}}, "entry 2: b: the captions are an object, not a list"),
        ({"file_path": "b", "captions": ["x", None]}, "entry 2: b: caption 2 is null, not text"),
        ({"file_path": "b", "captions": [float("nan")]}, "entry 2: b: caption 1 is the number nan, not text"),
        ({"file_path": "b", "captions": [[]]}, "caption 1 is a list, not text"),
        ({"file_path": "b", "captions": [" \n"]}, "caption 1 is empty"),
        ({"file_path": "b", "captions": ["\udc00x"]}, r'caption 1 has a broken character .*"\\udc00x"'),
        ({"file_path": "b", "captions": ["x"], "id": None}, "the id is null; it has to be a number or text"),
        ({"file_path": "b", "captions": ["x"], "id": True}, "the id is true"),
        ({"file_path": "b", "captions": ["x"], "id": float("nan")}, "the id is the number nan"),
        ({"file_path": "b", "captions": ["x"], "id": float("inf")}, "the id is the number inf"),
        (
            {"file_path": "b", "captions": ["x"], "id": 10**400},
            "id 1000000000000000000000000000000000000000 has more digits",
        ),
        ({"file_path": "b", "captions": ["x"], "id": 123456789012345}, "id 123456789012345 has more digits than Lua"),
        ({"file_path": "b", "captions": ["x"], "id": ""}, 'the id is empty, too long or broken: ""'),
        ({"file_path": "b", "captions": ["x"], "id": "i" * 2000}, 'too long or broken: "iii'),
        (
            {"file_path": "b", "captions": ["x" * 200_000]},
            "caption 1 has 200000 letters, which is too long for a caption",
        ),
        ({"file_path": "b", "captions": ["x"], "split": "dev"}, 'the split is "dev"; it has to be one of restval'),
        ({"file_path": "b", "captions": ["x"], "split": 1}, "the split is the number 1"),
        ({"file_path": "a.jpg", "captions": ["x"]}, r"entry 2: a\.jpg is also the file of entry 1"),
        ({"file_path": ".//a.jpg", "captions": ["x"]}, r"entry 2: \.//a\.jpg is also the file of entry 1"),
        ({"file_path": "b", "captions": ["x"], "id": 1.0}, r"entry 2: id 1\.0 is also the id of entry 1"),
    ],
)
def test_entry_that_cannot_be_used_is_named_with_its_field(read: Read, entry: Any, words: str) -> None:
    with pytest.raises(Exception, match=words) as caught:
        read([TWO[0], entry])
    assert type(caught.value).__name__ == "StackError"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "there is no picture with captions"),
        ("{}", "there is no picture with captions"),
        ("5", "line 1: it has to contain the names of the columns"),
        ('{"a": 5}', "entry 1: a: the captions are the number 5, not a list"),
        ('{"a": ["x"], "b": ["y"], "a": ["z"]}', "entry 3: a is also the file of entry 1"),
        ('{"ix_to_word": {}, "images": []}', "is the JSON of a finished data set"),
        ('[{"file": "a", "caption": "x"}, {"file": "a", "captions": ["y"]}]', "entry 2: a is also the file of entry 1"),
        ('[{"file": "a", "caption": "x", "id": 1}, {"file": "b", "caption": "x"}]', "1 of 2 pictures have no id"),
        ('{"file": "a", "caption": "x"}\n{"file": "b"\n[]\n', r"2 problems:\n  line 2: it is not JSON: .*column \d+\n"),
        (
            '{"file": "a", "caption": "x"}\n' + "[" * 200_000,
            "line 2: it has lists or objects that are nested too deeply",
        ),
        ("file,caption,split\na,x,val\na,y,test\n", "line 3: a has split test here and val in line 2"),
        (
            "file,caption,id\na,x,1\na,y,\n",
            "line 3: a has id - here and 1 in line 2, but a picture can have only one; if the column",
        ),
        ("file,caption,id\na,x,1\nb,y,1\n", "line 3: id 1 is also the id of line 2"),
    ],
)
def test_source_of_another_shape_is_refused(read: Read, content: str, words: str) -> None:
    with pytest.raises(Exception, match=words) as caught:
        read(content)
    assert type(caught.value).__name__ == "StackError"


def test_no_file_is_refused(module: ModuleType) -> None:
    with pytest.raises(module.StackError, match="no captions file is given"):
        module.read([])


def test_broken_files_raise_only_a_stack_error(
    module: ModuleType, load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """Files of every kind that are truncated, have wrong bytes, or have values of the wrong type in any place."""
    draw = random.Random(9)
    odd: list[Any] = [None, True, -1, 1e308, "", "x\ud800", [], {}, [[]], [None], {"a": 1}, 10**30, "../x"]
    coco = {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": "b", "id": 1}]}
    karpathy = {"images": [{"filename": "a", "split": "val", "sentences": [{"raw": "b"}], "cocoid": 1}]}
    values = [TWO, coco, karpathy, {"a": ["b"], "c": "d"}, [{"file": "a", "caption": "b", "split": "val", "id": 1}]]
    tables = [
        'file,caption,id\na,"b\nc",1\nd,e,2\n',
        "a#0\tb\nc#1\td\n",
        '{"file": "a", "caption": "b"}\n{"file": 1}\n',
    ]
    refused = 0
    for turn in range(600):
        if turn % 2:
            value = json.loads(json.dumps(draw.choice(values)))
            _spoil(value, draw, odd)
            content = json.dumps(value).encode()
        else:
            content = draw.choice([*map(json.dumps, values), *tables]).encode()
            at = draw.randrange(len(content))
            content = content[:at] + (b"" if turn % 4 else bytes([draw.randrange(32, 127)]) + content[at + 1 :])
        file = tmp_path / f"in{draw.choice(['', '.csv', '.json', '.jsonl'])}"
        file.write_bytes(content)
        try:
            entries = module.read([str(file)], karpathy_split=str(file) if turn % 20 == 0 else "")
            numbers = {} if "split" in entries[0] else {"num_val": 0}
            laid = load("captions.encoding").lay_out(entries, {**numbers, "word_count_threshold": 0})
            json.loads(laid.json_text())
        except module.StackError as error:
            refused += 1
            str(error).encode()
    assert 200 < refused < 570


def _spoil(value: Any, draw: random.Random, odd: list[Any]) -> None:
    """Replace one place of a JSON value."""
    while True:
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        if not isinstance(value[key], dict | list) or not value[key] or draw.random() < 0.2:
            break
        value = value[key]
    if isinstance(value, dict) and draw.random() < 0.2:
        del value[key]
    else:
        value[key] = draw.choice(odd)
