"""Tables of captions: quotes, newlines, delimiters, headers; and the lists that Flickr8k comes with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def read(load: Callable[[str], ModuleType], tmp_path: Path) -> Callable[..., Any]:
    """Return {file: captions} as read from a file with this text."""

    def read(text: str, name: str = "my captions.csv", **columns: str) -> dict[str, list[str]]:
        (tmp_path / name).write_bytes(text.encode())
        found = load("captions.sources").read([str(tmp_path / name)], **columns)
        return {entry["file_path"]: entry["captions"] for entry in found}

    return read


@pytest.fixture
def error(load: Callable[[str], ModuleType]) -> type[Exception]:
    found: type[Exception] = load("captions.tables").StackError
    return found


@pytest.mark.parametrize(
    "text",
    [
        'file,caption\na.jpg,"a ""red"" cat, with\nnewline"\nb b.jpg,dog\n\na.jpg,again\n',
        '\ufefffile,caption\r\na.jpg,"a ""red"" cat, with\nnewline"\r\nb b.jpg,dog\r\na.jpg,again',
        '"file","caption"\r"a.jpg","a ""red"" cat, with\nnewline"\r"b b.jpg","dog"\r"a.jpg","again"\r',
        'n\tfile\tcaption\n1\ta.jpg\t"a ""red"" cat, with\nnewline"\n2\tb b.jpg\tdog\n3\ta.jpg\tagain\n',
        'caption;Image_Name\n"a ""red"" cat, with\nnewline";a.jpg\ndog;b b.jpg\nagain; a.jpg\n',
    ],
)
def test_table_has_a_row_for_each_caption(read: Callable[..., Any], text: str) -> None:
    assert read(text) == {"a.jpg": ['a "red" cat, with\nnewline', "again"], "b b.jpg": ["dog"]}


def test_table_with_bars_of_flickr30k(read: Callable[..., Any]) -> None:
    text = "image_name| comment_number| comment\n1.jpg| 0| Two men .\n1.jpg| 1| They, too\n"
    assert read(text, "results.csv") == {"1.jpg": [" Two men .", " They, too"]}


def test_list_of_flickr8k_has_neither_header_nor_quotes(read: Callable[..., Any], error: type[Exception]) -> None:
    text = '1_a.jpg#0\tA "cat .\n1_a.jpg#1\t"It\n2.jpg#0\tB\n'
    assert read(text, "Flickr8k.token.txt") == {"1_a.jpg": ['A "cat .', '"It'], "2.jpg": ["B"]}
    with pytest.raises(error, match="line 4: it is not `file#number`, a tab and a caption, like line 1"):
        read(text + "2.jpg B\n")


def test_named_columns_win(read: Callable[..., Any]) -> None:
    text = "file,Bild,caption,Text\na.jpg,b.jpg,c,d\n"
    assert read(text) == {"a.jpg": ["c"]}
    assert read(text, file_column="Bild", caption_column="text") == {"b.jpg": ["d"]}


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        (
            "a.jpg,a cat\n",
            {},
            r"line 1: it has to contain .*\(file_path, file_name, .*it is: a\.jpg,a cat\. Add",
        ),
        ("\x1b[31m,caption\n", {}, r"it is: \\x1b\[31m,caption"),
        ("file,text\na,b\n", {"caption_column": "Satz"}, r"one for the caption \(Satz\); it is: file,text"),
        ("file,text\na,b\n", {"split_column": "fold"}, r"one for the split \(fold\); it is: file,text"),
        ("a.jpg#0\tb\n", {"file_column": "id"}, r"one for the file \(id\)"),
        ("file,text\n", {}, "there is no picture with captions"),
        ("file,text,text\na,b,c\n", {}, "line 2: the column text occurs twice"),
        ("file,text\na,b,c\n", {}, r"line 2: it has 3 cell\(s\), and the header has 2"),
        ('file,text\n"a\nb",c\n\nd\n', {}, r"line 5: it has 1 cell\(s\)"),
        (
            'file,text\na,b\nc,"never\nclosed\n',
            {},
            "line 3: the table cannot be read from here on .*a quote within a cell",
        ),
        ('file,text\na,"b" c\n', {}, "line 2: the table cannot be read from here on"),
        ('file,text\na,"' + "b" * 200_000, {}, "line 2: the table cannot be read from here on .field larger"),
        ("file,text\na,\n", {}, "line 2: a: caption 1 is empty"),
        ("file,text\n ,b\n", {}, "line 2: the file has no name"),
    ],
)
def test_problems_have_their_line(
    read: Callable[..., Any], error: type[Exception], text: str, columns: dict[str, str], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(text, **columns)
