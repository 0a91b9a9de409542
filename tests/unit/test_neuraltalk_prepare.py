"""Preparing data: what is refused, what is written, and what is set aside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest

from tests.standin.images import APPLE_DOUBLE
from tests.unit.datasets import DONE, PARTS, Load, Set, made, prepare, refused, rows, say

pytestmark = pytest.mark.slow

__all__ = ["made", "prepare"]


def test_all_of_it_is_there_as_the_original_lays_it_out(prepare: ModuleType, load: Load, made: Set) -> None:
    lines: list[str] = []
    result = prepare.prepare(made.request(), lines.append)
    assert made.left() == DONE
    with h5py.File(made.folder / "data.h5") as data:
        told = {name: (each.dtype.name, each.shape, each.chunks) for name, each in data.items()}
        assert told == {
            "images": ("uint8", (14, 3, 256, 256), None),
            "labels": ("uint32", (27, 16), None),
            "label_length": ("uint32", (27,), None),
            "label_start_ix": ("uint32", (14,), None),
            "label_end_ix": ("uint32", (14,), None),
        }
    listed = json.loads((made.folder / "data.json").read_text())["images"]
    read = load("pictures.pixels").read
    assert rows(made.folder / "data.h5") == [read(str(made.images / each["file_path"])) for each in listed]
    assert [listed[place]["id"] for place in (0, 1)] != [0, 1]  # shuffled
    assert {key: result[key] for key in ("pictures", "captions", "splits", "set_aside", "resumed", "converted")} == {
        "pictures": 14, "captions": 27, "splits": {"train": 13, "val": 1, "test": 0}, "set_aside": 0, "resumed": 0,
        "converted": 0,
    }  # fmt: skip
    assert result["files"][result["output_h5"]]["bytes"] == (made.folder / "data.h5").stat().st_size
    assert lines[0].startswith("27 captions of 14 pictures (train 13, val 1, test 0); 9 words")
    assert "14 pictures are prepared in about" in lines[-1]


def test_files_get_the_modes_of_other_files(prepare: ModuleType, made: Set) -> None:
    prepare.prepare(made.request(), say)
    assert {oct((made.folder / name).stat().st_mode & 0o777) for name in DONE} == {"0o644"}


@pytest.mark.parametrize("jobs", [1, 40])
def test_one_picture_is_enough_for_any_number_of_processes(prepare: ModuleType, tmp_path: Path, jobs: int) -> None:
    one = Set(tmp_path / "one", 1)
    assert prepare.prepare(one.request(num_val=0, jobs=jobs, block=0), say)["pictures"] == 1
    assert len(rows(one.folder / "data.h5")) == 1


def test_no_pictures_are_refused_and_nothing_is_left(prepare: ModuleType, made: Set) -> None:
    made.write([])
    assert "no picture" in refused(prepare, made.request())
    assert made.left() == set()


@pytest.mark.parametrize("name", sorted(DONE))
def test_output_that_exists_is_never_overwritten(prepare: ModuleType, made: Set, name: str) -> None:
    (made.folder / name).symlink_to("nowhere")
    (made.folder / "raw.json").unlink()  # nothing is read before
    assert f"{name} exists already, and is not overwritten" in refused(prepare, made.request())
    assert made.left() == {name}


def test_unfinished_file_of_another_tool_is_left_alone(prepare: ModuleType, made: Set) -> None:
    name = "data.h5.part"
    (made.folder / name).write_text("precious")
    assert f"{name} exists without a journal of this command" in refused(prepare, made.request())
    assert made.left() == {name}
    assert (made.folder / name).read_text() == "precious"


@pytest.mark.parametrize("text", ["precious\n", "{}\n", "[1]\n{}\n", "\xff"])
def test_file_in_the_place_of_the_journal_is_left_alone(prepare: ModuleType, made: Set, text: str) -> None:
    file = made.folder / "data.h5.part.journal"
    file.write_text(text)
    assert "is not a journal of this command" in refused(prepare, made.request())
    assert (made.left(), file.read_text()) == ({file.name}, text)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"input_json": "raw.json"}, "input_json is 'raw.json'; it has to be a list"),
    "no captions": ({"input_json": []}, "input_json is []"),
    "no output": ({"output_h5": ""}, "output_h5 is missing"),
    "the same output": ({"output_h5": "data.json", "output_json": "data.json"}, "name the same file"),
    "no folder": ({"output_h5": "/none/data.h5"}, "/none, which is not a folder"),
    "no images": ({"images_root": "/none"}, "images_root is /none, and there is no such folder"),
    "a number in words": ({"num_val": "ten"}, "num_val is 'ten'; it has to be a whole number"),
    "true": ({"max_length": True}, "max_length is True"),
    "many jobs": ({"jobs": 100_000}, "jobs is 100000; it has to be from 1 to 256"),
    "NUL": ({"output_json": "a\0b"}, "without a NUL"),
    "missing captions": ({"input_json": ["none.json"]}, "none.json"),
}


@pytest.mark.parametrize("name", WRONG)
def test_request_that_cannot_be_done_is_refused_by_field(
    prepare: ModuleType, made: Set, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    more, words = WRONG[name]
    monkeypatch.chdir(made.folder)
    assert words in refused(prepare, made.request(**more))
    assert made.left() == set()


def test_missing_modules_are_named_with_the_cure(
    prepare: ModuleType, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    words = refused(prepare, made.request())
    assert "lacks: h5py (" in words
    assert "provision mirror add" in words
    assert "provision site" in words
    assert made.left() == set()


def test_disk_that_is_too_small_is_refused_before_anything_is_read(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.statvfs(made.folder)

    class Small:
        f_bavail, f_frsize, f_files, f_favail, f_flag = 500, 4096, usual.f_files, usual.f_favail, 0

    monkeypatch.setattr(load("preparing.outputs").os, "statvfs", lambda _path: Small)
    words = refused(prepare, made.request())
    assert "3.0 MB are needed on the disk of" in words
    assert "2.0 MB are free" in words
    assert made.left() == set()


BAD = {"1.png": b"", "4.png": APPLE_DOUBLE, "9.png": b"<html>"}


def spoil(made: Set) -> list[str]:
    """Spoil some pictures for a first look, some for the reading alone; the names of those that are good."""
    for name, data in BAD.items():
        (made.images / name).write_bytes(data)
    (made.images / "6.png").unlink()
    for name in ("2.png", "11.png"):
        data = (made.images / name).read_bytes()
        (made.images / name).write_bytes(data[: len(data) - 30])
    return [f"{number}.png" for number in range(14) if number not in (1, 2, 4, 6, 9, 11)]


def test_bad_pictures_are_refused_by_name_and_reason(prepare: ModuleType, made: Set) -> None:
    spoil(made)
    words = refused(prepare, made.request())
    assert "4 of 14 pictures cannot be used" in words
    assert "1.png: it is empty" in words
    assert "--set-aside" in words
    listed = [json.loads(line) for line in (made.folder / "data.h5.unreadable.jsonl").read_text().splitlines()]
    assert [Path(each["file"]).name for each in listed] == ["1.png", "4.png", "6.png", "9.png"]
    assert {each["fault"] for each in listed} == {"empty", "AppleDouble", "missing", "no picture"}
    assert made.left() == {"data.h5.unreadable.jsonl"}


def test_pictures_that_only_decoding_finds_bad_stop_it_at_the_end_and_are_all_that_is_read_again(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (made.images / "2.png").read_bytes()
    (made.images / "2.png").write_bytes(good[:-30])
    words = refused(prepare, made.request())
    assert "1 of 14 pictures cannot be used" in words
    assert "2.png: it is truncated" in words
    assert made.left() == PARTS | {"data.h5.unreadable.jsonl"}
    (made.images / "2.png").write_bytes(good)
    assert len(made.journal()) == 2 + 1 + 5  # whose it is, the command, the plan, five blocks
    journal, lines = load("preparing.journal").Journal, []
    add = journal.add

    def watched(self: Any, line: dict[str, Any], durable: bool = False) -> None:
        lines.append(line)
        add(self, line, durable)

    monkeypatch.setattr(journal, "add", watched)
    assert prepare.prepare(made.request(), say)["resumed"] == 13
    assert [line["decoded"] for line in lines if "block" in line] == [1]
    assert made.left() == DONE


def test_setting_aside_gives_what_the_original_makes_of_the_others_alone(
    prepare: ModuleType, made: Set, tmp_path: Path
) -> None:
    good = spoil(made)
    lines: list[str] = []
    result = prepare.prepare(made.request(set_aside=True), lines.append)
    assert (result["set_aside"], result["pictures"]) == (6, 8)
    assert made.left() == DONE | {"data.h5.unreadable.jsonl"}
    assert sum("laid out again without them" in line for line in lines) == 2
    assert not any("cannot be continued" in line for line in lines)
    alone = Set(tmp_path / "alone", 14)
    entries = json.loads((made.folder / "raw.json").read_text())
    (alone.folder / "raw.json").write_text(json.dumps([each for each in entries if each["file_path"] in good]))
    prepare.prepare(alone.request(), say)
    assert rows(made.folder / "data.h5") == rows(alone.folder / "data.h5")
    for name in ("data.json", "data.annotations.json"):
        assert (made.folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_names_of_any_bytes_are_found(prepare: ModuleType, load: Load, made: Set) -> None:
    names = [b"a\nb.png", b"quote'\"\\.png", b"\xff\xfe.png", "üñ.png".encode()]
    shown = load("pictures.files").shown
    for number, name in enumerate(names):
        (made.images / f"{number}.png").rename(os.fsdecode(bytes(made.images) + b"/" + name))
    made.write([shown(name) for name in names])
    assert prepare.prepare(made.request(), say)["pictures"] == 4
    assert len(set(rows(made.folder / "data.h5"))) == 4
    assert [shown(name) for name in names] != [name.decode("utf-8", "replace") for name in names]


def test_all_pictures_missing_points_at_the_folder(prepare: ModuleType, made: Set) -> None:
    for set_aside in (False, True):
        words = refused(prepare, made.request(images_root=str(made.folder), set_aside=set_aside))
        assert f"none of the 14 pictures was found below {made.folder}" in words
        assert "images_root" in words


def test_kinds_that_differ_from_their_names_are_counted(prepare: ModuleType, made: Set) -> None:
    (made.images / "0.png").rename(made.images / "0.jpg")
    made.write(["0.jpg", "1.png"])
    assert prepare.prepare(made.request(), say)["other_type"] == 1
