"""Artifacts of many files: what a collector finds is moved, packed into one tar, and asked for only once."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import collecting, download, lock, pull, pull_folder, pull_plan, store
from neuraltalk_provision.mirror.collection import Piece
from neuraltalk_provision.mirror.pull import Pulled
from neuraltalk_provision.mirror.pull_plan import PullPlan
from tests.unit.collected import CATALOGUE, WHEELS, Said, Shelf, kill_at, shelf

DEBIAN, UBUNTU = target.parse("debian-12-x86_64"), target.parse("ubuntu-22-x86_64")
GOOD = Piece("a.whl", "https://x.example.org/a.whl", "1" * 64, 3)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    return shelf(tmp_path / "the index")


def planned(mirror: Path, wheels: Shelf, *targets: target.Target, said: Said | None = None, **more: Any) -> PullPlan:
    ask = wheels.collectors().ask
    plan = pull_plan.plan(
        CATALOGUE, targets or [DEBIAN], ["cpu"], pull.inventory(mirror), only=["python-wheels"], ask=ask, **more
    )
    return collecting.collect(mirror, plan, wheels.collectors(), said if said is not None else Said())


def pulled(mirror: Path, wheels: Shelf, *targets: target.Target, said: Said | None = None, **more: Any) -> Pulled:
    plan = planned(mirror, wheels, *targets, said=said, **more)
    return pull.pull(mirror, plan, CATALOGUE, said if said is not None else Said())


def states(plan: PullPlan) -> list[str]:
    return [row.state for row in plan.rows]


def test_files_become_one_tar_that_the_lock_lists_with_the_request(tmp_path: Path, wheels: Shelf) -> None:
    said = Said()
    done = pulled(tmp_path / "m", wheels, said=said)
    assert done.failures == ()
    entry = lock.read(tmp_path / "m").by_name()[WHEELS]
    assert (entry.file, entry.version) == (f"{WHEELS}.tar", "2 wheels")
    assert entry.origin == "pip h5py from https://index.example.org for debian-12-x86_64"
    assert store.verify(tmp_path / "m", CATALOGUE).findings == ()
    with tarfile.open(tmp_path / "m" / f"{WHEELS}.tar") as tar:
        members = tar.getmembers()
        assert [one.name for one in members] == ["h5py-2-py3-none-any.whl", "index.txt", "numpy-1-py3-none-any.whl"]
        assert {(one.mode, one.mtime, one.uid, one.gid, one.uname) for one in members} == {(0o644, 0, 0, 0, "")}
        content = tar.extractfile("index.txt")
        assert content
        assert content.read() == b"made\n"
    assert said == [
        f"begin index of {WHEELS} 0",
        f"read index of {WHEELS}",
        f"begin {WHEELS} 9",
        f"fetched {WHEELS}",
    ]
    assert list((tmp_path / "m" / ".pull" / "files").iterdir()) == []


def test_second_pull_asks_and_moves_nothing(tmp_path: Path, wheels: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled(tmp_path / "m", wheels)
    wheels.asked.clear()
    shutil.rmtree(wheels.place)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert states(planned(tmp_path / "m", wheels)) == ["present"]
    assert pulled(tmp_path / "m", wheels) == Pulled((), ())
    assert wheels.asked == []


def test_two_pulls_give_the_same_bytes(tmp_path: Path, wheels: Shelf) -> None:
    pulled(tmp_path / "one", wheels)
    os.utime(wheels.place / "h5py-2-py3-none-any.whl", (1, 1))
    wheels.sizes = False
    pulled(tmp_path / "two", wheels)
    for name in (f"{WHEELS}.tar", "mirror.lock"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_file_with_another_origin_is_kept_unless_it_is_to_be_replaced(tmp_path: Path, wheels: Shelf) -> None:
    pulled(tmp_path / "m", wheels)
    wheels.line = "pip h5py pillow"
    plan = planned(tmp_path / "m", wheels)
    assert states(plan) == ["kept"]
    assert f"the mirror has another file for it, {WHEELS}.tar, which is kept" in plan.rows[0].reason
    (wheels.place / "h5py-2-py3-none-any.whl").unlink()
    before = lock.read(tmp_path / "m").by_name()[WHEELS]
    (entry,) = pulled(tmp_path / "m", wheels, replace=True).added
    assert entry.sha256 != before.sha256
    assert entry.origin.startswith("pip h5py pillow")
    assert states(planned(tmp_path / "m", wheels)) == ["present"]


def test_file_that_is_gone_is_collected_again(tmp_path: Path, wheels: Shelf) -> None:
    pulled(tmp_path / "m", wheels)
    (tmp_path / "m" / f"{WHEELS}.tar").unlink()
    plan = planned(tmp_path / "m", wheels)
    assert (states(plan), plan.rows[0].reason) == (["pull"], "its file is not in the mirror")
    assert len(pulled(tmp_path / "m", wheels).added) == 1


def test_collector_that_fails_is_told_and_the_others_go_on(tmp_path: Path, wheels: Shelf) -> None:
    class Half(Shelf):
        def collect(self, artifact: Any, target: target.Target, *more: Any) -> Any:
            # Not by `self.error`: collectors run in several threads, and this one serves both platforms.
            if target.id == "ubuntu":
                raise MirrorError("no such index", advice="Check it.")
            return super().collect(artifact, target, *more)

    half, said = Half(wheels.place), Said()
    plan = planned(tmp_path / "m", half, UBUNTU, DEBIAN, said=said)
    assert states(plan) == ["pull", "failed"]
    assert (plan.rows[1].reason, plan.rows[1].advice) == ("no such index", "Check it.")
    assert "failed index of python-wheels-ubuntu-22-x86_64" in said
    assert [entry.name for entry in pulled(tmp_path / "m", half, UBUNTU, DEBIAN).added] == [WHEELS]


def test_request_that_cannot_be_made_is_told(tmp_path: Path, wheels: Shelf) -> None:
    class Silent(Shelf):
        def request(self, *_given: Any) -> str:
            raise MirrorError("no repositories", advice="Give them.")

    silent = Silent(wheels.place)
    row = planned(tmp_path / "m", silent).rows[0]
    assert (row.state, row.reason, row.advice) == ("failed", "no repositories", "Give them.")
    assert not (tmp_path / "m").exists()
    pulled(tmp_path / "m", wheels)
    assert states(planned(tmp_path / "m", silent)) == ["kept"]


def test_artifact_without_a_collector_is_not_pulled(tmp_path: Path, wheels: Shelf) -> None:
    plan = pull_plan.plan(CATALOGUE, [DEBIAN], ["cpu"], pull.inventory(tmp_path), only=["python-wheels"])
    assert states(plan) == ["later"]


def test_file_that_two_platforms_need_is_moved_once(tmp_path: Path, wheels: Shelf) -> None:
    plan = planned(tmp_path / "m", wheels, DEBIAN, UBUNTU)
    assert len(plan.transfers) == 2
    done = pull.pull(tmp_path / "m", plan, CATALOGUE, Said())
    assert [entry.name for entry in done.added] == [WHEELS, "python-wheels-ubuntu-22-x86_64"]
    assert len({entry.sha256 for entry in done.added}) == 1
    assert list((tmp_path / "m" / ".pull" / "files").iterdir()) == []


def test_altered_file_is_refused_and_the_rest_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    wheels = shelf(tmp_path / "w", {f"p{count:03}-1-py3-none-any.whl": b"%d" % count for count in range(100)})
    plan = planned(tmp_path / "m", wheels)
    first = plan.transfers[0].address
    (wheels.place / first.rpartition("/")[2]).write_bytes(b"xx")
    said = Said()
    done = pull.pull(tmp_path / "m", plan, CATALOGUE, said, jobs=1)
    assert done.added == ()
    (failure,) = done.failures
    assert failure.name == WHEELS
    assert failure.message.startswith(f"{first}: what arrived is another file")
    assert said == [f"begin {WHEELS} 190", f"failed {WHEELS}"]
    assert len(list((tmp_path / "m" / ".pull" / "files").iterdir())) < 10
    assert [path.name for path in (tmp_path / "m").iterdir() if path.name[0] != "."] == ["mirror.lock"]


def test_addresses_of_files_are_replaced(tmp_path: Path, wheels: Shelf) -> None:
    moved = tmp_path / "moved"
    plan = pull_plan.plan(
        CATALOGUE, [DEBIAN], ["cpu"], pull_plan.Mirror(), only=["python-wheels"], ask=wheels.collectors().ask
    )
    known = {wheels.place.as_uri(): moved.as_uri()}
    plan = collecting.collect(tmp_path / "m", plan, wheels.collectors(), Said(), known=known)
    wheels.place.rename(moved)
    assert len(pull.pull(tmp_path / "m", plan, CATALOGUE, Said()).added) == 1


def test_space_for_three_copies_is_demanded(tmp_path: Path, wheels: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    plan = planned(tmp_path / "m", wheels)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=41))
    with pytest.raises(MirrorError, match="has 41 bytes free, but this needs at least 42"):
        pull.pull(tmp_path / "m", plan, CATALOGUE, Said())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pieces": ()}, "it would be 1 files of 5 bytes"),
        ({"pieces": (GOOD,) * 100_001}, "it would be 100,002 files"),
        ({"pieces": (Piece("a.whl", GOOD.address, "1" * 64, 1 << 40),)}, "bytes are expected"),
        ({"pieces": (GOOD, Piece("A.whl", GOOD.address, "2" * 64))}, "two files are called A.whl"),
        ({"pieces": (GOOD,), "made": {"a.whl": b""}}, "two files are called a.whl"),
        ({"pieces": (Piece("../a.whl", GOOD.address, "1" * 64),)}, "'../a.whl', which is not a plain name"),
        ({"pieces": (Piece("/a.whl", GOOD.address, "1" * 64),)}, "is not a plain name"),
        ({"pieces": (Piece("a b.whl", GOOD.address, "1" * 64),)}, "is not a plain name"),
        ({"pieces": (Piece("-a.whl", GOOD.address, "1" * 64),)}, "is not a plain name"),
        ({"pieces": (Piece("a:1.whl", GOOD.address, "1" * 64),)}, "is not a plain name"),
        ({"pieces": (Piece("a.whl", GOOD.address, "x"),)}, "a.whl has no SHA-256"),
        ({"pieces": (Piece("a.whl", "/etc/shadow", "1" * 64),)}, "has an address that cannot be used"),
        ({"pieces": (Piece("a.whl", "https://x.example.org/a\n", "1" * 64),)}, "has an address that cannot be used"),
        ({"pieces": (Piece("a.whl", "ftp://x.example.org/a", "1" * 64),)}, "files are fetched only from"),
        ({"pieces": (Piece("a.whl", "https://me:secret@x.example.org/a", "1" * 64),)}, "contains a user name"),
    ],
)
def test_hostile_description_is_refused(tmp_path: Path, wheels: Shelf, changes: dict[str, object], words: str) -> None:
    wheels.changes = changes
    row = planned(tmp_path / "m", wheels).rows[0]
    assert row.state == "failed"
    assert words in row.reason
    assert row.advice
    assert "secret" not in row.reason


def test_git_is_not_needed(tmp_path: Path, wheels: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "git" else real(name))
    assert len(pulled(tmp_path / "m", wheels).added) == 1
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "curl" else real(name))
    with pytest.raises(UsageError, match="does not have the program curl"):
        pulled(tmp_path / "n", wheels)


def test_work_directory_is_beside_what_was_fetched(tmp_path: Path, wheels: Shelf) -> None:
    planned(tmp_path / "m", wheels)
    assert (tmp_path / "m" / pull_folder.FOLDER / collecting.FOLDER / WHEELS).is_dir()
    assert not (tmp_path / "m" / lock.FILE_NAME).exists()


def test_pull_that_is_killed_at_any_moment_is_continued_to_the_same_mirror(tmp_path: Path, wheels: Shelf) -> None:
    pulled(tmp_path / "whole", wheels)
    killed = 0
    for moment in random.Random(12).sample(range(1, 25), 10):
        mirror = tmp_path / f"killed {moment}"
        killed += kill_at(moment, lambda mirror=mirror: pulled(mirror, wheels))
        if (mirror / "mirror.lock").exists():
            assert not [f for f in store.verify(mirror, CATALOGUE).findings if f.problem != "surplus"]
        assert pulled(mirror, wheels).failures == ()
        for name in (f"{WHEELS}.tar", "mirror.lock"):
            assert (mirror / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert killed >= 7
