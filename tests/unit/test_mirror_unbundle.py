"""Taking bundles: any order, several media, damaged and mixed parts; the mirror is the old one or the new one."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import os
import random
import shutil
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
import yaml

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import bundle, bundle_plan, digests, lock, part_file, parts, state, unbundle
from neuraltalk_provision.mirror.unbundle import Outcome
from neuraltalk_provision.settings import Settings
from tests.unit import carrying
from tests.unit.carrying import FILES, PART, pack, quiet, tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with a signed lock; nobody changes it."""
    place = carrying.make(tmp_path_factory.mktemp("source") / "m", FILES)
    (place / "mirror.lock.sig.d").mkdir()
    (place / "mirror.lock.sig.d" / "ab.sig").write_bytes(b"a signature")
    return place


@pytest.fixture(scope="module")
def bundled(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle of 5 parts; nobody changes it."""
    place = tmp_path_factory.mktemp("bundle")
    pack(source, place)
    return place


@pytest.fixture
def media(bundled: Path, tmp_path: Path) -> list[Path]:
    """Each part on a medium of its own, at a path with a space and a quote."""
    places = []
    for number, part in enumerate(sorted(bundled.glob("*.tar")), 1):
        places.append(tmp_path / f"the operator's medium {number}")
        places[-1].mkdir()
        shutil.copy(part, places[-1])
    return places


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """The mirror on the other side; it does not exist yet."""
    return tmp_path / "other" / "mirror"


def take(mirror: Path, *places: Path, start_over: bool = False) -> Outcome:
    return unbundle.unbundle(mirror, places, quiet, Settings(mirror=mirror), start_over=start_over)


def part_on(medium: Path) -> Path:
    (part,) = medium.glob("*.tar")
    return part


def damage(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_all_parts_at_once_make_the_same_mirror(source: Path, media: list[Path], mirror: Path) -> None:
    done = take(mirror, *media)
    assert done.missing == ()
    assert len(done.taken) == 5
    assert tree(mirror) == tree(source)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_three_media_in_any_order_make_the_same_mirror(
    source: Path, bundled: Path, mirror: Path, tmp_path: Path, order: tuple[int, ...]
) -> None:
    places = [tmp_path / f"medium {number}" for number in range(3)]
    for number, part in enumerate(sorted(bundled.glob("*.tar"))):
        places[number % 3].mkdir(exist_ok=True)
        shutil.copy(part, places[number % 3])
    names = {part.name for part in bundled.glob("*.tar")}
    for count, number in enumerate(order, 1):
        done = take(mirror, places[number])
        names -= {part.name for part in places[number].iterdir()}
        assert set(done.missing) == names
        assert (mirror / "mirror.lock").exists() == (count == 3)
    assert tree(mirror) == tree(source)


def test_split_file_is_read_again_only_if_its_pieces_came_out_of_order(
    media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr("neuraltalk_provision.mirror.staging.Staging.digest", refuse)
    assert take(mirror, *media[::-1]).missing == ()


@pytest.mark.parametrize(("changed", "root"), [(False, False), (True, False), (False, True)])
def test_another_operator_of_the_mirror_continues_a_file_of_several_parts(
    changed: bool, root: bool, source: Path, media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one cannot change it later, and what he changed after it was hashed is not taken."""
    mirror.mkdir(parents=True)
    mirror.chmod(0o2775)
    before = os.umask(0o077)
    try:
        take(mirror, *media[:2])
    finally:
        os.umask(before)
    (begun,) = (mirror / ".unbundling" / "incomplete").iterdir()
    assert begun.stat().st_mode & 0o777 == 0o664
    (mirror.parent / "same file").hardlink_to(begun)
    chmod, copy, owned, own = os.chmod, shutil.copyfileobj, begun.stat().st_ino, os.geteuid()

    def of_its_owner(path: int | Path, mode: int, **_more: object) -> None:
        if not root and (os.fstat(path) if isinstance(path, int) else path.stat()).st_ino == owned:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        chmod(path, mode)

    def copied(source: IO[bytes], target: IO[bytes], length: int) -> None:
        if changed and os.fstat(source.fileno()).st_ino == owned:
            begun.write_bytes(b"X" + begun.read_bytes()[1:])
        copy(source, target, length)

    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    monkeypatch.setattr(os, "chmod", of_its_owner)
    monkeypatch.setattr(os, "fchmod", of_its_owner)
    monkeypatch.setattr(shutil, "copyfileobj", copied)
    if changed:
        with pytest.raises(MirrorError, match=f"{begun.name} was changed by another process"):
            take(mirror, *media[2:])
        assert not (mirror / "mirror.lock").exists()
        take(mirror, *media)
    else:
        take(mirror, *media[2:])
    assert tree(mirror) == tree(source)
    taken = (mirror / begun.name).stat()
    assert (taken.st_mode & 0o777, taken.st_ino == owned) == (0o644, False)


@pytest.mark.parametrize("name", [".unbundling", ".unbundling/complete", ".unbundling/incomplete"])
@pytest.mark.parametrize("start_over", [False, True])
def test_link_of_another_user_is_not_followed(
    name: str, start_over: bool, media: list[Path], mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aim, own, link = tmp_path / "aim", os.geteuid(), mirror / name
    link.parent.mkdir(parents=True)
    aim.mkdir()
    (aim / "taken.json").touch()
    link.symlink_to(aim)
    if own == 0:
        os.lchown(link, 4321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with suppress(MirrorError) if start_over else pytest.raises(MirrorError, match=f"{link} is a link"):
        take(mirror, media[0], start_over=start_over)
    assert [*aim.iterdir()] == [aim / "taken.json"]


def test_part_is_taken_twice_without_harm(source: Path, media: list[Path], mirror: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(media[0], copy)
    assert len(take(mirror, media[0], copy, media[0], part_on(copy)).taken) == 1
    again = take(mirror, media[0])
    assert (again.taken, len(again.missing)) == ((), 4)
    take(mirror, *media)
    assert take(mirror, *media) == Outcome(again.bundle, 5, (), ())
    assert tree(mirror) == tree(source)


def test_good_copy_is_used_if_another_is_damaged(source: Path, media: list[Path], mirror: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    shutil.copytree(media[2], good)
    damage(part_on(media[2]), -3_000)
    assert take(mirror, *media, good).missing == ()
    assert tree(mirror) == tree(source)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_parts_are_named_and_nothing_good_is_lost(
    source: Path, media: list[Path], mirror: Path, seed: int
) -> None:
    """50 damaged parts of each seed: bits, bytes, lengths, holes; the mirror has no lock until all is good."""
    chance = random.Random(seed)
    for _ in range(50):
        medium = chance.choice(media)
        part = part_on(medium)
        good = part.read_bytes()
        part.write_bytes(damaged(good, chance))
        before = tree(mirror) if mirror.exists() else {}
        with pytest.raises(MirrorError) as caught:
            take(mirror, medium)
        assert str(part) in caught.value.message
        assert "Copy the parts that are named again" in caught.value.advice
        assert not (mirror / "mirror.lock").exists()
        kept = {path for path in before if "/complete/" in path}
        assert kept <= set(tree(mirror)) if mirror.exists() else not kept
        part.write_bytes(good)
    assert take(mirror, *media).missing == ()
    assert tree(mirror) == tree(source)


def damaged(good: bytes, chance: random.Random) -> bytes:
    """A part with some damage. A damage of the head is as probable as one of the rest."""
    place = chance.randrange(chance.choice([600, 4_000, len(good)]))
    match chance.randrange(5):
        case 0:
            return good[:place]
        case 1:
            return good + bytes(chance.choice([1, 512, 10_240]))
        case 2:
            return good[:place] + good[place + 1 :]
        case 3:
            hole = good[:place] + bytes(512) + good[place + 512 :]
            return hole[: len(good)] if hole[: len(good)] != good else good[:-1]
    return good[:place] + bytes([good[place] ^ (1 << chance.randrange(8))]) + good[place + 1 :]


@pytest.mark.parametrize(("count", "wrong"), [(2, "weights.tgz"), (5, "torch.tgz"), (5, "packages.tgz")])
def test_part_that_was_edited_with_its_digests_is_found_by_the_lock(
    source: Path, bundled: Path, media: list[Path], mirror: Path, count: int, wrong: str
) -> None:
    for medium in media[:count]:
        part = part_file.opened(part_on(medium))
        content = part.path.read_bytes()
        (member, *_) = [piece for piece in part.layout.pieces if piece.size]
        start = content.index(member.name.encode()) // 512 * 512 + 512
        forged = content[:start] + b"forged" + content[start + 6 :]
        old, new = (sha(text[start : start + member.size]) for text in (content, forged))
        part.path.write_bytes(forged[:start] + forged[start:].replace(old, new))
    with pytest.raises(MirrorError) as caught:
        take(mirror, *media)
    assert f"{wrong} does not have the digest that the lock says" in caught.value.message
    assert (": one of its parts was edited: neuraltalk-mirror-" in caught.value.message) == (count == 2)
    assert not (mirror / "mirror.lock").exists()
    for part, medium in zip(sorted(bundled.glob("*.tar")), media, strict=True):
        shutil.copy(part, medium)
    assert take(mirror, *media).missing == ()
    assert tree(mirror) == tree(source)


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def test_parts_of_two_bundles_are_refused(source: Path, media: list[Path], mirror: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "other size", PART * 2)
    with pytest.raises(UsageError, match="parts of two bundles are not taken together") as caught:
        take(mirror, *media, tmp_path / "other size")
    assert str(media[0]) in caught.value.message
    assert not mirror.exists()


def test_parts_of_another_bundle_than_the_one_that_was_begun_are_refused(
    source: Path, media: list[Path], mirror: Path, tmp_path: Path
) -> None:
    take(mirror, media[1])
    pack(source, tmp_path / "other size", PART * 2)
    with pytest.raises(MirrorError, match="what was taken from another bundle") as caught:
        take(mirror, tmp_path / "other size")
    assert "--start-over" in caught.value.advice
    assert len(take(mirror, media[0]).missing) == 3
    assert take(mirror, tmp_path / "other size", start_over=True).missing == ()
    assert tree(mirror) == tree(source)


def old_mirror(mirror: Path) -> Path:
    return carrying.make(mirror, {"torch": 80_000, "wheels": FILES["wheels"], "gone": 70}, seed=0)


def test_old_mirror_becomes_the_new_one_and_what_is_old_is_left_and_named(
    source: Path, media: list[Path], mirror: Path
) -> None:
    old_mirror(mirror)
    (mirror / "mirror.lock.sig").write_bytes(b"old")
    before = tree(mirror)
    assert take(mirror, *media[:2]).missing
    assert {file: text for file, text in tree(mirror).items() if not file.startswith(".")} == before
    done = take(mirror, *media)
    assert done.left == ("gone.tgz", "mirror.lock.sig")
    assert "wheels.tgz" not in done.installed
    assert tree(mirror) == {**tree(source), "gone.tgz": before["gone.tgz"], "mirror.lock.sig": b"old"}


def test_altered_file_of_the_old_mirror_is_taken_from_the_parts(source: Path, media: list[Path], mirror: Path) -> None:
    old_mirror(mirror)
    damage(mirror / "wheels.tgz", 5)
    done = take(mirror, *media)
    assert "wheels.tgz" in done.installed
    assert tree(source).items() <= tree(mirror).items()


def test_altered_file_of_the_old_mirror_whose_part_is_not_there_is_missing(media: list[Path], mirror: Path) -> None:
    old_mirror(mirror)
    damage(mirror / "wheels.tgz", 5)
    (place,) = [
        m for m in media if any(p.name == "artifacts/wheels.tgz" for p in part_file.opened(part_on(m)).layout.pieces)
    ]
    done = take(mirror, *(medium for medium in media if medium != place))
    assert done.missing == (part_on(place).name,)
    assert lock.read(mirror).by_name()["gone"]
    assert take(mirror, place).missing == ()


def bundle_against(source: Path, mirror: Path, to: Path) -> None:
    prepared = bundle_plan.prepare(source, PART, state.make(mirror, lambda count: None).state)
    bundle.write(prepared, to, quiet, catalogues.load())


def test_bundle_against_the_other_side_completes_it(source: Path, mirror: Path, tmp_path: Path) -> None:
    old_mirror(mirror)
    bundle_against(source, mirror, tmp_path / "parts")
    take(mirror, tmp_path / "parts")
    assert tree(source).items() <= tree(mirror).items()


def test_file_that_was_left_out_and_is_not_there_any_more_is_named(source: Path, mirror: Path, tmp_path: Path) -> None:
    old_mirror(mirror)
    bundle_against(source, mirror, tmp_path / "parts")
    damage(mirror / "wheels.tgz", 5)
    before = lock.read(mirror)
    with pytest.raises(MirrorError, match=r"not in the bundle because of --against: wheels\.tgz") as caught:
        take(mirror, tmp_path / "parts")
    assert "provision mirror state" in caught.value.advice
    assert lock.read(mirror) == before


def test_file_that_nobody_listed_is_not_overwritten(media: list[Path], mirror: Path) -> None:
    old_mirror(mirror)
    (mirror / "packages.tgz").write_bytes(b"somebody's")
    with pytest.raises(UsageError, match=r"not in its lock, but called like files of the bundle: packages\.tgz"):
        take(mirror, *media)
    assert (mirror / "packages.tgz").read_bytes() == b"somebody's"


def test_directory_with_the_name_of_an_artifact_is_not_overwritten(media: list[Path], mirror: Path) -> None:
    old_mirror(mirror)
    (mirror / "packages.tgz").mkdir()
    with pytest.raises((UsageError, MirrorError), match=r"packages\.tgz") as caught:
        take(mirror, *media)
    assert "another place" in caught.value.advice


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("nth", [2, 9, 14, 20])
def test_disk_that_fails_loses_nothing_good(
    source: Path, media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch, number: int, nth: int
) -> None:
    calls: list[int] = []
    real = os.fdatasync

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) == nth:
            raise OSError(number, os.strerror(number))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        patch.setattr(os, "fsync", fail)
        with pytest.raises(MirrorError, match=os.strerror(number)) as caught:
            take(mirror, *media)
    assert caught.value.advice
    assert not (mirror / "mirror.lock").exists()
    assert take(mirror, *media).missing == ()
    assert tree(mirror) == tree(source)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["mirror.lock", "ab.sig", "torch.tgz", "weights.tgz"])
def test_command_that_ends_between_the_new_files_and_the_lock_is_finished_by_the_next(
    source: Path, media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch, name: str, old: bool
) -> None:
    if old:
        old_mirror(mirror)
    before = (mirror / "mirror.lock").read_bytes() if old else b""
    real = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == name and ".unbundling" not in str(target):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(MirrorError, match="Input/output error"):
            take(mirror, *media)
    assert (mirror / "mirror.lock").exists() == old
    assert not old or (mirror / "mirror.lock").read_bytes() == before
    done = take(mirror, media[0])
    assert (done.taken, done.missing, len(done.installed)) == ((), (), 5 if old else 6)
    assert tree(source).items() <= tree(mirror).items()


def test_medium_that_is_pulled_out_is_named_and_the_other_parts_are_kept(
    source: Path, media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = digests.exactly

    def pulled(read: object, size: int) -> bytes:
        calls.append(size)
        if len(calls) == 60:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(read, size)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(part_file, "exactly", pulled)
        with pytest.raises(MirrorError, match=r"part-\d-of-5\.tar cannot be read: Input/output error") as caught:
            take(mirror, *media)
    assert "Connect the medium again" in caught.value.advice
    assert len(take(mirror, *media).taken) < 5
    assert tree(mirror) == tree(source)


def test_too_little_space_is_told_before_anything_is_taken(
    media: list[Path], mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 3, 7))
    with pytest.raises(MirrorError, match=r"7 bytes free, but the bundle needs 810,\d\d\d more"):
        take(mirror, *media)
    assert not (mirror / "torch.tgz").exists()


@pytest.mark.parametrize("what", ["nothing", "no directory", "text", "pipe"])
def test_what_is_no_part_is_refused_with_advice(mirror: Path, tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what != "no directory":
        place.mkdir()
    if what == "text":
        place = place / "notes.txt"
        place.write_text("notes")
    if what == "pipe":
        os.mkfifo(place / "neuraltalk-mirror-0378d0ab1da4-part-1-of-4.tar")
    with pytest.raises((UsageError, MirrorError), match=str(place)) as caught:
        take(mirror, place)
    assert caught.value.advice
    assert not mirror.exists()


def test_bundle_of_an_empty_lock_is_taken(mirror: Path, tmp_path: Path) -> None:
    pack(carrying.make(tmp_path / "empty", {}), tmp_path / "parts")
    take(mirror, tmp_path / "parts")
    assert lock.read(mirror) == lock.Lock()


@pytest.fixture(autouse=True)
def _no_staging_after_the_end(mirror: Path) -> Iterator[None]:
    yield
    if (mirror / "mirror.lock").exists() and (mirror / ".unbundling").exists():
        assert (mirror / ".unbundling" / "taken.json").exists()


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2,
    999,
    10**14,
    10**30,
    1.5,
    "",
    "../../x",
    "/etc/passwd",
    "mirror.lock",
    "a" * 64,
    [],
    {},
]


def hostile(value: object, chance: random.Random) -> object:
    """A document with one value somewhere in it exchanged, removed or doubled."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        changed = {**value, key: hostile(value[key], chance)}
        if chance.random() < 0.1:
            del changed[key]
        return changed
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], hostile(value[place], chance), *value[place + chance.choice([0, 1, 1]) :]]
    return chance.choice(VALUES)


def assemble(part: part_file.Part, description: bytes, content: bytes, head: dict[str, object]) -> bytes:
    """A part with any description and lock, whose digests are right."""
    digest = hashlib.sha256(description).hexdigest()
    first = {"bundle": digest, "bundle_size": len(description), "lock": hashlib.sha256(content).hexdigest(), **head}
    document = json.dumps({**json.loads(part.layout.first["part.json"]), **first}, indent=1, sort_keys=True) + "\n"
    name = parts.part_name(digest, int(str(first.get("part", part.number))), part.description.parts)
    small = {"part.json": document.encode(), "bundle.json": description, "mirror.lock": content, **part.signatures}
    text = b""
    for path, body in small.items():
        text += parts.header(name.removesuffix(".tar"), path, len(body)) + body.ljust(parts.padded(len(body)), b"\0")
    return text + part.path.read_bytes()[len(text) :]


@pytest.mark.parametrize("seed", range(4))
def test_hostile_part_whose_digests_are_right_is_refused(
    media: list[Path], mirror: Path, tmp_path: Path, seed: int
) -> None:
    """100 hostile descriptions, heads and locks of each seed."""
    chance = random.Random(seed)
    part = part_file.opened(part_on(media[3]))
    right = json.loads(part.layout.first["bundle.json"])
    known = yaml.safe_load(part.lock)
    part.path.rename(tmp_path / "part")
    part = dataclasses.replace(part, path=tmp_path / "part")
    before = carrying.tree(tmp_path)
    for _ in range(100):
        description, content, head = right, part.lock, {}
        match chance.randrange(4):
            case 0:
                head = {"part": chance.choice([1, 5, 6, 999])}
            case 1:
                content = yaml.safe_dump(hostile(known, chance)).encode()
                digested = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                description = {**right, "lock": digested}
            case _:
                description = hostile(right, chance)
        if (description, content, head) == (right, part.lock, {}):
            continue
        text = (json.dumps(description, indent=1, sort_keys=True) + "\n").encode()
        file = media[3] / "neuraltalk-mirror-0378d0ab1da4-part-4-of-5.tar"
        file.write_bytes(assemble(part, text, content, head))
        with pytest.raises((MirrorError, UsageError)) as caught:
            take(mirror, media[3])
        assert caught.value.advice
        assert not (mirror / "mirror.lock").exists()
        file.unlink()
    shutil.rmtree(mirror, ignore_errors=True)
    assert carrying.tree(tmp_path) == before


def test_others_read_the_signatures_whatever_the_umask_is(mirror: Path, media: list[Path]) -> None:
    """Another operator was told that the lock is not signed."""
    mirror.mkdir(parents=True)
    before = os.umask(0o077)
    try:
        take(mirror, *media)
    finally:
        os.umask(before)
    readable = {path.name: path.stat().st_mode & 0o055 for path in mirror.glob("mirror.lock*")}
    assert readable == {"mirror.lock": 0o044, "mirror.lock.sig.d": 0o055}
    assert (mirror / "mirror.lock.sig.d" / "ab.sig").stat().st_mode & 0o044 == 0o044
