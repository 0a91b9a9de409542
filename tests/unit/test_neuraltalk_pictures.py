"""Files of pictures: names that are shown and found again, folders that are walked, and a check of each header."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

NAMES = [
    (b"red.jpg", "red.jpg"),
    ("Löwe 中.png".encode(), "Löwe 中.png"),
    (b"a\\b", "a\\\\b"),
    (b"\\xff", "\\\\xff"),
    (b"\xff\xfe.jpg", "\\xff\\xfe.jpg"),
    (b"two\nlines\t\x1b[31m\x7f", "two\\x0alines\\x09\\x1b[31m\\x7f"),
    (b"half \xe4\xb8", "half \\xe4\\xb8"),
    ("gpj.\u202e".encode(), "gpj.\\xe2\\x80\\xae"),
    (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ("\x85\u2028\ufeff".encode(), "\\xc2\\x85\\xe2\\x80\\xa8\\xef\\xbb\\xbf"),
    ("\U0001f600 \u200d".encode(), "\U0001f600 \u200d"),
    (b"\xc0\xaf\xf5\x80\x80\x80", "\\xc0\\xaf\\xf5\\x80\\x80\\x80"),
    (b"", ""),
]


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("pictures.files")


def jpeg(width: int = 3, height: int = 2) -> bytes:
    return b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(12)


@pytest.mark.parametrize(("name", "text"), NAMES)
def test_name_is_shown_in_one_line_and_found_again(module: ModuleType, name: bytes, text: str) -> None:
    assert module.shown(name) == text
    assert module.shown(os.fsdecode(name)) == text
    assert module.unescaped(text) == os.fsdecode(name)


def test_every_byte_and_pair_of_bytes_survives(module: ModuleType) -> None:
    for first in range(256):
        name = b"".join(bytes([first, second, 65]) for second in range(256))
        text = module.shown(name)
        assert os.fsencode(module.unescaped(text)) == name
        assert "\n" not in text
        text.encode("utf-8")


def test_half_of_a_surrogate_pair_can_be_shown(module: ModuleType) -> None:
    assert module.shown("\ud800.jpg") == "\\xed\\xa0\\x80.jpg"


def walked(module: ModuleType, folder: Path, **more: object) -> dict[str, object]:
    return {name: getattr(info, "reason", None) or info.st_size for name, info in module.walk(str(folder), **more)}


def test_folders_are_walked_in_order_and_missing_files_are_reported(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "2.jpg").write_bytes(b"22")
    (tmp_path / "b" / "1.jpg").write_bytes(b"1")
    (tmp_path / "z.jpg").write_bytes(b"zzz")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    found = walked(module, tmp_path)
    assert list(found) == ["gone.jpg", "z.jpg", "b/1.jpg", "b/deep/2.jpg"]
    assert found["gone.jpg"] == "it is a link to nowhere, which is missing"
    assert found["b/deep/2.jpg"] == 2


def test_loops_end_and_a_folder_is_walked_once_under_its_own_name(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1.jpg").write_bytes(b"1")
    (tmp_path / "own" / "up").symlink_to(tmp_path)
    (tmp_path / "a link").symlink_to("own")
    (tmp_path / "round").symlink_to("round")
    assert list(walked(module, tmp_path)) == ["round", "own/1.jpg"]


def test_folder_elsewhere_is_walked_through_its_link(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "1.jpg").write_bytes(b"1")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "there")
    assert list(walked(module, tmp_path / "here")) == ["link/1.jpg"]


def test_excluded_folder_is_not_walked(module: ModuleType, tmp_path: Path) -> None:
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"1")
    assert list(walked(module, tmp_path, excluded=[str(tmp_path / "bad"), str(tmp_path / "none")])) == ["good/1.jpg"]


def test_depth_and_number_have_a_bound(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1" / "2" / "3").mkdir(parents=True)
    (tmp_path / "1" / "2" / "3" / "x.jpg").write_bytes(b"1")
    monkeypatch.setattr(module, "DEEPEST", 2)
    assert walked(module, tmp_path) == {"1/2/3": "this folder is nested in 2 others and was not searched"}
    monkeypatch.setattr(module, "MOST_FILES", 2)
    with pytest.raises(
        module.StackError, match="contains more than 2 files: give a folder that contains only pictures"
    ):
        walked(module, tmp_path)


def test_missing_folder_is_an_error(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(module.StackError, match=r"none cannot be read: there is no such file"):
        walked(module, tmp_path / "none")


def test_names_that_are_not_utf_8_are_walked(module: ModuleType, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xe9t\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(jpeg())
    ((found, _info),) = module.walk(str(tmp_path))
    assert module.shown(found) == "\\xe9t\\xe9.jpg"
    assert module.look(str(tmp_path / found)) == ("JPEG", 3, 2)


def test_header_is_read_whatever_the_name_says(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "named.gif").write_bytes(jpeg(640, 480))
    (tmp_path / "empty.jpg").touch()
    assert module.look(str(tmp_path / "named.gif")) == ("JPEG", 640, 480)
    with pytest.raises(module.Unusable, match="it is empty"):
        module.look(str(tmp_path / "empty.jpg"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.jpg", "there is no such file"),
        ("link.jpg", "it is a link to none.jpg, which is missing"),
        ("round.jpg", "it cannot be read: Too many levels of symbolic links"),
        ("pipe.jpg", "it is a pipe (FIFO), not an ordinary file"),
        ("zero.jpg", "it is a device, not an ordinary file"),
        ("socket.jpg", "it is a socket, not an ordinary file"),
        ("folder.jpg", "it is a directory, not an ordinary file"),
        ("nul\0.jpg", "no file can have this name"),
        ("x" * 300, "it cannot be read: File name too long"),
    ],
)
def test_file_that_is_not_ordinary_does_not_block(
    module: ModuleType, tmp_path: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("none.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        with pytest.raises(module.Unusable) as caught:
            module.look(os.path.join(str(tmp_path), name))  # noqa: PTH118  (pathlib takes no NUL)
    assert caught.value.reason == reason


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_missing_permission_is_in_the_reason(
    module: ModuleType, load: Callable[[str], ModuleType], closed: str
) -> None:
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, which another account cannot enter
        folder = Path(place) / "in"
        folder.mkdir()
        Path(place).chmod(0o755)
        (folder / "x.jpg").write_bytes(jpeg())
        (folder / "x.jpg").chmod(0o200)
        folder.chmod(0o600 if closed == "folder" else 0o755)

        def result() -> list[str]:
            try:
                return [str(module.look(str(folder / "x.jpg")))]
            except module.Unusable as error:
                return [error.reason, error.fault]

        account = load("runs.account")
        nobody = account.Account("nobody", 65534, 65534) if os.geteuid() == 0 else None
        reason, fault = account.as_account(nobody, result)
        folder.chmod(0o700)
    assert fault == "unreadable"
    who = f"may not read it: it belongs to uid {os.geteuid()} and has mode 0200"
    assert (who if closed == "file" else f"may not enter {folder}") in reason
