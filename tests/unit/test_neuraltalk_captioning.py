"""The pictures of a captioning: linked under plain names where image.load reads them, else set aside by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.standin import images

JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x02\x00\x03" + bytes(12)
PNG = images.png(3, 2, (1, 2, 3))
PPM = b"P6 1 1 255 abc"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captioning.pictures")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures at a path with a space and a quote."""
    place = tmp_path / "ops' pictures"
    place.mkdir()
    return place


@pytest.fixture
def lay_out(
    module: ModuleType, load: Callable[[str], ModuleType], generation: Path, folder: Path
) -> Callable[..., dict[str, Any]]:
    """Lays out the pictures of the folder for a run; what the program gets, {link: name}, {name: reason}, the log."""

    def lay_out(stopped: Callable[[], bool] = lambda: False, **given: Any) -> dict[str, Any]:
        run = load("runs.files").Run(str(generation.parents[1]), "r")
        Path(run.path).mkdir(parents=True)
        given["image_folder"] = str(folder)
        found = module.lay_out_pictures(run, given, str(generation), dict(os.environ), stopped)
        written = json.loads(Path(run.images).read_text())
        assert found[1:] == (written["images"], written["set_aside"])
        aside = {entry["file"]: entry["reason"] for entry in written["set_aside"]}
        return {
            "given": found[0], "images": written["images"], "aside": aside, "log": Path(run.log).read_text(),
            "links": {path.name: os.fsencode(path.readlink()) for path in Path(run.path, "images").iterdir()},
        }  # fmt: skip

    return lay_out


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_what_is_read_is_linked_under_a_plain_name_and_the_rest_is_set_aside_with_its_reason(
    lay_out: Callable[..., dict[str, Any]], folder: Path
) -> None:
    odd = os.fsdecode(b"\xe9t\xe9\n$(id).PNG")
    write(
        folder,
        {
            'a cat\'s "own" $HOME.JPG': JPEG,
            odd: PNG,
            "no suffix": JPEG,
            "below/deep/grey.bmp": b"P5 1 1 255 a",
            "below/._a.jpg": b"\0\5\x16\7\0\2\0\0",
            "empty.jpeg": b"",
            "notes.txt": b"hello",
            "moving.gif": b"GIF89a\1\0\1\0" + bytes(9),
            "cut.png": PNG + b"undecodable",
            "bomb.png": PNG[:16] + b"\0\1\0\0\0\1\0\0" + PNG[24:],
            "flat.png": PNG[:16] + bytes(4) + PNG[20:],
        },
    )
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    told = lay_out()
    assert told["images"] == {
        "000001.jpg": 'a cat\'s "own" $HOME.JPG',
        "000002.jpg": "no suffix",
        "000003.png": "\\xe9t\\xe9\\x0a$(id).PNG",
        "000004.ppm": "below/deep/grey.bmp",
    }
    assert told["links"]["000003.png"] == os.fsencode(folder / odd)
    assert told["links"].keys() == told["images"].keys()
    assert told["aside"] == {
        "below/._a.jpg": "it is an AppleDouble file, which a Mac leaves beside the real one",
        "empty.jpeg": "it is empty",
        "notes.txt": "it is not a picture: it starts with 68 65 6c 6c, and no JPEG, PNG or PPM does",
        "moving.gif": "it is a picture of another type (GIF): image.load reads JPEG, PNG, PPM and PGM",
        "cut.png": "image.load: [read] broken",
        "bomb.png": "its header asks for 65536 x 65536 pixels, more than the 178956970 that are decoded "
        "(a decompression bomb)",
        "flat.png": "it is 0 pixels wide and 2 high: it has no pixels",
        "gone.jpg": "it is a link to nowhere.jpg, which is missing",
        "pipe.jpg": "it is a pipe (FIFO), not an ordinary file",
    }
    assert told["given"]["num_images"] == 4
    assert told["log"].splitlines()[-1] == (
        "4 of 13 files are captioned; set aside: 1 AppleDouble, 1 decompression bomb, 1 empty, 1 missing, "
        "1 no ordinary file, 1 no picture, 1 not decodable, 1 other kind, 1 zero-sized. "
        "Their names are in images.json"
    )


def test_number_of_pictures_that_was_asked_for_stays(lay_out: Callable[..., dict[str, Any]], folder: Path) -> None:
    write(folder, {"1.jpg": JPEG, "2.jpg": JPEG})
    assert lay_out(num_images="1")["given"]["num_images"] == "1"


def test_folder_without_a_picture_is_an_error_that_names_some(
    module: ModuleType, lay_out: Callable[..., dict[str, Any]], folder: Path
) -> None:
    write(folder, {f"{name}.jpg": b"" for name in "abcde"})
    words = (
        r"contains no picture that image.load can read \(5 set aside: a.jpg: it is empty; .*c.jpg: it is "
        r"empty; and so on\)"
    )
    with pytest.raises(module.StackError, match=words):
        lay_out()


def test_empty_folder_is_an_error(module: ModuleType, lay_out: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(module.StackError, match="can read: there is no file in it"):
        lay_out()


def test_progress_stands_in_the_log(
    load: Callable[[str], ModuleType],
    lay_out: Callable[..., dict[str, Any]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load("programs.progress"), "MIN_INTERVAL", 0.0)
    write(folder, {"1.jpg": JPEG, "2.jpg": JPEG, "3.jpg": b""})
    log = lay_out()["log"]
    assert "\nchecked the headers of 2 of 3 pictures (66 %), " in log
    assert "\nread 1 of 2 pictures (50 %), " in log


def test_stop_is_heard(module: ModuleType, lay_out: Callable[..., dict[str, Any]], folder: Path) -> None:
    write(folder, {"1.jpg": JPEG})
    with pytest.raises(module.Stopped):
        lay_out(stopped=lambda: True)


def test_of_very_many_that_are_set_aside_the_first_are_told(
    module: ModuleType, lay_out: Callable[..., dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 2)
    write(folder, {**{f"{number}.jpg": b"" for number in range(5)}, "x.jpg": JPEG})
    aside = lay_out()["aside"]
    assert list(aside) == ["0.jpg", "1.jpg", "..."]
    assert aside["..."].startswith("and 3 more; set aside: 5 empty.")


def coco(folder: Path, *entries: Any, **more: Any) -> str:
    path = folder.parent / "some.json"
    path.write_text(json.dumps({"images": entries, **more}))
    return str(path)


def test_coco_json_names_the_pictures_and_is_copied_with_the_names_of_the_links(
    lay_out: Callable[..., dict[str, Any]], folder: Path
) -> None:
    write(
        folder,
        {"b.jpg": JPEG, "a.jpg": JPEG, "not asked for.jpg": JPEG, "sub/c.png": PNG, "bad.jpg": b"",
         os.fsdecode(b"\xff.jpg"): JPEG, "back\\slash.jpg": JPEG},
    )  # fmt: skip
    (folder.parent / "out.jpg").write_bytes(JPEG)
    names = ["b.jpg", "sub/c.png", "gone.jpg", "bad.jpg", "../out.jpg", str(folder / "a.jpg"), "\\xff.jpg", "b.jpg"]
    names += ["back\\slash.jpg", "\ud800.jpg"]
    entries = [{"file_name": name, "id": 10 + at, "width": 3} for at, name in enumerate(names)]
    entries[1]["id"] = "text"
    given = coco(folder, *entries, info={"year": 2014})
    told = lay_out(coco_json=given)
    assert told["images"] == {
        "000001.jpg": "b.jpg",
        "000002.png": "sub/c.png",
        "000003.jpg": "\\xff.jpg",
        "000004.jpg": "back\\\\slash.jpg",
    }
    copy = json.loads(Path(told["given"]["coco_json"]).read_text())
    assert copy["info"] == {"year": 2014}
    assert [(entry["id"], entry["file_name"], entry["width"]) for entry in copy["images"]] == [
        (10, "000001.jpg", 3),
        ("text", "000002.png", 3),
        (16, "000003.jpg", 3),
        (17, "000001.jpg", 3),
        (18, "000004.jpg", 3),
    ]
    assert told["given"]["num_images"] == 5
    assert told["aside"] == {
        "gone.jpg": "there is no such file",
        "bad.jpg": "it is empty",
        "../out.jpg": "its name in -coco_json leads out of the folder",
        str(folder / "a.jpg"): "its name in -coco_json leads out of the folder",
        "\\xed\\xa0\\x80.jpg": "there is no such file",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "some.json is not JSON: "),
        ("[" * 100000, "some.json is not JSON: "),
        ("[]", "some.json: it has no list of images"),
        ('{"images": []}', "some.json: it has no list of images"),
        ('{"images": [{"file_name": "x.jpg", "id": 1}, 7]}', r"images\[1\] has no file_name"),
        ('{"images": [{"file_name": 7, "id": 1}]}', r"images\[0\] has no file_name"),
        ('{"images": [{"file_name": "x.jpg", "id": null}]}', r"images\[0\] has no id that is a number or a text"),
        ('{"images": [{"file_name": "x.jpg", "id": true}]}', r"images\[0\] has no id that is a number or a text"),
    ],
)
def test_coco_json_of_another_shape_is_refused_with_its_place(
    module: ModuleType, lay_out: Callable[..., dict[str, Any]], folder: Path, text: str, words: str
) -> None:
    (folder.parent / "some.json").write_text(text)
    with pytest.raises(module.StackError, match=words):
        lay_out(coco_json=str(folder.parent / "some.json"))


def test_coco_json_that_is_missing_or_too_large_is_refused(
    module: ModuleType, lay_out: Callable[..., dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(module.StackError, match=r"none.json: it cannot be read: No such file"):
        module.read_coco(str(folder / "none.json"))
    monkeypatch.setattr(module, "MAX_READ", 5)
    with pytest.raises(module.StackError, match=r"it has \d+ bytes, more than the 5 that are read"):
        lay_out(coco_json=coco(folder))
