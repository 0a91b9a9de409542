"""A file that a person named is written as a whole; devices, pipes and links stay what they are."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from neuraltalk_provision import whole_file


def test_earlier_file_stays_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("earlier")

    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/f'"):
        whole_file.write_named(tmp_path / "f", b"new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"f": "earlier"}


def test_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d/f")
    for content in (b"first", b"second"):
        whole_file.write_named(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "d" / "f").read_bytes() == content


def test_pipe_gets_the_content_and_stays(tmp_path: Path) -> None:
    """For example /dev/stdout, which root would otherwise replace for the whole machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    whole_file.write_named(tmp_path / "stdout", b"content")
    reader.join(10)
    assert found == [b"content"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "stdout"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(("before", "mode", "after"), [(0o600, 0o666, 0o600), (0o644, 0o600, 0o600), (0, 0o600, 0o600)])
def test_mode_is_never_wider_than_before_or_asked(tmp_path: Path, before: int, mode: int, after: int) -> None:
    if before:
        (tmp_path / "f").write_text("earlier")
        (tmp_path / "f").chmod(before)
    whole_file.write_named(tmp_path / "f", b"new", mode)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == after
