"""Encoded captions: compared with the results of prepro.py for the same captions, and field by field."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision import paths
from tests.real import prepro
from tests.unit.test_module_grammar import python27

GOLDEN = json.loads((Path(__file__).parent / "data" / "prepro.json").read_text(encoding="utf-8"))["cases"]
ZERO = {"num_val": 0, "word_count_threshold": 0}


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.encoding")


def entries(*captions: list[str], **more: Any) -> list[dict[str, Any]]:
    return [{"file_path": f"{n}.jpg", "captions": list(texts), "id": n, **more} for n, texts in enumerate(captions, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_json_and_labels_equal_those_of_prepro_py(tmp_path: Path, name: str) -> None:
    """prepro.json contains digests of the files of prepro.py, from `python -m tests.real.prepro ... --write`."""
    case = prepro.CASES[name]
    made = prepro.ours(case.write(tmp_path)[0], case)
    assert {part: hashlib.sha256(content).hexdigest() for part, content in made.items()} == GOLDEN[name]


def test_every_case_has_its_digests() -> None:
    assert set(GOLDEN) == set(prepro.CASES)


def test_rows_are_cut_or_filled_and_counted_from_1(module: ModuleType) -> None:
    made = module.lay_out(entries(["a b c d", "a"], ["b"]), {**ZERO, "max_length": 3})
    rows = [made.labels[index : index + 3].tolist() for index in range(0, len(made.labels), 3)]
    words = [" ".join(made.words[number - 1] for number in row if number) for row in rows]
    assert words == [text[:5] for picture in made.pictures for text in picture["captions"]]
    assert made.label_length.tolist() == [len(text.split()) for text in words]
    counts = [len(picture["captions"]) for picture in made.pictures]
    assert list(zip(made.label_start_ix, made.label_end_ix, strict=True)) in ([(1, 2), (3, 3)], [(1, 1), (2, 3)])
    assert made.label_end_ix.tolist() == [counts[0], sum(counts)]
    assert made.labels.itemsize == made.label_length.itemsize == 4


def test_rare_words_are_unk_which_is_the_last_word(module: ModuleType) -> None:
    made = module.lay_out(entries(["a a b"], ["a c UNK"]), {"num_val": 0, "word_count_threshold": 2})
    assert made.words == ["a", "UNK"]
    assert sorted(made.labels.tolist()) == [0] * 26 + [1] * 3 + [2] * 3


def test_given_entries_are_not_changed(module: ModuleType) -> None:
    given = entries(["a b"], ["c"])
    before = json.dumps(given)
    made = module.lay_out(given, ZERO)
    assert json.dumps(given) == before
    assert all("split" in picture for picture in made.pictures)


def test_json_is_one_line_whatever_the_names(module: ModuleType) -> None:
    given = [{"file_path": 'a\n"b\u2028.jpg', "captions": ["ä b\x01"], "id": "x\n"}]
    text = module.lay_out(given, ZERO).json_text()
    assert text.isascii() and len(text.splitlines()) == 1
    assert json.loads(text)["images"] == [{"split": "train", "file_path": 'a\n"b\u2028.jpg', "id": "x\n"}]
    assert sorted(json.loads(text)["ix_to_word"].values()) == ["b\x01", "ä"]


def test_chars_of_chinese_captions(module: ModuleType) -> None:
    made = module.lay_out(entries(["一个男人", "男人, 2个!"]), {**ZERO, "tokens": "chars"})
    assert sorted(made.words) == ["2", "一", "个", "人", "男"]
    assert made.label_length.tolist() == [4, 4]


def test_captions_without_words_are_named(module: ModuleType) -> None:
    given = [*entries(["a", "..."]), {"file_path": "x/ü.jpg", "captions": ["—"] * 30}]
    with pytest.raises(module.StackError, match=r"^31 caption\(s\) have no words") as caught:
        module.lay_out(given, ZERO)
    assert '  1.jpg, caption 2: "..."' in str(caught.value)
    assert '  x/ü.jpg, caption 1: "\\u2014"' in str(caught.value)
    assert str(caught.value).endswith("\n  and 11 more")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_length": 0}, "max_length is the number 0; it has to be a whole number from 1 to 1000"),
        ({"max_length": 10**6}, "max_length is the number 1000000"),
        ({"max_length": "16"}, 'max_length is the text "16"; it has to be a whole number'),
        ({"max_length": 1.5}, "max_length is the number 1.5"),
        ({"word_count_threshold": -1}, "word_count_threshold is the number -1"),
        ({"tokens": "bytes"}, 'tokens is the text "bytes"'),
        ({"num_val": 1}, "leave none of 1 for training"),
    ],
)
def test_options_out_of_range_are_refused(module: ModuleType, options: dict[str, Any], words: str) -> None:
    with pytest.raises(module.StackError, match=words):
        module.lay_out(entries(["a"]), {**ZERO, **options})


def test_nothing_to_prepare_is_refused(module: ModuleType) -> None:
    with pytest.raises(module.StackError, match="no picture with captions"):
        module.lay_out([], ZERO)


def test_annotations_have_the_form_of_captions_val2014(module: ModuleType) -> None:
    made = module.lay_out(entries(["A b.", "C"], ["d"]), ZERO)
    found = made.annotations()
    assert set(found) == {"info", "images", "annotations", "type", "licenses"}
    assert (found["type"], found["licenses"]) == ("captions", [])
    assert sorted((image["id"], image["file_name"]) for image in found["images"]) == [(1, "1.jpg"), (2, "2.jpg")]
    assert sorted((one["image_id"], one["caption"]) for one in found["annotations"]) == [
        (1, "A b."),
        (1, "C"),
        (2, "d"),
    ]
    assert [one["id"] for one in found["annotations"]] == [1, 2, 3]
    json.dumps(found)


def test_annotations_leave_out_pictures_that_prepro_py_does_not_score(module: ModuleType) -> None:
    given = [*entries(["a"], ["b"]), {"file_path": "t.jpg", "captions": ["c"], "id": 9, "scored": False}]
    found = module.lay_out(given, ZERO).annotations()
    assert {image["id"] for image in found["images"]} == {1, 2}
    assert {one["image_id"] for one in found["annotations"]} == {1, 2}


def test_annotations_of_chars_have_spaces_like_captions_of_the_model(module: ModuleType) -> None:
    given = entries(["一只猫在 red 床上。"])
    made = module.lay_out(given, {**ZERO, "tokens": "chars"})
    assert [one["caption"] for one in made.annotations()["annotations"]] == ["一 只 猫 在 red 床 上"]
    made = module.lay_out(given, ZERO)
    assert [one["caption"] for one in made.annotations()["annotations"]] == ["一只猫在 red 床上。"]


def test_annotations_of_pictures_without_ids_count_their_places(module: ModuleType) -> None:
    given = [{"file_path": f"{n}.jpg", "captions": ["a"]} for n in range(3)]
    made = module.lay_out(given, ZERO)
    places = {image["id"]: image["file_name"] for image in made.annotations()["images"]}
    assert places == {n: picture["file_path"] for n, picture in enumerate(made.pictures, 1)}
    given[1]["id"] = 7
    assert [image["id"] for image in module.lay_out(given, ZERO).annotations()["images"]] == [7]


PROGRAM = """
from __future__ import print_function
import sys
sys.path.insert(0, sys.argv[1])
from module_utils.captions import encoding, sources, statistics
entries = sources.read([sys.argv[2]], "", "", sys.argv[3], "")
for mode in ("words", "chars"):
    made = encoding.lay_out(entries, {"num_val": 1, "word_count_threshold": 0, "tokens": mode})
    print(made.json_text())
    print(list(map(int, made.labels)), made.annotations()["images"][0]["id"])
    print("\\n".join(statistics.lines(made.statistics) + made.statistics["remarks"]))
"""


def test_python_2_7_has_the_same_result(tmp_path: Path) -> None:
    if not python27():
        pytest.skip("no Python 2.7 here")
    table = tmp_path / "captions.csv"
    table.write_text(
        'Datei;caption\n"é"".jpg";Ein süßer Hund, "wirklich"\nb.jpg;一个男人 ที่นี่ \U00020000x\nb.jpg;"a\n“quoted” cat"\n',
        encoding="utf-8",
    )
    command = ["-c", PROGRAM, str(paths.plugins()), str(table), "Datei"]
    outputs = [
        subprocess.run([python, *command], check=True, capture_output=True, encoding="utf-8").stdout
        for python in (python27(), sys.executable)
    ]
    assert outputs[0] == outputs[1]
    assert "top words" in outputs[0]
