"""Captions files from any source: nothing blocks, nothing is guessed, all problems are reported together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.documents")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_utf_8_with_and_without_a_mark(module: ModuleType, tmp_path: Path, mark: bytes) -> None:
    file = tmp_path / "a 'file'\n.csv"
    file.write_bytes(mark + "file,größe".encode())
    assert module.read(str(file)) == "file,größe"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"file,caption\na.jpg,caf\xe9\n", r"line 2: byte 23 of the file is not UTF-8.*iconv -f ENCODING -t UTF-8"),
        (b"\xef\xbb\xbfa\n\xb5", "line 2: byte 6 of the file is not UTF-8"),
        ("file,caption".encode("utf-16"), "is text in UTF-16: convert it with `iconv -f UTF-16"),
        (b"PK\x03\x04xlsx", "is a zip archive or an Excel workbook"),
        (b"\x1f\x8b\x08", "is compressed: unpack it with gunzip"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, which contains no captions as text"),
        (b"file\0caption", "is not text: byte 5 of it is 0"),
    ],
)
def test_file_that_is_not_text_is_refused_with_advice(
    module: ModuleType, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "captions\x1b.csv"
    file.write_bytes(content)
    with pytest.raises(module.StackError, match=words) as caught:
        module.read(str(file))
    assert str(caught.value).startswith(str(tmp_path / "captions\\x1b.csv"))


def test_file_that_is_not_ordinary_is_refused_at_once(module: ModuleType, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in [
        ("pipe", r"pipe \(FIFO\), not an ordinary file"),
        (".", "directory, not an ordinary file"),
        ("/dev/zero", "device, not an ordinary file"),
        ("none", "there is no such file"),
        ("loop", "cannot be used as a captions file"),
        ("a\0b", "cannot be used as a captions file"),
    ]:
        with pytest.raises(module.StackError, match=words):
            module.read(str(tmp_path / name))


def test_file_of_many_gigabytes_is_refused_before_it_is_read(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(module.MOST + 1)

    @contextlib.contextmanager
    def opened(path: str) -> Iterator[SimpleNamespace]:
        with Path(path).open("rb") as file:
            yield SimpleNamespace(fileno=file.fileno, read=lambda most: pytest.fail("it was read"))

    monkeypatch.setattr(module, "opened", opened)
    with pytest.raises(module.StackError, match="has more than 2147483648 bytes"):
        module.read(str(tmp_path / "huge.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "b" 2}', "in.json is not JSON: .*line 2 column"),
        ('["a"', "is not JSON"),
        ("[" * 200_000, "lists or objects that are nested too deeply"),
    ],
)
def test_invalid_json_is_refused_with_line_and_column(module: ModuleType, text: str, words: str) -> None:
    with pytest.raises(module.StackError, match=words):
        module.parse("in.json", text)


def test_problems_are_reported_together(module: ModuleType) -> None:
    problems = module.Problems(["a\n.csv", "b.csv"])
    problems.end()
    problems.add("line 1", "it is wrong")
    with pytest.raises(module.StackError, match=r"^a\\x0a\.csv and b\.csv, line 1: it is wrong$"):
        problems.end()
    for number in range(2, 31):
        problems.add(f"line {number}", "it is wrong")
    with pytest.raises(module.StackError) as caught:
        problems.end()
    lines = str(caught.value).split("\n")
    assert lines[0] == "a\\x0a.csv and b.csv: 30 problems:"
    assert lines[1] == "  line 1: it is wrong"
    assert lines[20:] == ["  line 20: it is wrong", "  and 10 more"]
