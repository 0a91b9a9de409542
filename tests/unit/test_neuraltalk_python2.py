"""The orders of Python 2.7, computed by any Python. The expected values were printed by Python 2.7.18."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.standin import captions


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("captions.python2")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"", 0),
        (b"a", 12416037344),
        (b"man", 6387157653032356319),
        (b"\xe7\x94\xb7", 16582081715337108951),
        (b"\xff\x00 x", 10201554102900032057),
    ],
)
def test_hash_of_a_byte_string(module: ModuleType, word: bytes, value: int) -> None:
    assert module.hash_of(word) == value


def test_seed_123_shuffles_as_in_python_2_7(module: ModuleType) -> None:
    values = list(range(20))
    module.shuffle(values, 123)
    assert values == [13, 8, 12, 5, 6, 2, 15, 11, 9, 3, 16, 10, 4, 17, 0, 14, 18, 7, 19, 1]


def test_shuffle_of_none_or_one_changes_nothing(module: ModuleType) -> None:
    for values in ([], ["a"]):
        module.shuffle(values, 123)
        assert len(values) < 2


def test_keys_of_one_place_take_the_next_free_one_in_order_of_insertion(module: ModuleType) -> None:
    words = [b"split", b"file_path", b"id", b"ix_to_word", b"images"]
    assert module.order_of_keys(words[:2]) == [b"split", b"file_path"]
    assert module.order_of_keys(words) == [b"id", b"images", b"ix_to_word", b"split", b"file_path"]
    assert module.order_of_keys([*words[:3], b"aa", *words[3:]]) == [
        b"aa", b"ix_to_word", b"file_path", b"split", b"images", b"id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "digest"),
    [
        (5, "4c8141b600d11026"),
        (6, "e66b79c2808d17ec"),
        (21845, "6cfffd24ff7c18cd"),
        (21846, "a658e49197fdadec"),
        (87382, "db4fff5a826eb3a4"),
    ],
)
def test_keys_of_a_dict_that_grew(module: ModuleType, count: int, digest: str) -> None:
    """With 5 keys the first table is full, with 21,845 a later one; above 50,000 keys the growth is 2, not 4."""
    words = [captions.word(number * 7919 % 100_000).encode() for number in range(count)]
    assert hashlib.sha256(b"\n".join(module.order_of_keys(words))).hexdigest()[:16] == digest
