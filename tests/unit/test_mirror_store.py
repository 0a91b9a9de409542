"""Filing into the mirror and checking it: nothing half done, every kind of damage named."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import lock, store
from tests.unit import archives, catalogue
from tests.unit.archives import member, pack
from tests.unit.catalogue import SMALL


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A folder with what somebody brought by hand."""
    folder = tmp_path / "a 'USB' stick"
    pack(folder / "torch.tgz", archives.TORCH)
    pack(folder / "nn.tgz", archives.NN)
    pack(folder / "python-wheels-debian-12-x86_64.tar", {"./h5py.whl": "h"}, mode="w")
    (folder / "w.bin").write_bytes(bytes(range(256)) * 50)
    return folder


@pytest.fixture
def mirror(tmp_path: Path, brought: Path) -> Path:
    """A mirror with all of it, at a path with a space and a quote."""
    place = tmp_path / "the site's mirror"
    for file in sorted(brought.iterdir()):
        store.add(place, file, SMALL)
    return place


def left_in(mirror: Path) -> list[str]:
    return sorted(path.name for path in mirror.iterdir() if path.name != ".mirror.lock-guard")


@pytest.mark.parametrize(
    ("file", "given", "name"),
    [
        ("torch.tgz", "", "torch"),
        ("nn-master.tgz", "", "nn"),
        ("whatever.bin", "torch", "torch"),
        ("nn.tgz", "torch", "torch"),
        ("python-wheels-debian-12-x86_64.tar", "", "python-wheels-debian-12-x86_64"),
        ("wheels.tar", "python-wheels-centos-7-x86_64", "python-wheels-centos-7-x86_64"),
        ("python-wheels-arch-x86_64.tar", "", "python-wheels-arch-x86_64"),  # a rolling release has no version
    ],
)
def test_file_is_known_by_its_name_or_by_what_it_is_said_to_be(file: str, given: str, name: str) -> None:
    assert store.identify(Path("/brought") / file, SMALL, given)[0] == name


@pytest.mark.parametrize(
    ("file", "given", "words"),
    [
        ("unknown.tgz", "", "unknown.tgz: the name does not show which artifact it is"),
        ("torch.tgz", "torhc", "there is no artifact torhc"),
        ("python-wheels.tar", "", "the name does not show"),
        ("wheels.tar", "python-wheels", "there is no artifact python-wheels"),
        ("my torch.tgz", "torch", "'my torch.tgz' cannot be a name in a mirror"),
        ("torch.tgz", "torch/../x", "'torch/../x' cannot be a name in a mirror"),
        ("mirror.lock", "torch", "'mirror.lock' cannot be a name in a mirror"),
        (".torch.tgz", "torch", "'.torch.tgz' cannot be a name in a mirror"),
    ],
)
def test_file_that_cannot_be_named_is_refused_with_advice(file: str, given: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        store.identify(Path(file), SMALL, given)
    assert words in caught.value.message
    assert "python-wheels-PLATFORM" in caught.value.advice or "Rename" in caught.value.advice


def test_added_file_is_copied_hashed_and_listed(tmp_path: Path, brought: Path) -> None:
    moved: list[int] = []
    entry = store.add(tmp_path / "m", brought / "w.bin", SMALL, version="v1", advance=moved.append)
    content = (brought / "w.bin").read_bytes()
    assert (tmp_path / "m" / "w.bin").read_bytes() == content
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (entry.size, sum(moved), entry.version, entry.role) == (len(content), len(content), "v1", "neuraltalk2")
    assert entry.origin == str(brought / "w.bin")
    assert lock.read(tmp_path / "m").artifacts == (entry,)


def test_whole_mirror_has_no_findings(mirror: Path) -> None:
    check = store.verify(mirror, SMALL)
    assert (check.files, check.findings) == (4, ())
    assert check.bytes == sum((mirror / entry.file).stat().st_size for entry in lock.read(mirror).artifacts)


def test_file_of_the_mirror_itself_can_be_added_again(mirror: Path) -> None:
    before = lock.read(mirror)
    store.add(mirror, mirror / "w.bin", SMALL, origin=before.by_name()["weights"].origin)
    assert lock.read(mirror) == before
    assert store.verify(mirror, SMALL).findings == ()


def test_newer_file_of_another_name_takes_the_place_of_the_old_one(mirror: Path, brought: Path) -> None:
    newer = pack(brought / "nn-2017.tgz", {**archives.NN, "nn/new.lua": "new"})
    store.add(mirror, newer, SMALL)
    assert lock.read(mirror).by_name()["nn"].file == "nn-2017.tgz"
    assert not (mirror / "nn.tgz").exists()
    assert store.verify(mirror, SMALL).findings == ()


def test_file_that_would_overwrite_another_artifacts_is_refused(mirror: Path, tmp_path: Path) -> None:
    other = pack(tmp_path / "other" / "torch.tgz", archives.NN)
    with pytest.raises(UsageError, match="already exists as torch, and cannot be nn as well"):
        store.add(mirror, other, SMALL, given="nn")
    assert store.verify(mirror, SMALL).findings == ()


def test_archive_that_is_refused_leaves_the_mirror_as_it_was(mirror: Path, brought: Path) -> None:
    before, listed = left_in(mirror), lock.read(mirror)
    bad = pack(brought / "torch.tgz", archives.TORCH, [member("torch/l", tarfile.SYMTYPE, "../../etc")])
    with pytest.raises(MirrorError) as caught:
        store.add(mirror, bad, SMALL)
    assert caught.value.message.startswith(f"{bad}: torch/l is a link that points out")
    assert (left_in(mirror), lock.read(mirror)) == (before, listed)
    assert store.verify(mirror, SMALL).findings == ()


def test_file_larger_than_the_free_space_is_refused_before_it_is_copied(
    mirror: Path, brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 3, 7))
    with pytest.raises(MirrorError, match=r"7 bytes free, but w\.bin needs 12,800"):
        store.add(mirror, brought / "w.bin", SMALL)


@pytest.mark.parametrize("nth", [1, 2])
def test_disk_that_runs_full_leaves_the_mirror_as_it_was(
    mirror: Path, brought: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Full while the file is copied, and full while the lock is written."""
    before, listed = left_in(mirror), lock.read(mirror)
    (brought / "w.bin").write_bytes(b"other weights")
    calls: list[int] = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises((ProvisionError, OSError), match="No space left"):
            store.add(mirror, brought / "w.bin", SMALL)
    assert len(calls) == nth
    assert (left_in(mirror), lock.read(mirror)) == (before, listed)
    assert store.verify(mirror, SMALL).findings == ()


def test_interrupted_copy_leaves_nothing_behind(mirror: Path, brought: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    before = left_in(mirror)
    with pytest.raises(KeyboardInterrupt):
        store.add(mirror, brought / "w.bin", SMALL, advance=interrupt)
    assert left_in(mirror) == before


def test_two_processes_that_add_at_once_keep_both_entries(tmp_path: Path, brought: Path) -> None:
    mirror = tmp_path / "m"
    program = (
        "import sys, pathlib; from neuraltalk_provision.mirror import store; from tests.unit.catalogue import SMALL\n"
        "sys.stdin.read()\n"
        "for _ in range(5): store.add(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), SMALL)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, mirror, brought / file],
            cwd=Path(catalogue.__file__).parents[2],
            stdin=subprocess.PIPE,
        )
        for file in ("torch.tgz", "w.bin", "nn.tgz")
    ]
    for process in processes:
        assert process.stdin
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(lock.read(mirror).by_name()) == ["nn", "torch", "weights"]
    assert store.verify(mirror, SMALL).findings == ()
    assert left_in(mirror) == ["mirror.lock", "nn.tgz", "torch.tgz", "w.bin"]


def damage_truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def damage_alter(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])


def damage_grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def damage_replace(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("damage", "problem", "detail"),
    [
        (Path.unlink, "missing", "the lock contains it as weights"),
        (damage_truncate, "truncated", "it has 12,793 of 12,800 bytes"),
        (damage_alter, "altered", "the lock says"),
        (damage_grow, "altered", "bytes, the lock says 12,800"),
        (damage_replace, "unreadable", "it is not a regular file"),
    ],
)
def test_verify_names_the_file_and_what_happened_to_it(
    mirror: Path, damage: Callable[[Path], None], problem: str, detail: str
) -> None:
    damage(mirror / "w.bin")
    (finding,) = store.verify(mirror, SMALL).findings
    assert (finding.file, finding.problem) == ("w.bin", problem)
    assert detail in finding.detail


def test_verify_names_a_file_that_cannot_be_read(mirror: Path) -> None:
    (mirror / "w.bin").unlink()
    (mirror / "w.bin").symlink_to(mirror / "w.bin")
    (finding,) = store.verify(mirror, SMALL).findings
    assert (finding.problem, finding.detail) == ("unreadable", "Too many levels of symbolic links")


def test_verify_names_what_the_lock_does_not_list(mirror: Path) -> None:
    (mirror / "my notes.txt").touch()
    (mirror / "folder").mkdir()
    findings = store.verify(mirror, SMALL).findings
    assert [(finding.file, finding.problem) for finding in findings] == [
        ("folder", "surplus"),
        ("my notes.txt", "surplus"),
    ]


def test_cache_of_packed_generations_is_a_part_of_the_mirror_and_not_surplus(mirror: Path) -> None:
    (mirror / "cache" / "88cf8fcfae72d14d").mkdir(parents=True)
    assert store.verify(mirror, SMALL).findings == ()
    shutil.rmtree(mirror / "cache")
    (mirror / "cache").touch()
    assert [finding.problem for finding in store.verify(mirror, SMALL).findings] == ["surplus"]


def test_verify_names_every_damage_at_once(mirror: Path) -> None:
    damage_truncate(mirror / "w.bin")
    (mirror / "nn.tgz").unlink()
    (mirror / "x").touch()
    assert {finding.problem for finding in store.verify(mirror, SMALL).findings} == {"truncated", "missing", "surplus"}


def test_verify_looks_into_archives_whose_digest_is_right(mirror: Path) -> None:
    """A lock can be made for a bad archive by hand; it is not unpacked for all that."""
    bad = pack(mirror / "torch.tgz", archives.TORCH, [member("/etc/passwd")])
    right = {"sha256": hashlib.sha256(bad.read_bytes()).hexdigest(), "size": bad.stat().st_size}
    known = lock.read(mirror)
    lock.write(mirror, known.with_entry(known.by_name()["torch"].model_copy(update=right)))
    (finding,) = store.verify(mirror, SMALL).findings
    assert finding.problem == "unsafe"
    assert "/etc/passwd is an absolute path" in finding.detail


def test_verify_looks_into_archives_made_for_a_platform(mirror: Path) -> None:
    bad = pack(mirror / "python-wheels-debian-12-x86_64.tar", {}, [member("x", tarfile.CHRTYPE)], mode="w")
    right = {"sha256": hashlib.sha256(bad.read_bytes()).hexdigest(), "size": bad.stat().st_size}
    known = lock.read(mirror)
    entry = known.by_name()["python-wheels-debian-12-x86_64"].model_copy(update=right)
    lock.write(mirror, known.with_entry(entry))
    assert [finding.problem for finding in store.verify(mirror, SMALL).findings] == ["unsafe"]


def test_check_hashes_only_what_it_is_asked_for(mirror: Path) -> None:
    damage_alter(mirror / "w.bin")
    entries = lock.read(mirror).by_name()
    seen: list[int] = []
    assert store.check(mirror, [entries["nn"]], seen.append) == ()
    assert sum(seen) == entries["nn"].size
    assert [finding.file for finding in store.check(mirror, entries.values())] == ["w.bin"]
