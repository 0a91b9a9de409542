"""Preparing data: what is refused, what is written, and that a kill at any moment costs nothing good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest

from neuraltalk_provision import paths
from tests.standin.images import APPLE_DOUBLE, png

Load = Callable[[str], ModuleType]
CAPTIONS = ["a man rides a horse", "A dog, on the grass!", "the man and the dog"]
PROGRAM = """
import json, os, signal, sys
import ansible.module_utils
ansible.module_utils.__path__.append(sys.argv[1])
from ansible.module_utils import neuraltalk_prepare as prepare
from ansible.module_utils.neuraltalk_journal import Journal
from ansible.module_utils.neuraltalk_stack import StackError
request, at = json.loads(sys.argv[2]), int(sys.argv[3])
add, count = Journal.add, [0]
def watched(self, line, durable=False):
    add(self, line, durable)
    count[0] += 1
    if count[0] == at:
        os.killpg(0, signal.SIGKILL)
Journal.add = watched
prepare.prepare(request, print)
"""


@pytest.fixture
def prepare(load: Load) -> ModuleType:
    return load("neuraltalk_prepare")


class Set:
    """A small data set: pictures 0.png to N-1.png, and raw.json as prepro.py takes it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.images, self.count = folder, folder / "the pictures", count
        self.images.mkdir(parents=True)
        for number in range(count):
            size = (300 + number, 40) if number % 2 else (30, 290 + number)
            (self.images / f"{number}.png").write_bytes(png(*size, (number, 255 - number, 7 * number % 256)))
        self.write([f"{number}.png" for number in range(count)])

    def write(self, names: list[str]) -> None:
        entries = [
            {"file_path": name, "captions": CAPTIONS[: 1 + place % 3], "id": place} for place, name in enumerate(names)
        ]
        (self.folder / "raw.json").write_text(json.dumps(entries))

    def request(self, **more: Any) -> dict[str, Any]:
        usual = {"num_val": 1, "num_test": 0, "word_count_threshold": 0, "jobs": 2, "block": 3}
        return {
            "input_json": [str(self.folder / "raw.json")],
            "images_root": str(self.images),
            "output_json": str(self.folder / "data.json"),
            "output_h5": str(self.folder / "data.h5"),
            **usual,
            **more,
        }

    def killed(self, at: int, **more: Any) -> bool:
        """Run it in a process that is killed after line number `at` of its journal; whether that came."""
        argv = [sys.executable, "-c", PROGRAM, str(paths.module_utils()), json.dumps(self.request(**more)), str(at)]
        done = subprocess.run(argv, start_new_session=True, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode != 0

    def journal(self) -> list[dict[str, Any]]:
        text = (self.folder / "data.h5.part.journal").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def left(self) -> set[str]:
        """The files beside the captions and the pictures."""
        return {path.name for path in self.folder.iterdir()} - {"raw.json", "the pictures"}


@pytest.fixture
def made(tmp_path: Path) -> Set:
    return Set(tmp_path / 'a "set"', 14)


DONE = {"data.h5", "data.json", "data.annotations.json"}
PARTS = {"data.h5.part", "data.json.part", "data.annotations.json.part", "data.h5.part.journal"}


def say(_text: str) -> None:
    return None


def rows(file: Path) -> list[bytes]:
    with h5py.File(file) as data:
        return [data["images"][row].tobytes() for row in range(len(data["images"]))]


def refused(prepare: ModuleType, request: dict[str, Any]) -> str:
    """What is said where it is refused."""
    with pytest.raises(prepare.StackError) as caught:
        prepare.prepare(request, say)
    return str(caught.value)


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
    read = load("neuraltalk_pixels").read
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
    assert f"{name} is there already, and is not overwritten" in refused(prepare, made.request())
    assert made.left() == {name}


@pytest.mark.parametrize("name", sorted(PARTS - {"data.h5.part.journal"}))
def test_unfinished_file_of_another_tool_is_left_alone(prepare: ModuleType, made: Set, name: str) -> None:
    (made.folder / name).write_text("precious")
    assert f"{name} is there without a journal of this command" in refused(prepare, made.request())
    assert made.left() == {name}
    assert (made.folder / name).read_text() == "precious"


@pytest.mark.parametrize("text", ["precious\n", "{}\n", "[1]\n{}\n", "\xff"])
def test_file_in_the_place_of_the_journal_is_left_alone(prepare: ModuleType, made: Set, text: str) -> None:
    file = made.folder / "data.h5.part.journal"
    file.write_text(text)
    assert "is no journal of this command" in refused(prepare, made.request())
    assert (made.left(), file.read_text()) == ({file.name}, text)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"input_json": "raw.json"}, "input_json is 'raw.json'; it has to be a list"),
    "no captions": ({"input_json": []}, "input_json is []"),
    "no output": ({"output_h5": ""}, "output_h5 is missing"),
    "the same output": ({"output_h5": "data.json", "output_json": "data.json"}, "name the same file"),
    "no folder": ({"output_h5": "/none/data.h5"}, "/none, which is no folder"),
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
        f_bavail, f_frsize, f_files, f_favail = 500, 4096, usual.f_files, usual.f_favail

    monkeypatch.setattr(load("neuraltalk_outputs").os, "statvfs", lambda _path: Small)
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
    prepare: ModuleType, made: Set
) -> None:
    good = (made.images / "2.png").read_bytes()
    (made.images / "2.png").write_bytes(good[:-30])
    words = refused(prepare, made.request())
    assert "1 of 14 pictures cannot be used" in words
    assert "2.png: it is truncated" in words
    assert made.left() == PARTS | {"data.h5.unreadable.jsonl"}
    (made.images / "2.png").write_bytes(good)
    before = len(made.journal())
    lines: list[str] = []
    result = prepare.prepare(made.request(), lines.append)
    assert result["resumed"] == 13
    assert before == 2 + 1 + 5  # whose it is, the command, the plan, five blocks
    assert made.left() == DONE


def test_setting_aside_gives_what_the_original_makes_of_the_others_alone(
    prepare: ModuleType, made: Set, tmp_path: Path
) -> None:
    good = spoil(made)
    lines: list[str] = []
    result = prepare.prepare(made.request(set_aside=True), lines.append)
    assert (result["set_aside"], result["pictures"]) == (6, 8)
    assert made.left() == DONE | {"data.h5.unreadable.jsonl"}
    assert sum("laid out anew without them" in line for line in lines) == 2
    alone = Set(tmp_path / "alone", 14)
    entries = json.loads((made.folder / "raw.json").read_text())
    (alone.folder / "raw.json").write_text(json.dumps([each for each in entries if each["file_path"] in good]))
    prepare.prepare(alone.request(), say)
    assert rows(made.folder / "data.h5") == rows(alone.folder / "data.h5")
    for name in ("data.json", "data.annotations.json"):
        assert (made.folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_kill_costs_no_picture_but_those_of_blocks_in_flight(prepare: ModuleType, made: Set, tmp_path: Path) -> None:
    whole = Set(tmp_path / "whole", 14)
    prepare.prepare(whole.request(), say)
    assert made.killed(6)
    assert made.left() == PARTS
    blocks = [line for line in made.journal() if "block" in line]
    assert len(blocks) == 3
    lines: list[str] = []
    result = prepare.prepare(made.request(), lines.append)
    read = sum(line["decoded"] for line in blocks)
    assert result["resumed"] == read
    assert f"going on: {read} of 14 pictures were read before" in lines
    assert rows(made.folder / "data.h5") == rows(whole.folder / "data.h5")
    for name in ("data.json", "data.annotations.json"):
        assert (made.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize("at", range(1, 12))
def test_kill_at_any_step_ends_in_the_same_files(prepare: ModuleType, tmp_path: Path, at: int) -> None:
    small = Set(tmp_path / "small", 8)
    came = small.killed(at, jobs=1)
    if not came:
        assert small.left() == DONE
        return
    prepare.prepare(small.request(jobs=1), say)
    assert small.left() == DONE
    assert len(rows(small.folder / "data.h5")) == 8
