"""Words of captions: for ASCII those of prepro.py, and the rules for all other characters."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.tokens")


def words(module: ModuleType, caption: str, mode: str = "words") -> list[str]:
    return [word.decode() for word in module.tokenizer(mode)(caption)]


@pytest.mark.parametrize("mode", ["words", "chars"])
@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's RED-hat, (on) it. ", ["a", "mans", "redhat", "on", "it"]),
        ("tab\tand\nline \x0b\x0c and\rmore", ["tab", "and", "line", "and", "more"]),
        ("$5 + 5% = <b>", ["5", "5", "b"]),
        # No white space for Python 2's str, though it is for unicode.
        ("a\x1cb \x85".strip("\x85"), ["a\x1cb"]),
        ("... !?", []),
    ],
)
def test_ascii_caption_has_the_words_of_prepro_py(
    module: ModuleType, caption: str, expected: list[str], mode: str
) -> None:
    assert words(module, caption, mode) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("Ein Hündchen, süß!", ["ein", "hündchen", "süß"]),
        ("“It\u2019s” a café — naïve…", ["its", "a", "café", "naïve"]),
        ("¿Qué? ¡No!", ["qué", "no"]),
        ("cafe\u0301 CAFE\u0301", ["café", "café"]),
        ("no\u00a0break\u3000wide é", ["no", "break", "wide", "é"]),
        ("10€ & $5", ["10€", "5"]),
        ("Красная машина", ["красная", "машина"]),
        ("빨간 차", ["빨간", "차"]),
        ("一个男人\uff0c骑马。", ["一个男人骑马"]),
        ("a 😀 cat", ["a", "😀", "cat"]),
        ("—", []),
    ],
)
def test_other_captions_are_lower_case_nfc_and_without_punctuation(
    module: ModuleType, caption: str, expected: list[str]
) -> None:
    assert words(module, caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("一个男人\uff0c骑马。", ["一", "个", "男", "人", "骑", "马"]),
        ("穿Nike T恤的人 2个", ["穿", "nike", "t", "恤", "的", "人", "2", "个"]),
        ("ひらがなとカタカナー", list("ひらがなとカタカナー")),
        ("か\u3099", ["が"]),
        ("ที่นี่ดี", ["ที่", "นี่", "ดี"]),
        ("ລາວ ខ្មែរ", ["ລ", "າ", "ວ", "ខ្", "មែ", "រ"]),
        ("\U00020000\U0002a700x", ["\U00020000", "\U0002a700", "x"]),
        ("빨간 süß", ["빨간", "süß"]),
    ],
)
def test_chars_makes_letters_of_scripts_without_spaces_words(
    module: ModuleType, caption: str, expected: list[str]
) -> None:
    assert words(module, caption, "chars") == expected


def test_unknown_mode_is_refused(module: ModuleType) -> None:
    with pytest.raises(module.StackError, match='tokens is the text "letters"; it can be words or chars'):
        module.tokenizer("letters")


@pytest.mark.parametrize(
    ("caption", "unspaced"),
    [
        ("一个男人骑着一匹棕马", True),
        ("一个男人\uff0c骑着一匹棕马", True),
        ("ผู้ชาย คน หนึ่ง ขี่ ม้า", False),
        ("มหาวิทยาลัย", False),
        ("一个 男人 骑着 一匹 马", False),
        ("ผู้ชายคนหนึ่งขี่ม้า", True),
        ("Ein Donaudampfschiff mit süßem Kapitän", False),
    ],
)
def test_caption_without_spaces_is_recognised(module: ModuleType, caption: str, unspaced: bool) -> None:
    assert module.is_unspaced(caption) is unspaced
