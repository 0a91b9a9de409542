"""Problems found in data before a training: folders of pictures, captions with their pictures, data sets."""

from __future__ import annotations

import faulthandler
import io
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image
import pytest

from neuraltalk_provision import paths
from tests.standin import dataset
from tests.unit.waiting import until

Inspect = Callable[..., dict[str, Any]]


def picture(kind: str, colour: int = 0, size: tuple[int, int] = (40, 30)) -> bytes:
    """A picture of that kind with some pattern in it."""
    image = PIL.Image.new("RGB", size)
    image.putdata([(at % 251, at % 13, colour) for at in range(size[0] * size[1])])
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()


JPEG, PNG = picture("JPEG"), picture("PNG", 7)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header says that it has that size."""
    head = b"IHDR" + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.inspect")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures at a path with a space and a quote."""
    place = tmp_path / "ops' pictures"
    place.mkdir()
    return place


@pytest.fixture
def inspect(module: ModuleType, tmp_path: Path) -> Inspect:
    """Inspect, and return the result with {file: [reasons]} in `reasons` and `remarked`, and the output in `output`."""

    def inspect(path: Path | str, **more: Any) -> dict[str, Any]:
        output: list[str] = []
        result = tmp_path / "findings.jsonl"
        result.unlink(missing_ok=True)
        request = {"path": str(path), "images_root": "", "input_json": "", "quarantine": "", "undo": "", "jobs": 2}
        answer = module.inspect({**request, "result": str(result), **more}, output.append)
        json.dumps(answer)
        reasons: dict[str, list[str]] = {}
        remarks: dict[str, list[str]] = {}
        for line in result.read_text().splitlines() if "findings" in answer else []:
            entry = json.loads(line)
            key = " ".join([entry["file"], entry["place"]]).strip()
            (remarks if entry["remark"] else reasons).setdefault(key, []).append(entry["reason"])
        return {**answer, "reasons": reasons, "remarked": remarks, "output": output}

    return inspect


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


BAD = {
    "._a.jpg": b"\0\5\x16\7\0\2\0\0",
    "below/empty.jpg": b"",
    "cut.jpg": JPEG[:-200],
    "cut.png": PNG[: len(PNG) // 2],
    "header.jpg": JPEG[:20],
    "page.jpg": b"<html>",
    "bomb.png": png_of(100000, 100000),
    "flat.png": png_of(0, 5),
    "below/\udcff\n.png": PNG[:50],
}


def test_every_file_of_a_folder_is_checked(inspect: Inspect, folder: Path) -> None:
    write(
        folder,
        {
            **BAD,
            "a.jpg": JPEG,
            "named.png": picture("JPEG", 1),
            "moving.gif": picture("GIF", 2),
            "z copy of a.jpg": JPEG,
            "grey.pgm": b"P6 1 1 255 abc",
            "README": b"hello",
            ".keep": b"",
        },
    )
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    result = inspect(folder)
    assert result["reasons"] == {
        "._a.jpg": ["it is an AppleDouble file, which a Mac leaves beside the real one"],
        "below/empty.jpg": ["it is empty"],
        "cut.jpg": ["it is truncated: the file ends before its pixels do"],
        "cut.png": ["it is truncated: the file ends before its pixels do"],
        "below/\\xff\\x0a.png": ["it is truncated: the file ends before its pixels do"],
        "header.jpg": ["it is truncated: the file ends before the header of the JPEG does"],
        "page.jpg": ["it is not a picture: it starts with 3c 68 74 6d, and no JPEG, PNG or PPM does"],
        "bomb.png": [
            "its header asks for 100000 x 100000 pixels, more than the 178956970 that are decoded "
            "(a decompression bomb)"
        ],
        "flat.png": ["it is 0 pixels wide and 5 high: it has no pixels"],
        "gone.jpg": ["it is a link to nowhere.jpg, which is missing"],
        "pipe.jpg": ["it is a pipe (FIFO), not an ordinary file"],
    }
    assert result["remarked"] == {
        "named.png": ["it is a JPEG, but its name has another suffix; programs use its content"],
        "moving.gif": ["it is a GIF, which `data prepare` reads but eval.lua does not caption"],
        "z copy of a.jpg": ["it has the same bytes as a.jpg"],
        "README": ["it is not a picture: it starts with 68 65 6c 6c, and no JPEG, PNG or PPM does"],
        ".keep": ["it is empty"],
    }
    assert result["faults"] == {
        "AppleDouble": 1, "empty": 1, "truncated": 4, "no picture": 1, "decompression bomb": 1, "zero-sized": 1,
        "missing": 1, "no ordinary file": 1,
    }  # fmt: skip
    assert result["remarks"] == {"another type": 1, "other kind": 1, "duplicate": 1, "no picture": 1, "empty": 1}
    assert (result["what"], result["pictures"]) == ("folder", 17)
    assert result["output"][-1].startswith("5 remarks: 1 another type, 1 duplicate, ")
    assert "page.jpg: it is not a picture" in " ".join(result["output"])


def test_folder_without_any_file_is_a_fault(inspect: Inspect, tmp_path: Path) -> None:
    """Nothing was seen, for example because the disk of the pictures is not mounted."""
    (tmp_path / "empty").mkdir()
    result = inspect(tmp_path / "empty")
    assert (result["pictures"], result["faults"]) == (0, {"no file": 1})


def test_bad_pictures_are_moved_to_the_quarantine_and_back(inspect: Inspect, folder: Path) -> None:
    write(folder, {**BAD, "a.jpg": JPEG, "notes.txt": b"hello", "b.jpg": JPEG})
    aside = folder / "aside"
    result = inspect(folder, quarantine=str(aside))
    assert (result["quarantined"], result["not_moved"]) == (len(BAD), [])
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and aside not in path.parents}
    assert left == {"a.jpg", "b.jpg", "notes.txt"}
    again = inspect(folder, quarantine=str(aside))
    assert (again["faults"], again["quarantined"]) == ({}, 0)
    assert inspect(folder)["faults"] == {}
    back = inspect("", undo=result["list"])
    assert (back["moved_back"], back["left"], back["what"]) == (len(BAD), [], "undo")
    assert {name: (folder / name).read_bytes() for name in BAD} == BAD


def test_invalid_quarantine_is_refused_before_the_inspection(
    module: ModuleType, inspect: Inspect, folder: Path
) -> None:
    with pytest.raises(module.StackError, match="is or contains the data itself"):
        inspect(folder, quarantine=str(folder))
    (folder / "c.h5").write_bytes(b"")
    with pytest.raises(module.StackError, match="--quarantine moves pictures"):
        inspect(folder / "c.h5", quarantine=str(folder / "aside"))


def test_decoder_that_crashes_is_reported_for_its_picture(
    module: ModuleType,
    load: Callable[[str], ModuleType],
    inspect: Inspect,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = load("inspecting.pictures")
    check = pictures.check

    def crash(path: str, *more: object) -> object:
        if path.endswith("evil.jpg"):
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        return check(path, *more)

    monkeypatch.setattr(pictures, "check", crash)
    write(folder, {"evil.jpg": JPEG, **{f"{number}.jpg": picture("JPEG", number) for number in range(12)}})
    result = inspect(folder)
    assert result["reasons"] == {"evil.jpg": ["it is damaged: its decoder crashes (SIGSEGV)"]}


def test_without_pillow_the_headers_are_checked(
    inspect: Inspect, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    write(folder, {"cut.jpg": JPEG[:-200], "empty.jpg": b""})
    result = inspect(folder)
    assert result["faults"] == {"empty": 1}
    assert result["output"][0].startswith("Pillow is not installed for this Python")


def test_captions_are_checked_with_their_pictures(inspect: Inspect, folder: Path) -> None:
    write(folder, {"a.jpg": JPEG, "cut.jpg": JPEG[:-200], "unnamed.jpg": PNG, "\udcff.jpg": picture("JPEG", 3)})
    listed = [
        {"file_path": "a.jpg", "captions": ["a dog", "...", "a dog"]},
        {"file_path": "cut.jpg", "captions": ["a cut"]},
        {"file_path": "gone.jpg", "captions": ["gone"]},
        {"file_path": "\\xff.jpg", "captions": ["odd"]},
        {"file_path": "./a.jpg ", "captions": ["a space"]},
    ]
    captions = folder.parent / "captions.json"
    captions.write_text(json.dumps(listed))
    result = inspect(captions, images_root=str(folder))
    assert (result["what"], result["pictures"], result["captions"]) == ("captions", 5, 7)
    assert result["reasons"] == {
        f"{captions} picture 1 (a.jpg)": ['the caption "..." has no words, only punctuation'],
        "cut.jpg": ["it is truncated: the file ends before its pixels do"],
        "gone.jpg": ["there is no such file"],
        "./a.jpg": ["there is no such file"],
    }
    assert result["remarked"] == {
        f"{captions} picture 1 (a.jpg)": ['the caption "a dog" occurs twice'],
        "unnamed.jpg": [f"it has no caption in {captions}"],
    }


def test_captions_that_cannot_be_read_are_faults_with_their_places(inspect: Inspect, folder: Path) -> None:
    captions = folder / "captions.json"
    captions.write_text(json.dumps([{"file_path": "a.jpg", "captions": [""]}, {"file_path": 7, "captions": ["x"]}]))
    result = inspect(captions)
    assert result["faults"] == {"captions": 2}
    assert result["pictures"] == 0
    write(folder, {"cut.jpg": JPEG[:-200]})
    assert inspect(captions, images_root=str(folder))["faults"] == {"captions": 2, "truncated": 1}


def test_pixels_and_names_of_a_data_set_are_checked(inspect: Inspect, folder: Path) -> None:
    h5, text = dataset.write(folder, 4)
    (folder / "train").mkdir()
    (folder / "train" / "0001.jpg").write_bytes(JPEG)
    result = inspect(h5)
    assert (result["what"], result["pictures"], result["faults"], result["remarks"]) == ("data set", 4, {}, {})
    assert inspect(text)["faults"] == {}
    result = inspect(h5, images_root=str(folder))
    assert result["faults"] == {"missing": 3}
    assert result["reasons"][f"{text} images[2]"] == ["train/0002.jpg: there is no such file"]


def test_data_set_without_its_json_or_hdf5(module: ModuleType, inspect: Inspect, folder: Path) -> None:
    h5, text = dataset.write(folder, 3)
    other = folder / "other.json"
    text.rename(other)
    assert list(inspect(h5)["remarks"]) == ["no JSON"]
    assert inspect(h5, input_json=str(other))["remarks"] == {}
    with pytest.raises(module.StackError, match="there is no HDF5 file with the same name"):
        inspect(other)
    (folder / "rest.h5").write_bytes(b"nothing")
    assert inspect(folder / "rest.h5")["reasons"] == {str(folder / "rest.h5"): ["it is not an HDF5 file"]}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "there is no such file"),
        ("pipe", r"it is a pipe \(FIFO\), not an ordinary file"),
        ("/dev/zero", "it is a device, not an ordinary file"),
    ],
)
def test_file_that_is_missing_or_not_ordinary_is_refused(
    module: ModuleType, inspect: Inspect, folder: Path, name: str, words: str
) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(module.StackError, match=words):
        inspect(folder / name)
    dataset.write(folder, 3)
    if name == "pipe":
        with pytest.raises(module.StackError, match=words):
            inspect(folder / "cocotalk.h5", input_json=str(folder / "pipe"))


def test_result_that_cannot_be_written_is_an_error(module: ModuleType, inspect: Inspect, folder: Path) -> None:
    with pytest.raises(module.StackError, match="none/x cannot be written: No such file"):
        inspect(folder, result=str(folder / "none" / "x"))


def test_many_faults_are_counted_and_the_first_are_printed(inspect: Inspect, folder: Path) -> None:
    write(folder, {f"{number:03}.jpg": b"" for number in range(30)})
    result = inspect(folder)
    assert result["faults"] == {"empty": 30}
    assert len(result["first"]) == 20
    assert result["output"][-3:] == ["and 10 more", "30 faults: 30 empty", "0 remarks"]


def test_termination_ends_it_with_its_children(load: Callable[[str], ModuleType], folder: Path) -> None:
    start_of = load("host.processes").start_of  # empty for a process that has ended, also before it is waited for
    for number in range(3):
        (folder / f"{number}.ppm").write_bytes(b"P6 9000 9000 255 ")
        os.truncate(folder / f"{number}.ppm", 17 + 3 * 9000 * 9000)
    words = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from module_utils.inspecting.inspect import inspect\n"
        "inspect({'path': sys.argv[2], 'result': '/dev/null', 'jobs': 2}, lambda text: print(text, flush=True))"
    )
    argv = [sys.executable, "-c", words, paths.plugins(), folder]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        assert "3 files below" in process.stdout.readline()
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(listed.read_text)
        children = listed.read_text().split()
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    until(lambda: not any(start_of(child) for child in children))
