"""The script that neuraltalk2 calls for scores: what it writes and prints, and what it says where there are none."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import paths
from tests.standin import score_wheels

MYEVAL = paths.share() / "roles" / "neuraltalk2" / "files" / "myeval.py"
NAMES = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"]
Score = Callable[..., subprocess.CompletedProcess[str]]


def like_coco(*captions: tuple[Any, str]) -> dict[str, Any]:
    return {
        "images": [{"id": image} for image in dict.fromkeys(image for image, _ in captions)],
        "annotations": [{"image_id": image, "id": n, "caption": text} for n, (image, text) in enumerate(captions)],
    }


KNOWN = like_coco((1, "A red circle."), (1, "a circle"), (2, "a blue square"), (3, "a dog"))
SAID = [(1, "a red circle"), (2, "a blue dog")]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """coco-caption as the role lays it out, with stand-ins for pycocoevalcap and java."""
    folder = tmp_path / "coco caption"
    zipfile.ZipFile(io.BytesIO(score_wheels.wheel())).extractall(folder)
    (folder / "annotations").mkdir()
    shutil.copyfile(MYEVAL, folder / "myeval.py")
    score_wheels.write_java(tmp_path / "bin")
    return folder


@pytest.fixture
def score(place: Path) -> Score:
    """Calls the script with predictions and annotations, given as data or as the text of their files."""

    def call(said: Any = SAID, known: Any = KNOWN, path: str = "") -> subprocess.CompletedProcess[str]:
        if isinstance(said, list):
            said = json.dumps({"val_predictions": [{"image_id": i, "caption": text} for i, text in said]})
        (place / "valx.json").write_text(said)
        if known is not None:
            text = known if isinstance(known, str) else json.dumps(known)
            (place / "annotations" / "captions_val2014.json").write_text(text)
        return run(place, "valx.json", path=path)

    return call


def run(place: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    search = path or f"{place.parent}/bin:/usr/bin:/bin"
    environment = {**os.environ, "PATH": search, "LC_ALL": "C", "PYTHONPATH": ""}
    argv = [sys.executable, "-B", "myeval.py", *words]
    return subprocess.run(
        argv, cwd=place, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=60
    )


def scores(place: Path) -> dict[str, float]:
    text = (place / "valx.json_out.json").read_text()
    assert text.count("\n") == 0, "misc/utils.lua reads one line"
    found: dict[str, float] = json.loads(text)
    return found


def test_scores_are_written_on_one_line_with_three_decimals_and_printed(score: Score, place: Path) -> None:
    done = score()
    assert (done.returncode, done.stderr) == (0, "")
    assert list(scores(place)) == NAMES
    assert scores(place)["METEOR"] == 0.25
    assert '"Bleu_1": 0.833,' in (place / "valx.json_out.json").read_text()
    for line in ("using 2/2 predictions", "tokenization...", "computing Rouge score...", "Bleu_1: 0.833"):
        assert line in done.stdout.splitlines()


def test_predictions_of_images_without_annotations_are_left_out_and_counted(score: Score, place: Path) -> None:
    done = score([*SAID, (77, "a cat"), (78, "a cat")])
    assert done.returncode == 0
    assert "using 2/4 predictions" in done.stdout
    assert "2 predictions are left out, for the annotations lack their images: 77, 78" in done.stdout
    assert scores(place)["Bleu_1"] == 0.833


def test_second_prediction_of_an_image_is_left_out(score: Score, place: Path) -> None:
    """A validation fills its last batch with its first images again; the original ends with an assertion there."""
    done = score([*SAID, (1, "something else")])
    assert "using 2/3 predictions" in done.stdout
    assert "1 predictions are left out, for they are of images that were captioned before" in done.stdout
    assert scores(place)["Bleu_1"] == 0.833


@pytest.mark.parametrize("odd", ["\n", "\r", "\u2028", "\x85", "\x0b", " ||| ", " \udcff "])
def test_character_that_would_be_the_end_of_a_line_moves_no_caption_to_another_image(
    score: Score, place: Path, odd: str
) -> None:
    done = score(
        [(1, f"a red{odd}circle"), (2, "a blue dog")], like_coco((1, f"a red {odd} circle"), (2, "a blue dog"))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores(place)["ROUGE_L"] > 0.8


def test_ids_may_be_text_and_captions_of_any_language(score: Score, place: Path) -> None:
    done = score([("bild-1", "ein roter kreis"), ("圖", "猫")], like_coco(("bild-1", "ein grüner Kreis"), ("圖", "猫")))
    assert done.returncode == 0, done.stdout
    assert scores(place)["ROUGE_L"] == 0.833


def test_lua_writes_large_whole_numbers_as_1e5(score: Score, place: Path) -> None:
    said = '{"val_predictions": [{"image_id": 1e+05, "caption": "a cat"}]}'
    assert score(said, like_coco((100000, "a cat"))).returncode == 0
    assert scores(place)["Bleu_1"] == 1.0


@pytest.mark.parametrize(
    ("said", "known", "words"),
    [
        (SAID, None, ["the annotations are missing: there is no file", "annotations/captions_val2014.json"]),
        (SAID, "{", ["captions_val2014.json is not JSON"]),
        (SAID, "[" * 200_000, ["captions_val2014.json is not JSON"]),
        (SAID, [], ["captions_val2014.json: it has no list `images`"]),
        (SAID, {"images": []}, ["captions_val2014.json: it has no list `annotations`"]),
        (SAID, {"images": [1], "annotations": []}, ["images[0] has no `id`"]),
        (SAID, {"images": [{"id": [1]}], "annotations": []}, ["images[0].id is neither a whole number nor text"]),
        (SAID, {"images": [{"id": True}], "annotations": []}, ["images[0].id is neither a whole number nor text"]),
        (SAID, {"images": [{"id": 1}], "annotations": [{"image_id": 1}]}, ["annotations[0] has no `caption`"]),
        (SAID, {"images": [{"id": 1}], "annotations": []}, ["no image in it has a caption to compare with"]),
        ([], KNOWN, ["there is not one prediction in valx.json"]),
        ("{}", KNOWN, ["valx.json: it has no list `val_predictions`"]),
        ([(1, 5)], KNOWN, ["val_predictions[0].caption is not text"]),
        ([(1, "x" * 10001)], KNOWN, ["val_predictions[0].caption has 10001 characters, more than 10000"]),
        ('{"val_predictions": [{"image_id": NaN, "caption": "a"}]}', KNOWN, ["image_id is neither"]),
        ('{"val_predictions": [{"image_id": Infinity, "caption": "a"}]}', KNOWN, ["image_id is neither"]),
        (
            [(n, "a cat") for n in range(500, 510)],
            KNOWN,
            [
                "none of the 10 predictions is of an image of the annotations",
                "500, 501, 502, 503, 504 and more;",
                "1, 2, 3.",
            ],
        ),
        ([("1", "a cat")], KNOWN, ['have the ids "1"; the 3 annotated images have 1, 2, 3']),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(
    score: Score, place: Path, said: Any, known: Any, words: list[str]
) -> None:
    done = score(said, known)
    line = done.stdout.splitlines()[-1]
    assert (done.returncode, done.stderr) == (1, "")
    assert line.startswith("ScorerError: ")
    assert all(word in line for word in words), line
    assert not (place / "valx.json_out.json").exists()


def test_missing_java_is_said_with_its_packages(score: Score, tmp_path: Path) -> None:
    done = score(path=str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert (
        "ScorerError: this host lacks java, which the tokenizer and METEOR are written in (the package default-jre"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("java", "words"),
    [
        (
            "echo 'Error: no libjvm.so' >&2; exit 6",
            ["this host lacks a java that runs: code 6, Error: no libjvm.so (the package"],
        ),
        (
            'case "$*" in *-cp*) exit 1;; esac',
            ["gave back fewer lines than it got", "probably the out-of-memory killer"],
        ),
        (
            'case "$*" in *-stdio*) kill -9 $$;; esac',
            ["METEOR", "ended with signal 9", "probably the out-of-memory killer", "asks for 2 GiB of memory"],
        ),
        (
            'case "$*" in *-stdio*) echo "Could not reserve enough space" >&2; exit 1;; esac',
            ["ended with code 1: Could not reserve enough space"],
        ),
        ('case "$*" in *-stdio*) echo nan; exec cat >/dev/null;; esac', ["METEOR came out as no number"]),
    ],
    ids=["does not run", "tokenizer", "killed", "memory", "nan"],
)
def test_java_that_ends_early_is_said_with_its_words_and_nobody_waits_for_ever(
    score: Score, place: Path, java: str, words: list[str]
) -> None:
    (place.parent / "bin" / "java").write_text(f"#!/bin/sh\n{java}\n")
    done = score()
    line = done.stdout.splitlines()[-1]
    assert done.returncode == 1
    assert line.startswith("ScorerError: ")
    assert all(word in line for word in words), line
    assert not (place / "valx.json_out.json").exists()


def test_check_names_all_that_is_missing(place: Path, tmp_path: Path) -> None:
    assert run(place, "--check").returncode == 0
    (place / "pycocoevalcap" / "meteor" / "meteor-1.5.jar").unlink()
    (place / "pycocoevalcap" / "rouge" / "rouge.py").write_text("import nosuch\n")
    done = run(place, "--check", path=str(tmp_path / "nothing"))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) == 3
    assert lines[0].startswith("lacks: a pycocoevalcap.rouge.rouge that ")
    assert lines[0].endswith("ModuleNotFoundError: No module named 'nosuch'")
    assert lines[1].startswith("lacks: the file ") and lines[1].endswith("meteor-1.5.jar")
    assert lines[2].startswith("lacks: java, which the tokenizer")


def test_file_that_cannot_be_written_and_a_full_disk_are_said(score: Score, place: Path) -> None:
    (place / "valx.json_out.json.new").mkdir()
    assert score().stdout.endswith("ScorerError: valx.json_out.json.new: Is a directory\n")
    (place / "valx.json_out.json.new").rmdir()
    (place / "valx.json_out.json.new").symlink_to("/dev/full")
    done = score()
    assert done.returncode == 1
    assert done.stdout.endswith(f"ScorerError: {place}: no room on the disk\n")
    assert not (place / "valx.json_out.json").exists()


def test_what_nobody_thought_of_ends_in_one_line_too(score: Score, place: Path) -> None:
    (place / "pycocoevalcap" / "cider" / "cider.py").write_text(
        "class Cider:\n    def method(self):\n        return 1 / 0\n"
    )
    done = score()
    assert done.returncode == 1
    assert done.stdout.endswith("ScorerError: ZeroDivisionError: division by zero\n")
