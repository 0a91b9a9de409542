"""Whether a stack can be built below a stack root: space, file systems, what is in the way, temporary files."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.module_utils.host import disk


def test_disk_is_the_one_where_the_stack_will_be(tmp_path: Path) -> None:
    said = disk.facts(str(tmp_path / "not" / "there" / "yet"))
    assert said["path"] == str(tmp_path)
    assert said["writable"] is True
    assert 0 < said["free"] <= os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize


def test_directory_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert disk.facts(str(tmp_path))["writable"] is False


def file_system(monkeypatch: pytest.MonkeyPatch, **values: int) -> None:
    """Let every directory be on a file system with these values of statvfs."""
    usual = {"f_bavail": 10, "f_frsize": 4096, "f_files": 100, "f_favail": 50, "f_flag": 0}
    monkeypatch.setattr(disk.os, "statvfs", lambda path: SimpleNamespace(**{**usual, **values}))


@pytest.mark.parametrize(("total", "left", "said"), [(100, 7, 7), (100, 0, 0), (0, 0, None)])
def test_number_of_files_is_told_where_there_is_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, left: int, said: int | None
) -> None:
    """btrfs has no limit, and says 0 of 0."""
    file_system(monkeypatch, f_files=total, f_favail=left)
    assert disk.facts(str(tmp_path))["files"] == said


def test_directories_of_compilers_and_packages_are_examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = disk.outside()
    assert {str(tmp_path), "/usr", "/var"} <= set(found)
    assert set(found) <= {str(tmp_path), *(path for path, _usual in disk.WRITTEN)}
    for path, said in found.items():
        assert said["free"] > 0
        assert said["writable"] is os.access(path, os.W_OK)
        assert Path(said["mount"]).is_dir()
        assert path.startswith(said["mount"])


def test_directory_on_the_file_system_of_another_one_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    (tmp_path / "cache").mkdir()
    pairs = ((str(tmp_path), ""), (str(tmp_path / "cache"), str(tmp_path)), (str(tmp_path / "none"), str(tmp_path)))
    assert set(disk.outside(pairs)) == {"/tmp", str(tmp_path)}
    real = os.statvfs

    def statvfs(path: str) -> Any:
        flags = disk.READ_ONLY | disk.NO_EXEC if path.endswith("cache") else 0
        status = real(path)
        return SimpleNamespace(f_bavail=1, f_frsize=1, f_files=0, f_favail=0, f_flag=status.f_flag | flags)

    monkeypatch.setattr(disk.os, "statvfs", statvfs)
    cache = disk.outside(pairs)[str(tmp_path / "cache")]
    assert (cache["writable"], cache["executable"], cache["files"]) == (False, False, None)


@pytest.mark.parametrize("value", ["", "relative", "/no/such", "/etc/passwd"])
def test_temporary_files_of_compilers_are_in_tmp_though_it_is_full(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Python's own choice is another directory if it cannot write to /tmp; gcc's is not."""
    monkeypatch.setenv("TMPDIR", value)
    assert disk.scratch() == "/tmp"


def test_tmp_that_leads_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp as a link to a disk that is not mounted: dpkg said `failed to make temporary file`."""
    monkeypatch.setattr(disk, "scratch", lambda: str(tmp_path / "tmp"))
    for make in (lambda: None, lambda: (tmp_path / "tmp").symlink_to("/none/tmp")):
        make()
        (said,) = disk.obstacles(str(tmp_path))
        assert said.startswith(f"{tmp_path}/tmp, where compilers and package managers put temporary files, is no ")
        assert "mkdir -m 1777" in said


@pytest.mark.parametrize("name", ["artifacts", "build", "generations"])
def test_directories_on_another_file_system_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Files are linked and renamed between them, at the end of a build of minutes."""
    (tmp_path / name).mkdir()
    assert disk.obstacles(str(tmp_path)) == []
    real = os.stat

    def stat(path: Any, **more: Any) -> Any:
        found = real(path, **more)
        return SimpleNamespace(st_dev=7, st_mode=found.st_mode) if str(path).endswith(name) else found

    monkeypatch.setattr(disk.os, "stat", stat)
    (reason,) = disk.obstacles(str(tmp_path))
    assert f"{tmp_path}/{name} is on another file system than {tmp_path}" in reason


def test_read_only_file_system_is_not_writable_for_root_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_system(monkeypatch, f_flag=disk.READ_ONLY)
    assert disk.facts(str(tmp_path))["writable"] is False


def test_nothing_is_in_the_way_of_a_stack(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    assert disk.obstacles(str(root)) == []
    (root / "generations").mkdir(parents=True)
    (root / "current").symlink_to("generations/gone")
    assert disk.obstacles(str(root)) == []
    (tmp_path / "link").symlink_to(root)
    assert disk.obstacles(str(tmp_path / "link")) == []


@pytest.mark.parametrize("place", ["stack", "stack/generations", "stack/artifacts", "stack/build", "stack/logs"])
def test_link_to_nothing_is_in_the_way(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).symlink_to("/nowhere/at/all")
    (said,) = disk.obstacles(str(tmp_path / "stack"))
    assert said.startswith(f"{tmp_path / place} is a link to /nowhere/at/all, where there is no directory: create that")


def test_link_in_the_path_and_one_that_points_to_itself_are_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("data")
    (said,) = disk.obstacles(str(tmp_path / "data" / "stack"))
    assert said.startswith(f"{tmp_path}/data is a link to data")


def test_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "stack").touch()
    (said,) = disk.obstacles(str(tmp_path / "stack"))
    assert (
        said
        == f"{tmp_path}/stack is a file, and a directory is needed there: move it away, or choose another stack_root"
    )


def test_noexec_is_told_once_with_its_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "generations").mkdir()
    file_system(monkeypatch, f_flag=disk.NO_EXEC)
    monkeypatch.setattr(disk, "mount_of", lambda path: {"point": str(tmp_path.parent)})
    (said,) = disk.obstacles(str(tmp_path))
    assert said.startswith(f"{tmp_path.parent} is mounted with noexec")
    assert f"mount -o remount,exec {tmp_path.parent}," in said


def test_directory_for_temporary_files_that_can_be_used_is_no_problem() -> None:
    assert disk.temporary("/tmp", 1000)["problem"] == ""
    assert disk.temporary("/tmp", 0)["free"] > 0


@pytest.mark.parametrize("path", ["~/.ansible/tmp", "", "$HOME/tmp"])
def test_directory_that_depends_on_the_user_is_unknown(path: str) -> None:
    assert disk.temporary(path, 1000) == {"path": "", "free": None, "problem": ""}


@pytest.mark.parametrize(
    ("mode", "login", "words"),
    [
        (0o755, 54321, "cannot be written by the user who logs in (uid 54321): chmod 1777"),
        (0o777, 54321, "every user can replace the files"),
        (0o1777, 54321, ""),
        (0o700, 0, ""),
    ],
)
def test_mode_of_the_directory_for_temporary_files(tmp_path: Path, mode: int, login: int, words: str) -> None:
    tmp_path.chmod(mode)
    problem = disk.temporary(str(tmp_path), login)["problem"]
    assert (words in problem) if words else problem == ""


def test_directory_for_temporary_files_that_is_missing_is_told_with_the_cure(tmp_path: Path) -> None:
    told = disk.temporary(str(tmp_path / "no"), 1000)
    assert f"mkdir -p -m 1777 {tmp_path}/no" in told["problem"]
    assert told["free"] > 0
