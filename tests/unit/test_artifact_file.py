"""Artifacts on a host: hashed, removed if they are wrong, refused if other users could replace them."""

from __future__ import annotations

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

    def ask(state: str = "verified", **more: Any) -> dict[str, Any]:
        return run_module("artifact_file", artifact="nn", file="nn.tgz", path=path, sha256=SHA256, state=state, **more)

    return ask


@pytest.mark.parametrize("state", ["known", "verified"])
def test_good_file_is_whole_and_stays(ask: Run, path: Path, state: str) -> None:
    path.write_bytes(GOOD)
    said = ask(state)
    assert (said["changed"], said["whole"], said["seen"]) == (False, True, SHA256)
    assert path.read_bytes() == GOOD


def test_file_that_was_exchanged_is_named_with_both_digests_and_removed(ask: Run, path: Path) -> None:
    path.write_bytes(b"evil")
    with pytest.raises(ModuleError) as caught:
        ask()
    said = str(caught.value)
    seen = hashlib.sha256(b"evil").hexdigest()
    assert all(text in said for text in ("artifact nn", "nn.tgz", str(path), SHA256, seen, "provision mirror verify"))
    assert caught.value.result["seen"] == seen
    assert not path.exists()


def test_file_under_its_digests_name_is_not_trusted_for_that(ask: Run, path: Path) -> None:
    path.write_bytes(b"evil")
    said = ask("known")
    assert (said["whole"], said["changed"]) == (False, True)
    assert not path.exists()


def test_check_mode_tells_and_removes_nothing(ask: Run, path: Path) -> None:
    path.write_bytes(b"evil")
    assert ask("known", check=True)["whole"] is False
    assert path.exists()


def test_missing_file_is_brought_or_is_an_error(ask: Run, path: Path) -> None:
    assert ask("known")["whole"] is False
    with pytest.raises(ModuleError, match="which is missing"):
        ask()
    path.parent.rmdir()
    assert ask("known", check=True)["whole"] is False
    assert not path.parent.exists()


def test_directory_is_made_for_a_file_that_will_be_brought(ask: Run, path: Path) -> None:
    path.parent.rmdir()
    said = ask("known")
    assert (said["whole"], said["changed"]) == (False, True)
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert ask("known")["changed"] is False


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
    assert ask("known")["whole"] is False
    assert not path.is_symlink()
    assert not path.exists()
    assert (tmp_path / "elsewhere").read_bytes() == GOOD


@as_root
def test_file_of_another_user_is_brought_again(ask: Run, path: Path) -> None:
    path.write_bytes(GOOD)
    os.chown(path, PLAIN, PLAIN)
    assert ask("known")["whole"] is False
    assert not path.exists()


@pytest.mark.parametrize("level", [0, 1])
def test_directory_that_every_user_can_write_is_refused(ask: Run, path: Path, level: int) -> None:
    path.write_bytes(GOOD)
    path.parents[level].chmod(0o777)
    with pytest.raises(ModuleError, match="can be written by everybody") as caught:
        ask("known")
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
