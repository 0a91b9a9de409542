"""A file that a person named is written as a whole; devices, pipes and links stay what they are."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from neuraltalk_provision import whole_file
from neuraltalk_provision.mirror import signing
from neuraltalk_provision.mirror.ssh_keygen import Armored


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


@pytest.mark.parametrize(
    ("above", "made"),
    [(0o1777, 0o755), (0o2777, 0o2755), (0o700, 0o755), (0o750, 0o755), (0o2770, 0o2775), (0o2775, 0o2775)],
)
def test_directory_can_be_read_by_all_and_written_by_the_group_of_the_one_in_which_it_is(
    tmp_path: Path, above: int, made: int
) -> None:
    """A mirror that was made in a closed home directory is served or copied to another machine later."""
    tmp_path.chmod(above)
    whole_file.make_directory(tmp_path / "mirror")
    assert stat.S_IMODE((tmp_path / "mirror").stat().st_mode) == made


@pytest.mark.parametrize("umask", [0, 0o077])
def test_directory_gets_the_rights_of_the_one_in_which_it_is(tmp_path: Path, umask: int) -> None:
    """The directory of a mirror's signatures, for example, which others read and nobody may replace."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    mirror.chmod(0o2775)
    before = os.umask(umask)
    try:
        whole_file.make_directory(mirror / "cache" / "one")
        signing.write_to(mirror / "mirror.lock.sig.d", Armored(b"text", b"key", ""))
        whole_file.make_directory(mirror)
    finally:
        os.umask(before)
    made = [mirror / "cache", mirror / "cache" / "one", mirror / "mirror.lock.sig.d"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o2775] * 3
