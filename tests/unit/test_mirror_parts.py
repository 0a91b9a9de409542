"""The format of bundles: sizes, names, layout, documents, and which artifact goes into which part. Pure."""

from __future__ import annotations

import random

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import lock, packing, parts
from tests.unit import carrying

LOCK = b"schema_version: 1\n" * 20
G = 10**9


def packed(sizes: dict[str, int], part_size: int) -> parts.Description:
    return packing.pack(sizes, part_size, LOCK, {})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200M", 200 * 10**6),
        ("25G", 25 * G),
        ("4.7G", 4_700_000_000),
        ("1m", 10**6),
        ("1.5TB", 1_500 * G),
        (" 2gb", 2 * G),
    ],
)
def test_sizes_are_read_as_they_stand_on_media(text: str, size: int) -> None:
    assert parts.bytes_of(text) == size


@pytest.mark.parametrize(
    "text", ["", "25", "25K", "0.9M", "-1G", "1,5G", "25GiB", "1e3M", "9999999G", "999999T", "\u0663G"]
)
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parts.bytes_of(text)
    assert f"--size {text}" in caught.value.message
    assert "200M, 4.7G or 25G" in caught.value.advice


@pytest.mark.parametrize("seed", range(30))
def test_parts_are_never_too_large_and_only_what_is_larger_than_a_part_is_split(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice([10**6, 4_700_000_000, 25 * G])
    sizes = {f"file{n}.tgz": chance.choice([0, 1, size // 10, size // 3, size - 90_000, 3 * size]) for n in range(12)}
    description = packed(sizes, size)
    layouts = parts.layouts(description, LOCK, {})
    assert max(layout.size for layout in layouts) <= size
    assert all(size - 90_000 < sizes[file] for file in description.split)
    known = [lock.Entry(name=file, file=file, sha256="a" * 64, size=sizes[file], role="torch") for file in sizes]
    parts.check(description, lock.Lock(artifacts=tuple(known)))
    assert parts.load(parts.Description, parts.dump(description)) == description


def test_few_parts_are_needed() -> None:
    assert packed(dict.fromkeys((f"f{n}" for n in range(40)), 600_000_000), 25 * G).parts == 1
    assert packed({"a": 25 * G, "b": 10 * G, "c": 9 * G}, 25 * G).parts == 2


@pytest.mark.parametrize("sizes", [{"a": 2_000 * 10**6}, {"a" * 190 + str(n): 10 for n in range(5_000)}])
def test_too_many_parts_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="too small for this mirror") as caught:
        packed(sizes, 10**6)
    assert "larger --size" in caught.value.advice


def test_names_of_parts_sort_like_their_numbers_and_begin_like_their_bundle() -> None:
    names = [parts.part_name("ab" * 32, number, 12) for number in range(1, 13)]
    assert names == sorted(names)
    assert names[0] == "neuraltalk-mirror-abababababab-part-01-of-12.tar"
    assert all(parts.PART_NAME.fullmatch(name) for name in names)


DESCRIPTION = packed({"big.tgz": 2_500_000, "small.tgz": 7}, 10**6)
KNOWN = lock.Lock(
    artifacts=(
        carrying.entry("big", b"").model_copy(update={"size": 2_500_000}),
        carrying.entry("small", b"1234567"),
    )
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pieces": DESCRIPTION.pieces[1:]}, "do not fit"),
        ({"pieces": DESCRIPTION.pieces[:-1]}, "does not contain small"),
        ({"pieces": DESCRIPTION.pieces[::-1]}, "do not fit|not in order"),
        ({"pieces": (*DESCRIPTION.pieces, DESCRIPTION.pieces[-1])}, "do not fit"),
        ({"left_out": ("small.tgz",)}, "do not fit"),
        ({"left_out": ("other.tgz",)}, "not in its lock"),
        ({"pieces": DESCRIPTION.pieces[:2]}, "bytes, its lock says|does not contain"),
    ],
)
def test_description_that_does_not_fit_its_lock_is_refused(change: dict[str, object], words: str) -> None:
    parts.check(DESCRIPTION, KNOWN)
    with pytest.raises(ValueError, match=words):
        parts.check(DESCRIPTION.model_copy(update=change), KNOWN)


@pytest.mark.parametrize("file", ["mirror.lock", "mirror.lock.sig", "a" * 201])
def test_lock_that_names_the_files_of_the_mirror_itself_is_refused(file: str) -> None:
    known = lock.Lock(artifacts=(carrying.entry("a", b"").model_copy(update={"file": file}),))
    with pytest.raises(ValueError, match="cannot be an artifact"):
        parts.check(packed({}, 10**6), known)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"lock": "' + b"9" * 64 + b'", "files": [{"file": "../a", "size": 1, "sha256": "' + b"a" * 64 + b'"}]}',
        b'{"lock": "' + b"9" * 64 + b'", "files": [{"file": "a", "size": 1e400, "sha256": "' + b"a" * 64 + b'"}]}',
        b'{"lock": "' + b"9" * 64 + b'", "files": [{"file": "a", "size": true, "sha256": "' + b"a" * 64 + b'"}]}',
        b'{"lock": "' + b"9" * 64 + b'", "lock": "' + b"8" * 64 + b'"}',
    ],
)
def test_document_in_doubt_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parts.load(parts.State, content)
