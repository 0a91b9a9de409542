"""The files of a data set: no name that is taken is overwritten, and room is there before anything is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("preparing.outputs")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    file = tmp_path / "data.h5.part"
    file.write_text("data")
    return file


def no_links(_part: str, _final: str) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_file_gets_its_name(module: ModuleType, part: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(module.os, "link", no_links)
    final = part.with_suffix("")
    module.place(str(part), str(final))
    assert (final.read_text(), part.exists()) == ("data", False)
    module.place(str(part), str(final))  # again, after a kill


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("there", ["a file", "a link to nowhere"])
def test_name_that_is_taken_is_not_overwritten(
    module: ModuleType, part: Path, monkeypatch: pytest.MonkeyPatch, links: bool, there: str
) -> None:
    if not links:
        monkeypatch.setattr(module.os, "link", no_links)
    final = part.with_suffix("")
    if there == "a file":
        final.write_text("precious")
    else:
        final.symlink_to("nowhere")
    with pytest.raises(module.StackError, match="move"):
        module.place(str(part), str(final))
    assert part.read_text() == "data"
    assert final.is_symlink() or final.read_text() == "precious"


def test_kill_between_link_and_removal_is_completed(module: ModuleType, part: Path) -> None:
    final = part.with_suffix("")
    os.link(part, final)
    module.place(str(part), str(final))
    assert (final.read_text(), part.exists()) == ("data", False)


def test_part_that_is_gone_is_said(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(module.StackError, match="is missing"):
        module.place(str(tmp_path / "a.part"), str(tmp_path / "a"))


class Disk:
    """What statvfs tells of a disk with so many free blocks and inodes."""

    def __init__(self, free: int, inodes: int = 1000, has_inodes: int = 5000) -> None:
        self.f_bavail, self.f_frsize, self.f_favail, self.f_files = free, 1000, inodes, has_inodes


def test_room_that_a_file_has_taken_already_counts(
    module: ModuleType, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part.write_bytes(bytes(1_000_000))
    monkeypatch.setattr(module.os, "statvfs", lambda _path: Disk(100))
    module.refuse_full({str(part): 1_000_000})
    with pytest.raises(module.StackError, match=r"4\d\.\d KB are needed on the disk of .*, but only 1\.0 KB are free"):
        monkeypatch.setattr(module.os, "statvfs", lambda _path: Disk(1))
        module.refuse_full({str(part): 1_000_000})


def test_files_on_one_disk_are_added_up(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "statvfs", lambda _path: Disk(100))
    module.refuse_full({str(tmp_path / "a"): 60_000})
    with pytest.raises(module.StackError, match="126"):
        module.refuse_full({str(tmp_path / "a"): 60_000, str(tmp_path / "b"): 60_000})


def test_disk_without_inodes_is_refused_and_one_that_counts_none_is_not(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "statvfs", lambda _path: Disk(100, inodes=2))
    with pytest.raises(module.StackError, match="inodes"):
        module.refuse_full({str(tmp_path / "a"): 1})
    monkeypatch.setattr(module.os, "statvfs", lambda _path: Disk(100, inodes=0, has_inodes=0))
    module.refuse_full({str(tmp_path / "a"): 1})


def test_annotations_lie_beside_the_json(module: ModuleType) -> None:
    assert module.Outputs("/a/x.h5", "/b/y.json").annotations == "/b/y.annotations.json"
    assert module.Outputs("/a/x.h5", "/b/y").annotations == "/b/y.annotations.json"


@pytest.mark.parametrize("other", ["/a/x.h5", "/a/../a/x.h5"])
def test_one_name_for_two_files_is_refused(module: ModuleType, other: str) -> None:
    with pytest.raises(module.StackError, match="the same file"):
        module.Outputs("/a/x.h5", other).refuse()


def test_message_names_some_and_counts_the_rest(module: ModuleType) -> None:
    words = module.message_about([(f"{number}.jpg", "it is empty", "empty") for number in range(1234)], 50_000)
    assert words.startswith("1,234 of 50,000 pictures cannot be used:\n  0.jpg: it is empty\n")
    assert words.count("\n") == 21
    assert words.endswith("and 1,214 more")


@pytest.mark.parametrize("what", ["read", "sync", "reserve"])
def test_link_that_another_user_put_in_the_place_of_the_unfinished_file_is_not_followed(
    load: Callable[[str], ModuleType], tmp_path: Path, what: str
) -> None:
    """Who may write in a directory that is shared can do that while pictures are read."""
    precious, part = tmp_path / "precious", tmp_path / "data.h5.part"
    precious.write_text("mine")
    part.symlink_to(precious)
    blocks, h5 = load("preparing.blocks"), load("preparing.h5")
    task = {"part": str(part), "place": 0}
    with pytest.raises((OSError, load("host.errors").StackError)):
        {
            "read": lambda: blocks.read(task, [], {}, print),
            "sync": lambda: blocks.sync(task, print),
            "reserve": lambda: h5.reserve(str(part), 0, 100),
        }[what]()
    assert precious.read_text() == "mine"
