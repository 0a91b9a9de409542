"""The check that an HDF5 file and its JSON are valid for train.lua, and its findings."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy
import pytest

OUTSIDE = "c.h5 /label_start_ix: the captions of a picture are outside of 1 to 5 "
BACKWARDS = "c.h5 /label_end_ix: a picture has no caption: its last one is before its first one "
INSIDE = "c.h5 /labels: a caption has a zero before one of its words, so it ends there "
NUMBER = "c.h5 /label_length: it is not the number of words in /labels "
SPLITS = ("train", "val", "test")


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.dataset")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder at a path with a space and a quote."""
    place = tmp_path / "ops' data"
    place.mkdir()
    return place


def arrays() -> dict[str, Any]:
    """Three pictures with 2, 1 and 2 captions of words out of 5."""
    labels = numpy.array([[1, 2, 3, 0], [5, 0, 0, 0], [2, 2, 2, 2], [4, 1, 0, 0], [3, 0, 0, 0]], "uint32")
    return {
        "images": numpy.ones((3, 3, 256, 256), "uint8"),
        "labels": labels,
        "label_start_ix": numpy.array([1, 3, 4], "uint32"),
        "label_end_ix": numpy.array([2, 3, 5], "uint32"),
        "label_length": numpy.array([3, 1, 4, 2, 1], "uint32"),
    }


def listed() -> dict[str, Any]:
    return {
        "ix_to_word": {str(number): f"word{number}" for number in range(1, 6)},
        "images": [{"split": split, "file_path": f"{split}.jpg", "id": at} for at, split in enumerate(SPLITS)],
    }


def write(data: Path, sets: dict[str, Any], content: Any) -> tuple[str, str]:
    with h5py.File(data / "c.h5", "w") as file:
        for name, values in sets.items():
            file[name] = values
    (data / "c.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return str(data / "c.h5"), str(data / "c.json")


def checked(
    module: ModuleType, data: Path, sets: dict[str, Any], content: Any, *splits: str
) -> tuple[list[str], list[str]]:
    """Return faults and remarks, each as `file place: reason`."""
    found = module.Found()
    module.check(*write(data, sets, content), found, splits)
    return lines(found.faults), lines(found.remarks)


def lines(entries: list[dict[str, str]]) -> list[str]:
    return [f"{Path(entry['file']).name} {entry['place']}: {entry['reason']}" for entry in entries]


def test_data_set_of_prepro_has_no_faults(module: ModuleType, data: Path) -> None:
    found = module.Found()
    result = module.check(*write(data, arrays(), listed()), found, SPLITS)
    assert (found.faults, found.remarks) == ([], [])
    assert (result["pictures"], result["captions"], result["length"], result["words"]) == (3, 5, 4, 5)
    assert result["splits"] == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("images", lambda a: a[:, :, :128], "c.h5 /images: it has the shape (3, 3, 128, 256), not (N, 3, 256, 256)"),
        ("images", lambda a: a[0], "c.h5 /images: it has the shape (3, 256, 256), not 4 dimensions"),
        ("images", lambda a: a.astype("int8"), "c.h5 /images: it has the type int8, not uint8"),
        ("images", lambda a: a[:0], "c.h5 /images: it is empty"),
        ("labels", lambda a: a.astype("float32"), "c.h5 /labels: it has the type float32, not uint32"),
        ("labels", lambda a: a[:, :0], "c.h5 /labels: it has the shape (5, 0), which is not possible for a data set"),
        ("labels", lambda a: a[0], "c.h5 /labels: it has the shape (4,), not 2 dimensions"),
        ("label_length", lambda a: a[:4], "c.h5 /label_length: it has 4 rows, but /labels has 5"),
        ("label_end_ix", lambda a: a[:2], "c.h5 /label_end_ix: it has 2 rows, but /images has 3"),
        ("label_start_ix", lambda a: a - 1, OUTSIDE + "(1 row: 0): the numbers must start at 1, not at 0"),
        ("label_end_ix", lambda a: a + 1, OUTSIDE + "(1 row: 2)"),
        ("label_end_ix", lambda a: a - [0, 1, 0], BACKWARDS + "(1 row: 1)"),
        ("labels", lambda a: a + a, "c.h5 /labels: it has a label 10, but c.json has 5 words (4 rows: 0, 1, 3, 4)"),
        ("labels", lambda a: a.astype("int64") * [1, -1, 1, 1], "c.h5 /labels: a label is below 0 (3 rows: 0, 2, 3)"),
        ("labels", lambda a: a * [1, 0, 1, 1], INSIDE + "(2 rows: 0, 2)"),
        ("labels", lambda a: a * [[1], [1], [1], [1], [0]], "c.h5 /labels: a caption has no words (1 row: 4)"),
        ("label_length", lambda a: numpy.add(a, [0, 1, 0, 0, 0]), NUMBER + "(1 row: 1)"),
        ("label_length", lambda a: h5py.Empty("f"), "c.h5 /label_length: it has the shape None, not 1 dimensions"),
        ("images", lambda a: a[:2], "c.h5 /label_start_ix: it has 3 rows, but /images has 2"),
    ],
)  # fmt: skip
def test_faults_of_the_hdf5_have_their_place(
    module: ModuleType, data: Path, name: str, change: Callable[[Any], Any], words: str
) -> None:
    sets = arrays()
    sets[name] = change(sets[name])
    faults, _remarks = checked(module, data, sets, listed())
    words = words.replace("c.json has", f"{data / 'c.json'} has")
    assert words in faults


def test_missing_and_invalid_sets_are_named(module: ModuleType, data: Path) -> None:
    sets = arrays()
    del sets["labels"], sets["label_length"]
    sets["label_length/inside"] = [1]
    faults, _remarks = checked(module, data, sets, listed())
    assert "c.h5 : it lacks labels, label_length: it is not what prepro.py writes" in faults


def test_captions_of_no_picture_and_of_two_are_remarked_on(module: ModuleType, data: Path) -> None:
    sets = arrays()
    sets["label_start_ix"] = numpy.array([1, 2, 5], "uint32")
    faults, remarks = checked(module, data, sets, listed())
    assert faults == []
    assert remarks == [
        "c.h5 /label_start_ix: captions that belong to no picture and are never read (1 row: 3)",
        "c.h5 /label_start_ix: captions that belong to more than one picture (1 row: 1)",
    ]


def test_number_of_pictures_must_equal_that_of_the_json(module: ModuleType, data: Path) -> None:
    content = listed()
    content["images"].pop()
    faults, _remarks = checked(module, data, arrays(), content)
    assert faults == [f"c.h5 /images: it contains 3 pictures, but {data / 'c.json'} lists 2"]


def test_invalid_json_and_missing_splits_are_faults_too(module: ModuleType, data: Path) -> None:
    faults, _remarks = checked(module, data, arrays(), {**listed(), "images": [{"split": "val"}] * 3}, "train", "val")
    assert faults == ["c.json images: no picture has the split train"]
    faults, _remarks = checked(module, data, {}, "{")
    assert [line.partition(":")[0] for line in faults] == ["c.json ", "c.h5 "]


def test_rows_are_counted_and_the_first_are_named(
    module: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 8)  # two captions
    sets = arrays()
    sets["labels"] = numpy.tile(sets["labels"], (20, 1))
    sets["label_length"] = numpy.zeros(100, "uint32")
    sets["label_end_ix"][2] = 100
    faults, _remarks = checked(module, data, sets, listed())
    numbers = ", ".join(map(str, range(20)))
    assert faults == [f"c.h5 /label_length: it is not the number of words in /labels (100 rows: {numbers} and 80 more)"]


def test_chunked_and_compressed_sets_have_no_faults(module: ModuleType, data: Path) -> None:
    h5, content = write(data, {}, listed())
    with h5py.File(h5, "w") as file:
        for name, values in arrays().items():
            file.create_dataset(name, data=values, chunks=True, compression="gzip")
    found = module.Found()
    module.check(h5, content, found, SPLITS)
    assert module.check_pixels(h5, found) == 0
    assert (found.faults, found.remarks) == ([], [])


def test_pictures_that_were_never_written_are_counted(
    module: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 1)
    sets = arrays()
    sets["images"] = numpy.ones((5, 3, 256, 256), "uint8")
    sets["images"][[1, 3, 4]] = 0
    h5, _content = write(data, sets, "")
    found, steps = module.Found(), []
    assert module.check_pixels(h5, found, lambda done, total: steps.append((done, total))) == 3
    assert lines(found.faults) == [
        "c.h5 /images: pictures are completely black, like those that were never written (3 rows: 1, 3, 4): "
        "the last 2 of 5, so the program that wrote it was interrupted"
    ]
    assert steps == [(at, 5) for at in range(5)]


LEFT = """
import h5py, os, sys
file = h5py.File(sys.argv[1], "w", libver=sys.argv[2])
file.create_dataset("images", (9, 3, 256, 256), "uint8")
file["images"][0] = 1
if len(sys.argv) > 3: file.flush()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("version", "flushed", "words"),
    [
        (
            "earliest",
            (),
            "(it is empty|it is not an HDF5 file: its start is all zero|it is damaged, probably because its program)",
        ),
        ("earliest", ("flushed",), "(it is truncated: it has .* bytes and should have|it lacks label)"),
        ("latest", ("flushed",), "(it was not closed by the program that wrote it|it is truncated|it lacks)"),
    ],
)
def test_file_of_an_interrupted_program_is_reported_as_such(
    module: ModuleType, data: Path, version: str, flushed: tuple[str, ...], words: str
) -> None:
    killed = subprocess.run([sys.executable, "-c", LEFT, data / "c.h5", version, *flushed], check=False)
    assert killed.returncode == -signal.SIGKILL
    found = module.Found()
    module.check(str(data / "c.h5"), "", found)
    assert [entry for entry in found.faults if re.match(words, entry["reason"])], found.faults


def test_truncated_file_is_reported_as_such(module: ModuleType, data: Path) -> None:
    h5, content = write(data, arrays(), listed())
    os.truncate(h5, 5000)
    found = module.Found()
    module.check(h5, content, found)
    assert found.faults[0]["reason"].startswith("it is truncated: it has 5000 bytes and should have 59")
    Path(h5).write_bytes(b"<html>")
    found = module.Found()
    module.check(h5, content, found)
    assert found.faults[0]["reason"] == "it is not an HDF5 file"


@pytest.mark.parametrize("error", [TypeError('data type "<u162" not understood'), MemoryError(), IndexError("x")])
def test_whatever_h5py_raises_on_a_damaged_file_is_a_fault(
    module: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    h5, content = write(data, arrays(), listed())

    def fail(*_given: object) -> None:
        raise error

    monkeypatch.setattr(module, "check_h5", fail)
    found = module.Found()
    module.check(h5, content, found)
    assert lines(found.faults) == [f"c.h5 : it cannot be read: {str(error) or type(error).__name__}"]


def test_broken_links_are_faults_without_a_traceback(module: ModuleType, data: Path) -> None:
    h5, content = write(data, {}, listed())
    with h5py.File(h5, "w") as file:
        for name in arrays():
            file[name] = h5py.ExternalLink("/none.h5", "/x") if name == "images" else h5py.SoftLink("/none")
    found = module.Found()
    module.check(h5, content, found)
    assert found.faults


@pytest.mark.parametrize("good", [True, False])
def test_program_prints_each_fault_as_a_line(load: Callable[[str], ModuleType], data: Path, good: bool) -> None:
    """It has only the modules that are packed for it: -I hides those of this checkout."""
    content = listed()
    if not good:
        content["ix_to_word"].pop("5")
    h5, text = write(data, arrays(), content)
    launch = load("runs.launch")
    (data / "check.zip").write_bytes(load("programs.packed").packed(launch.CHECK_MODULES, launch.CHECK))
    program = [sys.executable, "-I", data / "check.zip"]
    done = subprocess.run([*program, h5, text, "train"], capture_output=True, text=True, check=True)
    if good:
        assert done.stdout == "fits 3 pictures, 5 words\n"
        return
    (line,) = done.stdout.splitlines()
    entry = json.loads(line.removeprefix("misfit "))
    assert entry["reason"] == f"it has a label 5, but {text} has 4 words (1 row: 1)"
