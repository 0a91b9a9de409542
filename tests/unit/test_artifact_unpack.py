"""Unpacking archives on a host: modes and owners are set, and nothing is written outside of the directory."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.archives import member, pack
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
TREE = {"nn/init.lua": "return 1\n", "nn/sub dir/a 'b'.lua": "a\n"}


@pytest.fixture
def unpack(run_module: Run, tmp_path: Path) -> Run:
    """The module, with an archive of the texts and members given; where it unpacked to is `tree`."""

    def unpack(
        texts: dict[str, str] = TREE, extra: list[tarfile.TarInfo] | None = None, mode: str = "w:gz", **more: Any
    ) -> dict[str, Any]:
        file = pack(tmp_path / "nn 'the' archive.tgz", texts, extra or [], mode)
        return run_module("artifact_unpack", src=file, dest=tmp_path / "tree", **more)

    return unpack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Where it is unpacked."""
    return tmp_path / "tree"


def listed(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir())


def with_mode(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = member(name, kind)
    info.mode, info.uid, info.gid = mode, 4711, 4711
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_whatever_it_is_packed_by_the_top_directory_is_dropped(unpack: Run, tree: Path, mode: str) -> None:
    assert unpack(mode=mode)["members"] == 2
    assert listed(tree) == ["init.lua", "sub dir/a 'b'.lua"]
    assert (tree / "init.lua").read_text() == "return 1\n"


def test_flat_archive_keeps_its_names_and_a_dot_counts_as_for_tar(unpack: Run, tree: Path) -> None:
    unpack({"./a.whl": "a", "b.whl": "b"}, mode="w", strip=0)
    assert listed(tree) == ["a.whl", "b.whl"]
    unpack({"./a": "a", "./sub/b": "b"}, strip=1)
    assert listed(tree) == ["a", "sub/b"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_and_owners_are_ours_whatever_archive_and_umask_say(unpack: Run, tree: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        unpack(
            extra=[
                with_mode("nn/setuid", 0o6755),
                with_mode("nn/open", 0o777),
                with_mode("nn/group", 0o664),
                with_mode("nn/private", 0o600),
                with_mode("nn/shared", 0o3777, tarfile.DIRTYPE),
                with_mode("nn/closed", 0o000, tarfile.DIRTYPE),
                with_mode("nn/closed/file", 0o000),
            ]
        )
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tree)): stat.S_IMODE(path.lstat().st_mode) for path in tree.rglob("*")}
    assert modes == {
        "init.lua": 0o644,
        "sub dir": 0o755,
        "sub dir/a 'b'.lua": 0o644,
        "setuid": 0o755,
        "open": 0o755,
        "group": 0o644,
        "private": 0o644,
        "shared": 0o755,
        "closed": 0o755,
        "closed/file": 0o644,
    }
    assert {path.lstat().st_uid for path in tree.rglob("*")} == {os.geteuid()}
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755


def test_times_stay_for_make_compares_them(unpack: Run, tree: Path) -> None:
    info = member("nn/configure")
    info.mtime = 1234567890
    unpack(extra=[info])
    assert (tree / "configure").stat().st_mtime == 1234567890


def test_what_a_mac_leaves_is_left_out(unpack: Run, tree: Path) -> None:
    unpack({"._nn": "mac", "nn/._init.lua": "mac", "nn/sub/.DS_Store": "mac", **TREE})
    assert listed(tree) == ["init.lua", "sub dir/a 'b'.lua"]


def test_what_was_there_before_goes_or_stays_as_told(unpack: Run, tree: Path) -> None:
    tree.mkdir()
    (tree / "old").touch()
    (tree / "init.lua").write_text("old")
    unpack(over=True)
    assert listed(tree) == ["init.lua", "old", "sub dir/a 'b'.lua"]
    assert (tree / "init.lua").read_text() == "return 1\n"
    unpack()
    assert listed(tree) == ["init.lua", "sub dir/a 'b'.lua"]


def test_link_in_the_place_of_the_directory_goes_and_not_what_it_points_at(
    unpack: Run, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    tree.symlink_to(tmp_path / "theirs")
    unpack()
    assert not tree.is_symlink()
    assert listed(tmp_path / "theirs") == ["file"]


def test_one_folder_of_an_archive(unpack: Run, tree: Path) -> None:
    texts = {"nn/coco-caption/myeval.py": "mine", "nn/coco-caption.py": "no", "nn/init.lua": "no"}
    assert unpack(texts, folder="coco-caption")["members"] == 1
    assert listed(tree) == ["myeval.py"]
    with pytest.raises(ModuleError, match="it is empty in gone"):
        unpack(texts, folder="gone")


def test_links_within_the_tree_are_made(unpack: Run, tree: Path) -> None:
    unpack(
        extra=[
            member("nn/link", tarfile.SYMTYPE, "sub dir/../init.lua"),
            member("nn/hard", tarfile.LNKTYPE, "nn/init.lua"),
        ]
    )
    assert (tree / "link").read_text() == "return 1\n"
    assert (tree / "hard").samefile(tree / "init.lua")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([member("/etc/evil")], "/etc/evil is an absolute path"),
        ([member("nn/../../evil")], "contains '..'"),
        (
            [member("nn/l", tarfile.SYMTYPE, "/etc/passwd")],
            "nn/l is a link that points out of the archive, to /etc/passwd",
        ),
        ([member("nn/l", tarfile.SYMTYPE, "../evil")], "points out of the archive, to ../evil"),
        ([member("nn/d", tarfile.SYMTYPE, "."), member("nn/up", tarfile.SYMTYPE, "d/../evil")], "up is a link"),
        ([member("nn/l", tarfile.SYMTYPE, "."), member("nn/l/evil")], "nn/l/evil is below a link"),
        (
            [member("nn/l", tarfile.SYMTYPE, "."), member("nn/l", tarfile.DIRTYPE), member("nn/l/evil")],
            "is twice in the archive",
        ),
        ([member("nn/h", tarfile.LNKTYPE, "../../etc/passwd")], "points out"),
        ([member("nn/h", tarfile.LNKTYPE, "nn/later")], "not an earlier file"),
        (
            [member("nn/l", tarfile.SYMTYPE, "init.lua"), member("nn/h", tarfile.LNKTYPE, "nn/l")],
            "not an earlier file",
        ),
        ([member("nn/null", tarfile.CHRTYPE)], "is not a file, a directory or a link"),
        ([member("nn/sda", tarfile.BLKTYPE)], "is not a file, a directory or a link"),
        ([member("nn/pipe", tarfile.FIFOTYPE)], "is not a file, a directory or a link"),
        ([member("nn/sub dir")], "is twice in the archive"),
    ],
)
def test_archive_that_leads_out_is_refused(
    unpack: Run, tmp_path: Path, extra: list[tarfile.TarInfo], words: str
) -> None:
    with pytest.raises(ModuleError) as caught:
        unpack(extra=extra)
    assert words in str(caught.value)
    assert "nn 'the' archive.tgz" in str(caught.value)
    assert not list(tmp_path.rglob("evil"))


def test_broken_archive_is_named(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(ModuleError, match=r"x\.tgz is a web page"):
        run_module("artifact_unpack", src=tmp_path / "x.tgz", dest=tmp_path / "tree")


def test_full_disk_is_named_as_such(unpack: Run, load: Callable[[str], ModuleType], monkeypatch: Any) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(load("artifact_unpack").shutil, "copyfileobj", full)
    with pytest.raises(ModuleError, match="No space left on device"):
        unpack()


def test_check_mode_unpacks_nothing(unpack: Run, tree: Path) -> None:
    assert unpack(check=True)["changed"] is True
    assert not tree.exists()


def test_directory_that_is_in_the_place_of_a_file_stays_when_it_is_unpacked_over(unpack: Run, tree: Path) -> None:
    (tree / "init.lua").mkdir(parents=True)
    with pytest.raises(ModuleError, match=r"init\.lua is a directory as well"):
        unpack(over=True)


@pytest.mark.slow
def test_large_archive_is_not_read_into_memory(tmp_path: Path, load: Callable[[str], ModuleType]) -> None:
    size = 300 << 20
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", compresslevel=1) as tar:
        info = tarfile.TarInfo("x/weights")
        info.size = size
        tar.addfile(info, Zeros(size))
    module = load("artifact_unpack")
    program = (
        "import sys; sys.path[:0] = [%r];"
        "import plugins.modules.artifact_unpack as a; a.unpack(%r, %r, 1, '', False);"
        # Not ru_maxrss, which begins with what the process had that forked this one.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    where = Path(str(module.__file__)).parent
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            program % (str(where.parents[1]), str(tmp_path / "x.tar.gz"), str(tmp_path / "tree")),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert (tmp_path / "tree" / "weights").stat().st_size == size
    assert int(said.stdout) < 100 << 10, "KiB"


class Zeros(io.RawIOBase):
    """So many zero bytes."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def read(self, size: int = -1) -> bytes:
        """The next ones."""
        count = min(size, self.left)
        self.left -= count
        return bytes(count)
