"""Artifacts on a host: hashed, removed if they are wrong, refused if other users could replace them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
GOOD = b"what the lock lists"
SHA256 = hashlib.sha256(GOOD).hexdigest()
PLAIN = 12345
"""A user who is neither root nor us."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file's place in a directory with a space and a quote."""
    folder = tmp_path / "the 'stack'" / "artifacts"
    folder.mkdir(parents=True)
    return folder / f"{SHA256[:16]}-nn.tgz"


@pytest.fixture
def ask(run_module: Run, path: Path) -> Run:
    """The module, asked for that file."""

    def ask(**more: Any) -> dict[str, Any]:
        return run_module("artifact_file", artifact="nn", file="nn.tgz", path=path, sha256=SHA256, **more)

    return ask


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """What the controller sent, in its temporary directory on the host."""
    file = tmp_path / "sent"
    file.write_bytes(GOOD)
    return file


def test_good_file_is_whole_and_stays(ask: Run, path: Path) -> None:
    path.write_bytes(GOOD)
    said = ask()
    assert (said["changed"], said["whole"], said["seen"]) == (False, True, SHA256)
    assert path.read_bytes() == GOOD


def test_file_that_was_sent_gets_its_name_and_can_be_read_by_all_users(ask: Run, path: Path, sent: Path) -> None:
    said = ask(sent=sent)
    assert (said["changed"], said["whole"], said["seen"]) == (True, True, SHA256)
    assert path.read_bytes() == GOOD
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_parts_of_downloads_and_of_other_hosts_are_not_needed_any_more(ask: Run, path: Path, sent: Path) -> None:
    for name in (f".{path.name}.part", f".{path.name}.{SHA256[:16]}.part", f".{path.name}.other.part"):
        path.with_name(name).write_bytes(b"half")
    ask(sent=sent)
    assert sorted(file.name for file in path.parent.iterdir()) == [f".{path.name}.other.part", path.name]


def test_other_versions_of_a_file_are_removed(ask: Run, path: Path) -> None:
    """An archive of OS packages has some hundred megabytes, and those of all earlier sites stayed on each host."""
    other, half = "0123456789abcdef-nn.tgz", "fedcba9876543210-nn.tgz"
    old = [other, f".{half}.sent", f".{half}.part", f".{half}.{'0' * 16}.part"]
    others = ["0123456789abcdef-nngraph.tgz", "0123456789abcdef-nn.tgz.orig", "nn.tgz", f"{other}.part", "xnn.tgz"]
    for name in (*old, *others):
        path.with_name(name).write_bytes(b"earlier")
    assert ask(check=True)["changed"] is True
    assert len(list(path.parent.iterdir())) == len(old) + len(others)
    path.write_bytes(GOOD)
    said = ask()
    assert (said["changed"], said["whole"]) == (True, True)
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([*others, path.name])
    assert ask()["changed"] is False


def test_file_that_was_exchanged_before_it_was_sent_is_named_with_both_digests(
    ask: Run, path: Path, sent: Path
) -> None:
    sent.write_bytes(b"evil")
    with pytest.raises(ModuleError) as caught:
        ask(sent=sent)
    said = str(caught.value)
    seen = hashlib.sha256(b"evil").hexdigest()
    assert all(text in said for text in ("artifact nn", "nn.tgz", str(path), SHA256, seen, "provision mirror verify"))
    assert caught.value.result["seen"] == seen
    assert list(path.parent.iterdir()) == []


def test_full_disk_keeps_nothing_of_the_file(ask: Run, path: Path, sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModuleError, match="No space left") as caught:
        ask(sent=sent)
    assert str(caught.value) == f"{path}: No space left on device"
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_attempt_left_is_replaced(ask: Run, path: Path, sent: Path, tmp_path: Path) -> None:
    left = path.with_name(f".{path.name}.sent")
    left.symlink_to(tmp_path / "elsewhere")
    ask(sent=sent)
    assert list(path.parent.iterdir()) == [path]
    assert not (tmp_path / "elsewhere").exists()


def test_file_under_its_digests_name_is_not_trusted_for_that(ask: Run, path: Path) -> None:
    path.write_bytes(b"evil")
    said = ask()
    assert (said["whole"], said["changed"]) == (False, True)
    assert not path.exists()


def test_check_mode_tells_and_removes_nothing(ask: Run, path: Path) -> None:
    path.write_bytes(b"evil")
    assert ask(check=True)["whole"] is False
    assert path.exists()


def test_missing_file_is_not_whole_and_check_mode_makes_no_directory(ask: Run, path: Path) -> None:
    assert ask()["whole"] is False
    path.parent.rmdir()
    assert ask(check=True)["whole"] is False
    assert not path.parent.exists()


def test_directory_is_made_for_a_file_that_will_be_brought(ask: Run, path: Path) -> None:
    path.parent.rmdir()
    said = ask()
    assert (said["whole"], said["changed"]) == (False, True)
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert ask()["changed"] is False


@pytest.mark.parametrize("kind", ["link", "directory", "writable"])
def test_what_only_looks_like_the_file_is_removed(ask: Run, path: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").write_bytes(GOOD)
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "directory":
        (path / "sub").mkdir(parents=True)
    else:
        path.write_bytes(GOOD)
        path.chmod(0o666)
    assert ask()["whole"] is False
    assert not path.is_symlink()
    assert not path.exists()
    assert (tmp_path / "elsewhere").read_bytes() == GOOD


@as_root
def test_file_of_another_user_is_brought_again(ask: Run, path: Path) -> None:
    path.write_bytes(GOOD)
    os.chown(path, PLAIN, PLAIN)
    assert ask()["whole"] is False
    assert not path.exists()


@pytest.mark.parametrize("level", [0, 1])
def test_directory_that_every_user_can_write_is_refused(ask: Run, path: Path, level: int) -> None:
    path.write_bytes(GOOD)
    path.parents[level].chmod(0o777)
    with pytest.raises(ModuleError, match="can be written by everybody") as caught:
        ask()
    assert str(path.parents[level]) in str(caught.value)
    assert "chmod go-w" in str(caught.value)


def test_sticky_directory_above_is_no_way_in(ask: Run, path: Path) -> None:
    path.write_bytes(GOOD)
    path.parents[1].chmod(0o1777)
    assert ask()["whole"] is True


@as_root
@pytest.mark.parametrize("level", [0, 1])
def test_directory_of_another_user_is_refused(ask: Run, path: Path, level: int) -> None:
    path.write_bytes(GOOD)
    os.chown(path.parents[level], PLAIN, PLAIN)
    with pytest.raises(ModuleError, match=f"belongs to uid {PLAIN}"):
        ask()
    os.chown(path.parents[level], 0, 0)


@as_root
def test_link_above_is_followed_to_whom_it_belongs(run_module: Run, path: Path, tmp_path: Path) -> None:
    """A stack root may be a link to a larger disk; that disk's directory counts as well."""
    (tmp_path / "link").symlink_to(path.parents[1])
    path.write_bytes(GOOD)
    given = {"artifact": "nn", "file": "nn.tgz", "path": tmp_path / "link" / "artifacts" / path.name, "sha256": SHA256}
    assert run_module("artifact_file", **given)["whole"] is True
    os.chown(path.parents[1], PLAIN, PLAIN)
    with pytest.raises(ModuleError, match=f"belongs to uid {PLAIN}"):
        run_module("artifact_file", **given)
