"""Bundles: verifiable parts with ordinary tools, the same each time, and nothing wrong is ever packed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import bundle, bundle_plan, lock, parts, state
from tests.unit import carrying
from tests.unit.carrying import FILES, PART, pack, quiet, tree

ROOT = Path(carrying.__file__).parents[2]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with a signed lock, at a path with a space and a quote."""
    place = carrying.make(tmp_path / "the site's mirror", FILES)
    (place / "mirror.lock.sig").write_bytes(b"a signature")
    (place / "mirror.lock.sig.d").mkdir()
    (place / "mirror.lock.sig.d" / "ab.sig").write_bytes(b"another")
    return place


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where the parts go; it does not exist yet."""
    return tmp_path / "a 'USB' stick" / "parts"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_ordinary_programs_can_check_and_unpack_the_parts(mirror: Path, to: Path, tmp_path: Path) -> None:
    written = pack(mirror, to)
    assert len(written.parts) == 5
    name = next(iter(written.parts)).partition("-part-")[0]
    assert names(to) == sorted([*written.parts, *(f"{name}{end}" for end in (".sha256", "-contents.txt", ".cdx.json"))])
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", f"{name}.sha256"], cwd=to, check=True)
    for part in written.parts:
        assert (to / part).stat().st_size <= PART
        subprocess.run(["tar", "xf", to / part], cwd=tmp_path, check=True)
        folder = tmp_path / part.removesuffix(".tar")
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
        assert (folder / "mirror.lock").read_bytes() == (mirror / "mirror.lock").read_bytes()
        assert (folder / "mirror.lock.sig.d" / "ab.sig").read_bytes() == b"another"
    pieces = sorted(tmp_path.glob("*/pieces/weights.tgz.*"), key=lambda file: file.name)
    assert len(pieces) == 3
    assert b"".join(file.read_bytes() for file in pieces) == (mirror / "weights.tgz").read_bytes()
    whole = {file.name for file in tmp_path.glob("*/artifacts/*")}
    assert whole == {f"{name}.tgz" for name in FILES} - {"weights.tgz"}


def test_list_for_the_security_office_has_every_file_with_what_the_lock_says(mirror: Path, to: Path) -> None:
    pack(mirror, to)
    (text,) = [file.read_text() for file in to.glob("*-contents.txt")]
    for entry in lock.read(mirror).artifacts:
        rows = text.partition(f"\n{entry.name}\n")[2].partition("\n\n")[0]
        for word in (entry.version, entry.file, str(entry.size), entry.sha256, entry.role, "licence"):
            assert word in rows


def test_text_of_the_lock_cannot_change_what_the_list_shows(mirror: Path, to: Path) -> None:
    known = lock.read(mirror)
    entry = known.by_name()["torch"].model_copy(update={"version": "1\n\nmalware\x1b[2J", "origin": "\u202egnp"})
    lock.write(mirror, known.with_entry(entry))
    pack(mirror, to)
    (text,) = [file.read_text() for file in to.glob("*-contents.txt")]
    assert "\n\nmalware" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_same_mirror_gives_the_same_bytes_and_good_parts_are_kept(mirror: Path, to: Path, tmp_path: Path) -> None:
    first = pack(mirror, to)
    assert pack(mirror, tmp_path / "again").parts == first.parts
    inodes = {name: (to / name).stat().st_ino for name in first.parts}
    again = pack(mirror, to)
    assert (again.parts, again.kept) == (first.parts, tuple(first.parts))
    assert {name: (to / name).stat().st_ino for name in first.parts} == inodes
    assert tree(to) == tree(tmp_path / "again")


@pytest.mark.slow
@pytest.mark.parametrize("place", [100, 700, 1_500, 3_000, -600, -1, -PART // 3])
def test_damaged_part_is_written_again(mirror: Path, to: Path, place: int) -> None:
    written = pack(mirror, to)
    right = tree(to)
    assert len(written.parts) == 5
    for name in written.parts:
        content = bytearray(right[name])
        content[max(place, -len(content))] ^= 1
        (to / name).write_bytes(content)
        again = pack(mirror, to)
        assert set(again.kept) == {*written.parts} - {name}
        assert tree(to) == right


def test_what_the_other_side_has_with_the_same_digest_is_left_out(mirror: Path, to: Path, tmp_path: Path) -> None:
    other = carrying.make(tmp_path / "other", {"torch": FILES["torch"], "weights": FILES["weights"], "nn": 5})
    content = bytearray((other / "weights.tgz").read_bytes())
    content[7] ^= 1
    (other / "weights.tgz").write_bytes(content)
    made = state.make(other, lambda count: None)
    assert [(finding.file, finding.problem) for finding in made.findings] == [("weights.tgz", "altered")]
    file = tmp_path / "state.json"
    file.write_bytes(parts.dump(made.state))
    prepared = bundle_plan.prepare(mirror, PART, state.read(file))
    assert prepared.description.left_out == ("torch.tgz",)
    bundle.write(prepared, to, quiet, catalogues.load())
    (text,) = [listing.read_text() for listing in to.glob("*-contents.txt")]
    assert "does not contain: 1\n\ntorch\n" in text


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * (5 << 20), b'{"files": []}'])
def test_state_in_doubt_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"state\.json") as caught:
        state.read(file)
    assert "provision mirror state --out FILE" in caught.value.advice


def test_state_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(UsageError, match="not a regular file"):
        state.read(tmp_path / "state.json")


@pytest.mark.parametrize("file", ["torch.tgz", "weights.tgz", "nn.tgz"])
def test_file_that_is_not_as_the_lock_says_is_not_packed(mirror: Path, to: Path, file: str) -> None:
    content = bytearray((mirror / file).read_bytes() or b"x")
    content[-1] ^= 1
    (mirror / file).write_bytes(content)
    with pytest.raises(MirrorError, match=file) as caught:
        pack(mirror, to)
    assert "provision mirror verify" in caught.value.advice
    left = [path for path in to.iterdir() if file.encode() in path.read_bytes()] if to.exists() else []
    assert [path.name for path in left if b"weights" in path.read_bytes()[3_000:4_000]] == []
    assert not [name for name in names(to) if name.endswith((".writing", ".sha256"))] if to.exists() else True


def test_mirror_that_is_repaired_after_parts_were_written_gives_the_right_bundle(mirror: Path, to: Path) -> None:
    """The first pieces of a damaged file were written already; a command was killed before the last one."""
    right = pack(mirror, to)
    good, file = tree(to), mirror / "weights.tgz"
    content = file.read_bytes()
    file.write_bytes(b"\0" + content[1:])
    for path in list(to.iterdir()):
        path.unlink()
    with pytest.raises(MirrorError, match=r"were removed: .*part-1"):
        pack(mirror, to)
    file.write_bytes(content)
    assert pack(mirror, to).parts == right.parts
    assert tree(to) == good


def test_part_with_pieces_of_an_earlier_damaged_file_is_found(mirror: Path, to: Path, tmp_path: Path) -> None:
    """Such a part is good by its own digests."""
    content = (mirror / "weights.tgz").read_bytes()
    (mirror / "weights.tgz").write_bytes(b"\0" + content[1:])
    kept = tmp_path / "kept"
    kept.mkdir()
    real = Path.unlink
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, **more: None if self.suffix == ".tar" else real(self, **more))
        with pytest.raises(MirrorError):
            pack(mirror, to)
    (mirror / "weights.tgz").write_bytes(content)
    with pytest.raises(MirrorError, match="in a part that was written before"):
        pack(mirror, to)
    assert len(pack(mirror, to).parts) == 5
    pack(mirror, kept)
    assert tree(to) == tree(kept)


def test_too_little_space_is_told_before_anything_is_written(
    mirror: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 3, 7))
    with pytest.raises(MirrorError, match=r"7 bytes free, but the parts need 8\d\d,\d\d\d") as caught:
        pack(mirror, to)
    assert "--against" in caught.value.advice
    assert names(to) == []


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "complete parts are kept"), (errno.EIO, "again"), (errno.EFBIG, "--size 4G")]
)
def test_disk_that_fails_later_keeps_complete_parts(
    mirror: Path, to: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    calls: list[int] = []

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(MirrorError, match=os.strerror(number)) as caught:
            pack(mirror, to)
    assert words in caught.value.advice
    assert [name[-11:] for name in names(to)] == ["-1-of-5.tar", "-2-of-5.tar"]
    assert len(pack(mirror, to).kept) == 2


def test_parts_of_another_bundle_in_the_directory_are_refused_and_stay(mirror: Path, to: Path, tmp_path: Path) -> None:
    pack(carrying.make(tmp_path / "other", {"nn": 5}), to)
    before = tree(to)
    with pytest.raises(UsageError, match="a part of another bundle"):
        pack(mirror, to)
    assert tree(to) == before


def test_parts_are_not_written_into_the_mirror(mirror: Path) -> None:
    for place in (mirror, mirror / "parts"):
        with pytest.raises(UsageError, match="is in the mirror"):
            pack(mirror, place)


@pytest.mark.parametrize("count", [parts.MOST_SIGNATURES + 1, 1])
def test_signatures_that_cannot_be_packed_are_told(mirror: Path, to: Path, count: int) -> None:
    for number in range(count):
        (mirror / f"mirror.lock.sig {number}" if count == 1 else mirror / f"mirror.lock.sig{number}").touch()
    with pytest.raises(MirrorError, match="signatures of the lock, or its proofs, cannot be packed"):
        pack(mirror, to)


def test_two_commands_at_once_give_the_same_parts(mirror: Path, to: Path, tmp_path: Path) -> None:
    done: list[Any] = []
    threads = [threading.Thread(target=lambda: done.append(pack(mirror, to))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 3
    pack(mirror, tmp_path / "right")
    assert tree(to) == tree(tmp_path / "right")


def test_digest_of_a_part_is_that_of_its_file(mirror: Path, to: Path) -> None:
    for name, sha256 in pack(mirror, to).parts.items():
        assert hashlib.sha256((to / name).read_bytes()).hexdigest() == sha256


@pytest.mark.slow
def test_command_that_is_killed_and_run_again_gives_the_same_result(tmp_path: Path) -> None:
    """Bundle and unbundle, at their changes of the file system and at random moments (tests/unit/carrying.py)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.carrying", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    kills = [int(word) for word in done.stdout.split() if word.isdigit()]
    assert len(kills) == 6
    assert sum(kills) > 20
